/**
 * libc for this process, on Bun and Deno alike, in the main thread and in Workers.
 *
 * A function is looked up when it is first called: a CNI plugin call needs ten of them, and each
 * look-up costs about 40 µs of start-up, however many functions it is for.
 */

import { LariatError, messageOf } from "../../errors.ts"
import { openBunFfi } from "./libc_bun.ts"
import { openDenoFfi } from "./libc_deno.ts"
import { type Ffi, type Libc, PLUGIN_CALLS, type RawFunction, SIGNATURES } from "./libc_symbols.ts"
import { isDeno } from "./runtime.ts"

const ffi: Ffi = isDeno ? openDenoFfi() : openBunFfi()

let lastErrno = 0

/** The errno of the last libc function that returned -1 in this thread. */
export function errno(): number {
  return lastErrno
}

/**
 * Keeps the errno of a failed call at once: any other JavaScript in between may allocate, and the
 * collector's own system calls would overwrite it.
 */
function keepingErrno(raw: RawFunction, arity: number): RawFunction {
  function checked(result: number): number {
    if (result === -1) lastErrno = ffi.readErrno()
    return result
  }
  // Spelled out by arity: a rest array per call would cost more than the call.
  switch (arity) {
    case 0:
      return raw
    case 1:
      return (a = 0) => checked(raw(a))
    case 2:
      return (a = 0, b = 0) => checked(raw(a, b))
    case 3:
      return (a = 0, b = 0, c = 0) => checked(raw(a, b, c))
    case 4:
      return (a = 0, b = 0, c = 0, d = 0) => checked(raw(a, b, c, d))
    case 5:
      return (a = 0, b = 0, c = 0, d = 0, e = 0) => checked(raw(a, b, c, d, e))
    default:
      return (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) => checked(raw(a, b, c, d, e, f))
  }
}

/** @throws LariatError kernel-unsupported */
function bindAll(names: readonly (keyof Libc)[]): Readonly<Record<string, RawFunction>> {
  const signatures: Record<string, string> = {}
  for (const one of names) signatures[one] = SIGNATURES[one]
  try {
    return ffi.bind(signatures)
  } catch (cause) {
    throw new LariatError(`Cannot call libc's ${names[0]}: ${messageOf(cause)}`, {
      code: "kernel-unsupported",
      hint: messageOf(cause).includes("JIT")
        ? "The runtime must be allowed to make executable memory: remove MemoryDenyWriteExecute=yes from the systemd unit and BUN_JSC_useJIT from the environment."
        : "Run on glibc 2.28 or musl 1.2.3, or a later one.",
      cause,
    })
  }
}

/** Binds a function, and those that are wanted with it, onto `target`. */
function bind(name: keyof Libc, target: object): RawFunction {
  const wanted = PLUGIN_CALLS.includes(name) ? PLUGIN_CALLS : [name]
  const bound = bindAll(wanted)
  for (const one of wanted) {
    const value = keepingErrno(bound[one] as RawFunction, SIGNATURES[one].length - 1)
    Object.defineProperty(target, one, { value, enumerable: true })
  }
  return (target as Record<string, RawFunction>)[name] as RawFunction
}

/**
 * An empty object that asks its prototype for what it lacks, and has it from then on: a bound
 * function is an ordinary property, and seventy getters need not be made at each start.
 */
function lazyLibc(): Libc {
  const missing = new Proxy(
    {},
    {
      get(_, name, receiver: object): RawFunction | undefined {
        if (typeof name !== "string" || !Object.hasOwn(SIGNATURES, name)) return undefined
        return bind(name as keyof Libc, receiver)
      },
    },
  )
  return Object.create(missing) as Libc
}

/** The functions, each bound at its first use. @throws LariatError kernel-unsupported on that use */
export const libc: Libc = lazyLibc()

/**
 * The functions themselves, without any JavaScript around the call. They do not keep their errno:
 * {@link currentErrno} has it.
 *
 * @throws LariatError kernel-unsupported
 */
export function bareLibc<Name extends keyof Libc>(...names: Name[]): Pick<Libc, Name> {
  // Bound now: to look it up after a failure could overwrite it.
  ffi.readErrno()
  return bindAll(names) as unknown as Pick<Libc, Name>
}

/** This thread's errno, right after a function of {@link bareLibc} failed. */
export function currentErrno(): number {
  return ffi.readErrno()
}

/** The address of bytes, for structures that hold pointers. The caller keeps the bytes alive. */
export function addressOf(bytes: Uint8Array): number {
  return ffi.addressOf(bytes)
}

/** A copy of memory that is not JavaScript's, for instance of mmap(2). */
export function copyFrom(address: number, length: number): Uint8Array {
  return ffi.copyFrom(address, length)
}

const encoder = new TextEncoder()

/**
 * Text as C wants it, with a zero byte at its end.
 * @throws LariatError usage when the text holds a zero byte, which would cut it short unseen
 */
export function cString(text: string): Uint8Array {
  if (text.includes("\0")) {
    throw new LariatError(`Cannot use ${JSON.stringify(text)}: it holds a zero byte`, {
      code: "usage",
    })
  }
  return encoder.encode(`${text}\0`)
}
