/** The record under `endpoints/<network>/<address>`: the container that has it. */

import { fitLabels, labelsOf } from "./labels.ts"
import { BodyReader } from "./record_body.ts"

/** A container of another host, with what metadata and DNS tell of it. */
export interface EndpointRecord {
  /** The same on all hosts and for as long as the container is. */
  readonly uuid: string
  readonly containerId: string
  /** By which other containers find it. */
  readonly name: string
  /** Canonical, the primary one first; the key's address is among them. */
  readonly addresses: readonly string[]
  /** Lower case with colons; undefined where it is not known. */
  readonly mac: string | undefined
  readonly labels: Readonly<Record<string, string>>
  /** Grows with each container of its host. */
  readonly createIndex: number
}

/** The most addresses of one container. */
const MAX_ADDRESSES = 8
/** Visible characters without blanks, as engines' ids are. */
const ID = /^[\x21-\x7e]{1,128}$/
/** No control characters: it is shown on terminals and written to logs. */
const NAME = /^[^\p{Cc}\p{Zl}\p{Zp}]{1,253}$/u
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/

/** The record as JSON for an envelope; labels that do not fit are left out. */
export function endpointBody(record: EndpointRecord): unknown {
  const mac = record.mac?.toLowerCase() ?? null
  return { ...record, labels: fitLabels(record.labels), mac }
}

/** Reads a body that was opened. @throws PeerRefusedError `endpoint` saying what is wrong */
export function parseEndpointRecord(body: unknown): EndpointRecord {
  const reader = new BodyReader("endpoint", body)
  return {
    uuid: reader.text("uuid", NAME),
    containerId: reader.text("containerId", ID),
    name: reader.text("name", NAME),
    addresses: reader.addresses("addresses", 1, MAX_ADDRESSES),
    mac: reader.isNull("mac") ? undefined : reader.text("mac", MAC),
    labels: labelsOf(reader, "labels"),
    createIndex: reader.integer("createIndex", 0, Number.MAX_SAFE_INTEGER),
  }
}
