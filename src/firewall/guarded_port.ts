import { type Family, parseAddress } from "../core/address.ts"
import { parseMac } from "../core/mac.ts"
import type { SetElement } from "../netlink/nftables/element.ts"
import { interfaceIndex } from "../netlink/nftables/expression.ts"
import { GUARD_SETS } from "./guard.ts"
import type { Contents } from "./layout.ts"

/** A port that may send under its own addresses alone. */
export interface GuardedPort {
  /** Number of the host's end. */
  readonly index: number
  /** Of the container's end. */
  readonly mac: string
  /** Without prefix length, of either family. The link-local one need not be among them. */
  readonly addresses: readonly string[]
}

/**
 * What the sets hold for ports. With an IPv6 address goes the link-local one that the kernel makes
 * from the MAC address.
 *
 * @throws LariatError config-invalid where an address or a MAC address is none
 */
export function guardContents(ports: readonly GuardedPort[]): Contents {
  const all = ports.map(({ index, mac, addresses }) => ({
    port: interfaceIndex(index),
    mac: parseMac(mac),
    addresses: addresses.map(parseAddress),
  }))
  const own = (family: Family): SetElement[] =>
    all.flatMap(({ port, mac, addresses }) => {
      const bytes = addresses.filter((one) => one.family === family).map((one) => one.bytes)
      if (family === 6 && bytes.length > 0) bytes.push(linkLocal(mac))
      return bytes.map((address) => ({ key: fields(port, mac, address) }))
    })
  return new Map([
    [GUARD_SETS.ports.name, all.map(({ port }) => ({ key: port }))],
    [GUARD_SETS.macs.name, all.map(({ port, mac }) => ({ key: fields(port, mac) }))],
    [GUARD_SETS.ipv4.name, own(4)],
    [GUARD_SETS.ipv6.name, own(6)],
  ])
}

/** A key of several fields: each begins at a multiple of four bytes. */
function fields(...parts: readonly Uint8Array[]): Uint8Array {
  const starts = parts.map((_, at) => sizeOf(parts.slice(0, at)))
  const key = new Uint8Array(sizeOf(parts))
  for (const [at, part] of parts.entries()) key.set(part, starts[at])
  return key
}

function sizeOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + ((length + 3) & ~3), 0)
}

/** The universal/local bit of a MAC address, inverted in an interface identifier. */
const LOCAL_BIT = 0x02

/** fe80::/64 and the interface identifier of the MAC address: RFC 4291 appendix A, §2.5.6. */
function linkLocal(mac: Uint8Array): Uint8Array {
  const [first = 0, ...rest] = mac
  return Uint8Array.of(
    ...[0xfe, 0x80, 0, 0, 0, 0, 0, 0],
    ...[first ^ LOCAL_BIT, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)],
  )
}
