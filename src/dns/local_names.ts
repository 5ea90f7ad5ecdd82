import { encodeName, endsInName } from "./name.ts"
import { TYPE_DNSKEY, TYPE_DS, TYPE_NS, TYPE_SOA } from "./wire.ts"

/**
 * Names that stand for something else on each link (RFC 6762 §3), and those that must not be told to
 * any name server (RFC 7686 §2).
 */
const LOCAL_ZONES = ["local", "onion"].map((name) => encodeName(name) ?? new Uint8Array(0))

/** What is asked of top-level domains, by resolvers and validators. */
const OF_ZONES: ReadonlySet<number> = new Set([TYPE_NS, TYPE_SOA, TYPE_DS, TYPE_DNSKEY])

/**
 * Whether a name that is none of ours is not there for anybody else either, and not to be told to
 * other servers: one of a single label, which somebody's search would have made whole, and names
 * below `local` and `onion`.
 *
 * @param start where its labels begin, and `end` where the root's zero is
 */
export function staysLocal(bytes: Uint8Array, start: number, end: number, type: number): boolean {
  const isSingle = end > start && end === start + 1 + (bytes[start] ?? 0)
  if (isSingle && !OF_ZONES.has(type)) return true
  return LOCAL_ZONES.some((zone) => endsInName(bytes, start, end, zone))
}
