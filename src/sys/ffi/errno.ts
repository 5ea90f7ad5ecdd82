/** Failed system calls as errors. */

import { type ErrorCode, LariatError } from "../../errors.ts"
import { ERRNOS } from "./errno_table.ts"
import { errno } from "./libc.ts"

/** The numbers that programs act on; all others are only printed. */
export const EPERM = 1
export const ENOENT = 2
export const ESRCH = 3
export const EINTR = 4
export const EBADF = 9
export const EAGAIN = 11
export const EACCES = 13
export const EBUSY = 16
export const EEXIST = 17
export const ENODEV = 19
export const ENOTDIR = 20
export const EINVAL = 22
export const ENOSYS = 38
export const ELOOP = 40
export const EMSGSIZE = 90
export const EOPNOTSUPP = 95
export const EADDRNOTAVAIL = 99
export const ENETDOWN = 100
export const ENETUNREACH = 101
export const ENOBUFS = 105
export const ECONNREFUSED = 111
export const EHOSTUNREACH = 113
export const EINPROGRESS = 115

const CODES: Readonly<Record<string, ErrorCode>> = {
  EPERM: "permission",
  EACCES: "permission",
  EBUSY: "busy",
  ENOSYS: "kernel-unsupported",
  EPROTONOSUPPORT: "kernel-unsupported",
  ESOCKTNOSUPPORT: "kernel-unsupported",
  EOPNOTSUPP: "kernel-unsupported",
  EAFNOSUPPORT: "kernel-unsupported",
  ENOTSUPP: "kernel-unsupported",
}

/** "ENOENT" for 2; "errno 4000" for a number Linux does not define. */
export function errnoName(number: number): string {
  return ERRNOS.find((row) => row[0] === number)?.[1] ?? `errno ${number}`
}

/** "No such file or directory" for 2. */
export function errnoText(number: number): string {
  return ERRNOS.find((row) => row[0] === number)?.[2] ?? `Unknown error ${number}`
}

/** The stable code of a failed system call: permission, busy, kernel-unsupported, or else io. */
export function errorCodeOf(number: number): ErrorCode {
  return CODES[errnoName(number)] ?? "io"
}

/** A system call that failed: "Cannot open /x: No such file or directory (openat: ENOENT)". */
export class SystemError extends LariatError {
  override readonly name = "SystemError"
  readonly errno: number
  readonly errnoName: string
  readonly syscall: string

  /**
   * @param what the deed and its object, "open /x"
   * @param options code: default {@link errorCodeOf}; hint: default none
   */
  constructor(
    number: number,
    syscall: string,
    what: string,
    options: { readonly code?: ErrorCode; readonly hint?: string } = {},
  ) {
    const name = errnoName(number)
    super(`Cannot ${what}: ${errnoText(number)} (${syscall}: ${name})`, {
      code: options.code ?? errorCodeOf(number),
      hint: options.hint,
    })
    this.errno = number
    this.errnoName = name
    this.syscall = syscall
  }
}

/**
 * Gives back the result of a libc call, or throws what `errno` says if it is negative.
 *
 * @param what the deed and its object, "open /x"
 * @throws SystemError
 */
export function check(result: number, syscall: string, what: string): number {
  if (result < 0) throw new SystemError(errno(), syscall, what)
  return result
}
