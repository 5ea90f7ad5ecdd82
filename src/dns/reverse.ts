import type { Address } from "../core/address.ts"

const OCTET = /^(?:0|[1-9]\d{0,2})$/
const NIBBLE = /^[0-9a-f]$/

/** The addresses that a name below in-addr.arpa or ip6.arpa is about. */
export interface ReverseName {
  readonly first: Address
  readonly last: Address
  /** It is above the names of single addresses. */
  readonly isPrefix: boolean
}

/** Reads such a name (RFC 1035 §3.5, RFC 3596 §2.5); undefined for others, and for all addresses. */
export function readReverse(name: string): ReverseName | undefined {
  const [top, family, ...labels] = name.toLowerCase().split(".").reverse()
  if (top !== "arpa") return undefined
  if (family === "in-addr") {
    const taken = leading(labels, 4, (label) => OCTET.test(label) && Number(label) < 256)
    const bytes = (rest: number) =>
      Uint8Array.from({ length: 4 }, (_, at) => Number(taken[at] ?? rest))
    return range(4, labels, taken, 4, bytes)
  }
  if (family !== "ip6") return undefined
  const taken = leading(labels, 32, (label) => NIBBLE.test(label))
  const bytes = (rest: number) =>
    Uint8Array.fromHex(taken.join("").padEnd(32, rest === 0 ? "0" : "f"))
  return range(6, labels, taken, 32, bytes)
}

/** The labels from the first on that are of an address, and no more than one has. */
function leading(
  labels: readonly string[],
  most: number,
  isPart: (label: string) => boolean,
): readonly string[] {
  const end = labels.slice(0, most).findIndex((label) => !isPart(label))
  return labels.slice(0, end < 0 ? most : end)
}

function range(
  family: 4 | 6,
  labels: readonly string[],
  taken: readonly string[],
  most: number,
  bytes: (rest: number) => Uint8Array,
): ReverseName | undefined {
  if (taken.length === 0) return undefined
  const isPrefix = taken.length === labels.length && taken.length < most
  return { first: { family, bytes: bytes(0) }, last: { family, bytes: bytes(255) }, isPrefix }
}
