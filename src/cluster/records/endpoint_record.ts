/** The record under `endpoints/<network>/<address>`: the container that has it. */

import * as z from "zod/mini"
import { read } from "../../config/value_schema.ts"
import { fitLabels, labels } from "./labels.ts"
import { addresses, bodyReader, integer, name, text } from "./record_body.ts"

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
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/

/** The record as JSON for an envelope; labels that do not fit are left out. */
export function endpointBody(record: EndpointRecord): unknown {
  const mac = record.mac?.toLowerCase() ?? null
  return { ...record, labels: fitLabels(record.labels), mac }
}

/** Reads a body that was opened. @throws PeerRefusedError `endpoint` saying what is wrong */
export const parseEndpointRecord: (body: unknown) => EndpointRecord = bodyReader(
  "endpoint",
  z.object({
    uuid: name,
    containerId: text(ID),
    name,
    addresses: addresses(1, MAX_ADDRESSES),
    mac: read(z.nullable(text(MAC)), (mac) => mac ?? undefined),
    labels,
    createIndex: integer(0, Number.MAX_SAFE_INTEGER),
  }),
)
