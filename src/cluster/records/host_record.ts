/** The record under `hosts/<hostId>`: what a host says of itself. */

import { type Address, parseAddress } from "../../core/address.ts"
import { fitLabels, labelsOf } from "./labels.ts"
import { BodyReader } from "./record_body.ts"

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
/** No control characters: it is shown on terminals and written to logs. */
const NAME = /^[^\p{Cc}\p{Zl}\p{Zp}]{1,253}$/u
const PARAMETERS = { most: 32, key: 64, value: 1024 }

/** The record as JSON for an envelope; labels that do not fit are left out. */
export function hostBody(record: HostRecord): unknown {
  return { ...record, labels: fitLabels(record.labels) }
}

/** Reads a body that was opened. @throws PeerRefusedError `host` saying what is wrong */
export function parseHostRecord(body: unknown): HostRecord {
  const reader = new BodyReader("host", body)
  const networks = reader
    .entries("networks", MAX_NETWORKS)
    .map(([name, value]) => [name, parseNetwork(value)] as const)
  return {
    name: reader.text("name", NAME),
    underlay: underlayOf(reader),
    labels: labelsOf(reader, "labels"),
    networks: Object.fromEntries(networks),
  }
}

function parseNetwork(value: unknown): HostNetwork {
  const reader = new BodyReader("host", value)
  return {
    driver: reader.text("driver", DRIVER),
    overlay: reader.addresses("overlay", 0, MAX_ADDRESSES),
    parameters: reader.texts("parameters", PARAMETERS),
  }
}

function underlayOf(reader: BodyReader): readonly string[] {
  const underlay = reader.addresses("underlay", 0, MAX_ADDRESSES)
  const odd = underlay.find((address) => !isOfOneHost(parseAddress(address)))
  if (odd === undefined) return underlay
  throw reader.refusal(`underlay holds ${odd}, by which no other host is reached`)
}

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
