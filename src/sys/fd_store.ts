/**
 * Descriptors that outlive the agent: systemd keeps them while the service restarts and hands them
 * to the next process (sd_notify(3) FDSTORE, sd_listen_fds(3)), without libsystemd. Where no
 * systemd runs, or the unit lacks FileDescriptorStoreMax=, nothing is kept.
 */

import { LariatError } from "../errors.ts"
import { libc } from "./ffi/libc.ts"
import { sdNotify } from "./notify.ts"

/** include/uapi/asm-generic/fcntl.h */
const F_SETFD = 2
const FD_CLOEXEC = 1

/** SD_LISTEN_FDS_START of systemd/sd-daemon.h. */
const FIRST = 3
/** More than a unit can keep (FileDescriptorStoreMax= is rarely above 1,000). */
const MOST = 4096

/** fdname_is_valid of systemd: printable ASCII but ":", 255 characters at the most. */
const NAME = /^[!-9;-~]{1,255}$/

/**
 * Hands a descriptor to the service manager, which keeps a duplicate until it is discarded or the
 * service is stopped for good. One that it has already is not kept twice.
 *
 * @returns false where there is no service manager, or it does not listen; whether it keeps
 * descriptors at all it does not say
 * @throws LariatError usage for a name that systemd refuses
 */
export function storeDescriptor(name: string, fd: number): boolean {
  checkName(name)
  // FDPOLL=0: by default systemd drops a descriptor that polls an error, and an ICMP error that
  // nobody has read yet makes one of a UDP socket.
  return sdNotify(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, fd)
}

/** Has the service manager close all descriptors of a name. See {@link storeDescriptor}. */
export function discardDescriptors(name: string): boolean {
  checkName(name)
  return sdNotify(`FDSTOREREMOVE=1\nFDNAME=${name}`)
}

/**
 * Takes what the service manager kept, or opened by a socket unit: close-on-exec descriptors by
 * name, which the caller owns. Call once and early: a second call gives nothing, because the
 * variables are taken away, lest a child believes that they are meant for it.
 *
 * @param environment default: the process's own
 */
export function takeDescriptors(
  environment: Record<string, string | undefined> = process.env,
): ReadonlyMap<string, readonly number[]> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete environment[name]
  const taken = new Map<string, number[]>()
  const count = Number(LISTEN_FDS ?? "")
  if (Number(LISTEN_PID) !== libc.getpid() || !Number.isInteger(count)) return taken
  const names = (LISTEN_FDNAMES ?? "").split(":")
  for (let index = 0; index < Math.min(count, MOST); index++) {
    // Fails for a number that is not open: the variables may be somebody's invention.
    if (libc.fcntl(FIRST + index, F_SETFD, FD_CLOEXEC) !== 0) continue
    const name = names[index] || "unknown"
    taken.set(name, [...(taken.get(name) ?? []), FIRST + index])
  }
  return taken
}

function checkName(name: string): void {
  if (NAME.test(name)) return
  throw new LariatError(
    `Cannot keep a descriptor as ${JSON.stringify(name)}: a name has 1 to 255 visible characters and no colon`,
    { code: "usage" },
  )
}
