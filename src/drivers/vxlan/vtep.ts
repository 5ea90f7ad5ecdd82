/** A host's end of a VXLAN network (VTEP), and what hosts tell each other of it. */

import { createHash } from "node:crypto"
import type { Family } from "../../core/address.ts"
import { formatMac, isInterfaceMac, parseMac } from "../../core/mac.ts"

/** What hosts tell each other. */
export interface Vtep {
  readonly mac: string
  readonly vni: number
  readonly port: number
  /** Of the addresses that it sends to and from. */
  readonly family: Family
}

/** First octet, bit 1: locally administered; bit 0, of groups, is clear (IEEE 802 §8.2). */
const LOCAL = 0x02
const GROUP = 0x01

/** The MAC of a host's VTEP: the same after every restart, and different on every host. */
export function vtepMac(hostId: string, network: string): string {
  // Lengths keep two texts apart that meet in one when put together.
  const text = `lariat vtep ${hostId.length}:${hostId} ${network.length}:${network}`
  const bytes = new Uint8Array(createHash("sha256").update(text).digest()).slice(0, 6)
  bytes[0] = ((bytes[0] ?? 0) & ~GROUP) | LOCAL
  return formatMac(bytes)
}

/** As a host announces it. */
export function vtepParameters({ mac, vni, port, family }: Vtep): Record<string, string> {
  return { mac, vni: `${vni}`, port: `${port}`, family: `${family}` }
}

/**
 * Reads what another host announces, which may be anything.
 *
 * @returns its MAC, lower case; or why it cannot be spoken to
 */
export function readVtep(
  parameters: Readonly<Record<string, string>>,
  own: Omit<Vtep, "mac">,
): { readonly mac: string } | { readonly reason: string } {
  for (const [what, name] of [
    ["vni", "VNI"],
    ["port", "UDP port"],
    ["family", "IP version"],
  ] as const) {
    const theirs = parameters[what]
    if (theirs !== undefined && theirs !== `${own[what]}`) {
      return { reason: `it uses ${name} ${short(theirs)}, and this host ${own[what]}` }
    }
  }
  const mac = parameters.mac
  if (mac === undefined) return { reason: "it has not said the MAC of its VTEP" }
  try {
    const bytes = parseMac(mac)
    if (isInterfaceMac(bytes)) return { mac: formatMac(bytes) }
  } catch {
    // Said below.
  }
  return { reason: `the MAC of its VTEP is none: ${short(mac)}` }
}

function short(text: string): string {
  return JSON.stringify(text.length > 32 ? `${text.slice(0, 32)}…` : text)
}
