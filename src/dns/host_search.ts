/** The host's own search domains, tried for what its containers ask of other servers. */
import type { Recursion } from "./answer.ts"
import { nameText } from "./name.ts"
import { HEADER_BYTES, TYPE_A, TYPE_AAAA } from "./wire.ts"

/**
 * What to ask other servers for, one after the other until one is there: a name of one label with
 * each of the host's search domains behind it, as its own programs look it up (resolv.conf(5), ndots
 * 1), then as it is, which the server leaves out where such names stay here. The answer says that the
 * name is an alias of the longer one.
 *
 * @param domains without a dot at either end
 */
export function candidatesOf(asked: Recursion, domains: readonly string[]): readonly Recursion[] {
  const { bytes, nameEnd, type, alias } = asked
  const label = bytes[HEADER_BYTES] ?? 0
  const isOneLabel = label > 0 && HEADER_BYTES + 1 + label === nameEnd
  if (alias !== undefined || !isOneLabel || (type !== TYPE_A && type !== TYPE_AAAA)) return [asked]
  const name = nameText(bytes, HEADER_BYTES, nameEnd)
  return [...domains.map((domain) => ({ ...asked, alias: `${name}.${domain}` })), asked]
}
