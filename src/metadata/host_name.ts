/** Which names the API is asked for by. */

import { parseAddress } from "../core/address.ts"

/** The zone whose names nobody else answers for containers. */
const OWN_ZONE = ".rancher.internal"

/** Headers are seldom new. */
const known = new Map<string, boolean>()
const MAX_KNOWN = 256

/**
 * Whether a `Host` header is one that a client of this host may send: an address, a name of one label
 * such as `rancher-metadata` or `localhost`, or one below `rancher.internal`; none in HTTP/1.0. Who
 * owns another name may let it lead here, and so have a browser read for a page of his what it would
 * not let a page of another origin read (DNS rebinding); nobody owns these.
 */
export function isOwnHost(host: string | null): boolean {
  if (host === null || host === "") return true
  const before = known.get(host)
  if (before !== undefined) return before
  const isOwn = check(host)
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(host, isOwn)
  return isOwn
}

function check(host: string): boolean {
  const name = host.toLowerCase().replace(/\.?(:\d*)?$/, "")
  // What has no dot is an IPv6 address, a single label, or nothing that a browser sends.
  if (!name.includes(".") || name.endsWith(OWN_ZONE)) return true
  try {
    parseAddress(name)
    return true
  } catch {
    return false
  }
}
