import type { Address } from "../core/address.ts"

const OCTET = /^(?:0|[1-9]\d{0,2})$/

/**
 * The address that a name below in-addr.arpa or ip6.arpa stands for (RFC 1035 §3.5, RFC 3596 §2.5);
 * undefined for other names, and for those that stand for a prefix.
 */
export function addressOfReverse(name: string): Address | undefined {
  const labels = name.toLowerCase().split(".").reverse()
  const [top, family, ...parts] = labels
  if (top !== "arpa") return undefined
  if (family === "in-addr" && parts.length === 4) {
    const octets = parts.map((part) => (OCTET.test(part) ? Number(part) : 256))
    return octets.every((octet) => octet < 256)
      ? { family: 4, bytes: Uint8Array.from(octets) }
      : undefined
  }
  if (family !== "ip6" || parts.length !== 32) return undefined
  if (!parts.every((part) => /^[0-9a-f]$/.test(part))) return undefined
  return { family: 6, bytes: Uint8Array.fromHex(parts.join("")) }
}
