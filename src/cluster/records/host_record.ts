/** The record under `hosts/<hostId>`: what a host says of itself. */

import * as z from "zod/mini"
import { read, refuse } from "../../config/value_schema.ts"
import { type Address, parseAddress } from "../../core/address.ts"
import { fitLabels, labels } from "./labels.ts"
import { addresses, bodyReader, map, name, text } from "./record_body.ts"

/** A host's part in one network. */
export interface HostNetwork {
  /** The driver's kind, `ipsec`. */
  readonly driver: string
  /** The host's own addresses on the network, canonical. */
  readonly overlay: readonly string[]
  /** What the driver says of itself: a VTEP's MAC, a WireGuard key, a UDP port. */
  readonly parameters: Readonly<Record<string, string>>
}

/** What a host says of itself. */
export interface HostRecord {
  readonly name: string
  /** Where other hosts reach it, canonical. */
  readonly underlay: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** By the network's name. */
  readonly networks: Readonly<Record<string, HostNetwork>>
}

const MAX_ADDRESSES = 8
/** As many as there are network numbers. */
const MAX_NETWORKS = 16
const DRIVER = /^[a-z][a-z0-9-]{0,31}$/
const MAX_PARAMETERS = 32
const MAX_PARAMETER_KEY = 64
const MAX_PARAMETER_VALUE = 1024

/** The record as JSON for an envelope; labels that do not fit are left out. */
export function hostBody(record: HostRecord): unknown {
  return { ...record, labels: fitLabels(record.labels) }
}

const parameter = z.string().check(z.maxLength(MAX_PARAMETER_VALUE))
const network = z.object({
  driver: text(DRIVER),
  overlay: addresses(0, MAX_ADDRESSES),
  parameters: map(MAX_PARAMETERS, parameter, MAX_PARAMETER_KEY),
})
const underlay = read(addresses(0, MAX_ADDRESSES), (all, context) => {
  const odd = all.find((address) => !isOfOneHost(parseAddress(address)))
  if (odd === undefined) return all
  return refuse(context, `holds ${odd}, by which no other host is reached`)
})

/** Reads a body that was opened. @throws PeerRefusedError `host` saying what is wrong */
export const parseHostRecord: (body: unknown) => HostRecord = bodyReader(
  "host",
  z.object({ name, underlay, labels, networks: map(MAX_NETWORKS, network) }),
)

/**
 * Whether an address can be one host's on a network of several: not unspecified, loopback,
 * multicast or broadcast (RFC 1122 §3.2.1.3, RFC 1112 §4), nor link-local in IPv6, which says
 * nothing without its link (RFC 4291 §2.5 to 2.7).
 */
function isOfOneHost({ family, bytes }: Address): boolean {
  const [first = 0, second = 0] = bytes
  if (family === 4) return first !== 0 && first !== 127 && first < 224
  if (first === 0xff || (first === 0xfe && (second & 0xc0) === 0x80)) return false
  return bytes.subarray(0, 15).some((byte) => byte !== 0) || (bytes[15] ?? 0) > 1
}
