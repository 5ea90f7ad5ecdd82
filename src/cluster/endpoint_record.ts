/** The record under `endpoints/<network>/<address>`: the container that has it. */

import { addressesOf, mapOf, refuseBody, textOf, textsOf } from "./host_record.ts"

/** A container of another host, with what metadata and DNS tell of it. */
export interface EndpointRecord {
  readonly uuid: string
  readonly containerId: string
  readonly name: string
  /** Canonical, the primary one first; the key's address is among them. */
  readonly addresses: readonly string[]
  readonly mac: string | undefined
  readonly labels: Readonly<Record<string, string>>
  /** Grows with each container of its host. */
  readonly createIndex: number
}

/** The record as JSON for an envelope. */
export function endpointBody(record: EndpointRecord): unknown {
  return { ...record, mac: record.mac ?? null }
}

/** Reads a body that was opened. @throws PeerRefusedError `body` */
export function parseEndpointRecord(body: unknown): EndpointRecord {
  const record = mapOf(body, "endpoint")
  const { mac, createIndex } = record
  if (typeof createIndex !== "number" || !Number.isSafeInteger(createIndex) || createIndex < 0) {
    throw refuseBody("createIndex is no count")
  }
  return {
    uuid: textOf(record.uuid, "uuid"),
    containerId: textOf(record.containerId, "containerId"),
    name: textOf(record.name, "name"),
    addresses: addressesOf(record.addresses, "addresses"),
    mac: mac === null ? undefined : textOf(mac, "mac"),
    labels: textsOf(record.labels, "labels"),
    createIndex,
  }
}
