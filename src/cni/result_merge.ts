/** Chained plugins: what one adds to the result of those before it. */

import type { AttachDns, AttachInterface, AttachResult } from "./result.ts"

/**
 * The previous result amended by our own: the previous entries keep their order and places, ours
 * follow; what both have stands once. An interface of the same name in the same namespace is the
 * same one, and ours says what it is now. Our name servers come before the previous ones, because
 * only they know the names of this network.
 */
export function mergeResults(previous: AttachResult, own: AttachResult): AttachResult {
  const interfaces = [...previous.interfaces]
  const placeOf = own.interfaces.map((link) => {
    const place = interfaces.findIndex((other) => sameInterface(other, link))
    if (place < 0) return interfaces.push(link) - 1
    interfaces[place] = { ...interfaces[place], ...said(link) }
    return place
  })
  const ips = own.ips.map((ip) =>
    ip.interface === undefined ? ip : { ...ip, interface: placeOf[ip.interface] },
  )
  return {
    interfaces,
    ips: union(previous.ips, ips),
    routes: union(previous.routes, own.routes),
    dns: mergeDns(previous.dns, own.dns),
  }
}

function sameInterface(a: AttachInterface, b: AttachInterface): boolean {
  return a.name === b.name && (a.sandbox ?? "") === (b.sandbox ?? "")
}

function mergeDns(previous: AttachDns, own: AttachDns): AttachDns {
  const domain = own.domain ?? previous.domain
  return {
    nameservers: union(own.nameservers, previous.nameservers),
    search: union(own.search, previous.search),
    options: union(own.options, previous.options),
    ...(domain === undefined ? {} : { domain }),
  }
}

/** The object without keys whose value is undefined, so that they hide nothing of another. */
function said<T extends object>(entry: T): T {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as T
}

/** Both lists in order, equal entries once. */
function union<T>(first: readonly T[], second: readonly T[]): T[] {
  const seen = new Map<string, T>()
  for (const entry of [...first, ...second]) {
    const key = identity(entry)
    if (!seen.has(key)) seen.set(key, entry)
  }
  return [...seen.values()]
}

/** Equal for entries that say the same, in whatever order their keys stand. */
function identity(entry: unknown): string {
  if (typeof entry !== "object" || entry === null) return String(entry)
  return JSON.stringify(Object.entries(said(entry)).sort(([a], [b]) => (a < b ? -1 : 1)))
}
