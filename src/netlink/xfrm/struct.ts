/** The structures that associations and policies have in common (linux/xfrm.h). */

import {
  type Family,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../core/address.ts"
import { familyNumber } from "../addr_codec.ts"
import { AF_INET6 } from "../constants.ts"
import type { MessageWriter } from "../message.ts"
import { XFRM_ADDRESS_BYTES, XFRM_INF } from "./constants.ts"

/** When an association or a policy is reported (soft) and when it ends (hard). Default: never. */
export interface Lifetimes {
  readonly softBytes?: bigint | undefined
  readonly softPackets?: bigint | undefined
  /** Seconds after it was made. */
  readonly softSeconds?: bigint | undefined
  readonly hardSeconds?: bigint | undefined
}

/** What has passed. */
export interface Usage {
  readonly bytes: bigint
  readonly packets: bigint
}

/** Which packets: by source and destination prefix. */
export interface Selector {
  /** Canonical. */
  readonly source: string
  readonly destination: string
}

/** An address of either family fills 16 bytes, from the left. */
export function putXfrmAddress(writer: MessageWriter, address: string | undefined): void {
  const bytes = address === undefined ? new Uint8Array(0) : parseAddress(address).bytes
  writer.bytes(bytes).zeros(XFRM_ADDRESS_BYTES - bytes.length)
}

/** struct xfrm_selector; all zero where there is none. */
export function putSelector(writer: MessageWriter, selector: Selector | undefined): void {
  const source = selector === undefined ? undefined : parsePrefix(selector.source)
  const destination = selector === undefined ? undefined : parsePrefix(selector.destination)
  putPrefixAddress(writer, destination)
  putPrefixAddress(writer, source)
  // Ports and their masks.
  writer.zeros(8)
  const family = source === undefined ? 0 : familyNumber(source.family)
  writer
    .u16(family)
    .u8(destination?.length ?? 0)
    .u8(source?.length ?? 0)
  // Protocol, padding, interface, user.
  writer.zeros(12)
}

/** struct xfrm_lifetime_cfg. */
export function putLifetimes(writer: MessageWriter, lifetimes: Lifetimes = {}): void {
  const { softBytes, softPackets, softSeconds = 0n, hardSeconds = 0n } = lifetimes
  writer.u64(softBytes ?? XFRM_INF).u64(XFRM_INF)
  writer.u64(softPackets ?? XFRM_INF).u64(XFRM_INF)
  // Times of 0 are none.
  writer.u64(softSeconds).u64(hardSeconds).u64(0n).u64(0n)
}

/** struct xfrm_lifetime_cur at an offset. */
export function readUsage(view: DataView, offset: number): Usage {
  return { bytes: view.getBigUint64(offset, true), packets: view.getBigUint64(offset + 8, true) }
}

/** struct xfrm_selector at an offset. */
export function readSelector(view: DataView, offset: number): Selector {
  const family: Family = view.getUint16(offset + 40, true) === AF_INET6 ? 6 : 4
  const prefix = (at: number, length: number): string =>
    formatPrefix({
      family,
      bytes: bytesAt(view, at, family),
      length: Math.min(length, family === 4 ? 32 : 128),
    })
  return {
    destination: prefix(offset, view.getUint8(offset + 42)),
    source: prefix(offset + 16, view.getUint8(offset + 43)),
  }
}

/** xfrm_address_t at an offset. */
export function readXfrmAddress(view: DataView, offset: number, family: Family): string {
  return formatAddress({ family, bytes: bytesAt(view, offset, family) })
}

function bytesAt(view: DataView, offset: number, family: Family): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, family === 4 ? 4 : 16).slice()
}

function putPrefixAddress(writer: MessageWriter, prefix: Prefix | undefined): void {
  const bytes = prefix?.bytes ?? new Uint8Array(0)
  writer.bytes(bytes).zeros(XFRM_ADDRESS_BYTES - bytes.length)
}
