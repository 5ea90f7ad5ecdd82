/** The record under `hosts/<hostId>`: what a host says of itself. */

import { formatAddress, parseAddress } from "../core/address.ts"
import { PeerRefusedError } from "./envelope.ts"

/** A host's part in one network. */
export interface HostNetwork {
  readonly driver: string
  /** The host's own addresses on the network, canonical. */
  readonly overlay: readonly string[]
  /** What the driver says of itself: a VTEP's MAC, a WireGuard key. */
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
const MAX_NETWORKS = 16
const MAX_ENTRIES = 256
const MAX_TEXT = 1024

/** Reads a body that was opened. @throws PeerRefusedError `body` */
export function parseHostRecord(body: unknown): HostRecord {
  const record = mapOf(body, "host")
  const networks = Object.entries(mapOf(record.networks, "networks", MAX_NETWORKS)).map(
    ([name, value]) => {
      const network = mapOf(value, "network")
      return [
        name,
        {
          driver: textOf(network.driver, "driver"),
          overlay: addressesOf(network.overlay, "overlay"),
          parameters: textsOf(network.parameters, "parameters"),
        },
      ] as const
    },
  )
  return {
    name: textOf(record.name, "name"),
    underlay: addressesOf(record.underlay, "underlay"),
    labels: textsOf(record.labels, "labels"),
    networks: Object.fromEntries(networks),
  }
}

/** @throws PeerRefusedError `body` saying what is wrong */
export function refuseBody(why: string): PeerRefusedError {
  return new PeerRefusedError("body", `Cannot take a record: body: ${why}`)
}

/** A map with at most so many entries. */
export function mapOf(
  value: unknown,
  what: string,
  most = MAX_ENTRIES,
): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuseBody(`${what} is no map`)
  }
  if (Object.keys(value).length > most) throw refuseBody(`${what} has more than ${most} entries`)
  return value as Readonly<Record<string, unknown>>
}

export function textOf(value: unknown, what: string): string {
  if (typeof value === "string" && value.length <= MAX_TEXT) return value
  throw refuseBody(`${what} is no text of at most ${MAX_TEXT} characters`)
}

export function textsOf(value: unknown, what: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(mapOf(value, what)).map(([key, text]) => [
      textOf(key, what),
      textOf(text, what),
    ]),
  )
}

/** Canonical addresses, at most eight. */
export function addressesOf(value: unknown, what: string): string[] {
  if (!Array.isArray(value) || value.length > MAX_ADDRESSES) {
    throw refuseBody(`${what} is no list of at most ${MAX_ADDRESSES} addresses`)
  }
  return value.map((one) => {
    try {
      const address = formatAddress(parseAddress(textOf(one, what)))
      if (address === one) return address
    } catch {
      // Said below.
    }
    throw refuseBody(`${what} holds something that is no canonical address`)
  })
}
