/** Waiting until links that were brought up pass packets. */

import type { LinkInfo } from "../netlink/route/link_codec.ts"
import { IFF_RUNNING } from "../netlink/route/link_constants.ts"
import { libc } from "../sys/ffi/libc.ts"

/** Queries without a pause, some 20 µs each, then with one of 1 ms. */
const QUERIES = 20
const PAUSES = 100

/**
 * Waits until all of some links run (RFC 2863: operational state up), 100 ms at most. Kernels before
 * 6.8 act on a new carrier in a work queue: until then an interface drops what it is to send, and a
 * bridge's port what comes in. An ARP request that is lost so is asked again a second later. Later
 * kernels act on it when they are asked, so that the first answer is the last.
 *
 * @param links as they were read after they were brought up
 * @param again reads them anew
 * @returns the last answer, whatever it says: a cable that somebody pulled is no error of an attach
 */
export function untilRunning<T extends readonly LinkInfo[]>(links: T, again: () => T): T {
  let last = links
  for (let query = 0; query < QUERIES + PAUSES && !last.every(isRunning); query++) {
    if (query >= QUERIES) libc.poll(null, 0, 1)
    last = again()
  }
  return last
}

function isRunning({ flags }: LinkInfo): boolean {
  return (flags & IFF_RUNNING) !== 0
}
