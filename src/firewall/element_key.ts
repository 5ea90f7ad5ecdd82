import type { SetElement } from "../netlink/nftables/element.ts"

/** One text per element, equal exactly for elements that match the same packets. */
export function elementKey({ key, keyEnd, intervalEnd }: SetElement): string {
  const hex = (bytes: Uint8Array): string => bytes.toHex()
  return `${hex(key)}-${keyEnd === undefined ? "" : hex(keyEnd)}${intervalEnd ? "!" : ""}`
}
