/** Security associations: what can be asked of the kernel about them. */

import { type Family, familyOf } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { familyNumber } from "../addr_codec.ts"
import { parseBody } from "../attribute.ts"
import { AF_INET6, NLM_F_CREATE, NLM_F_EXCL } from "../constants.ts"
import { type Message, MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import * as x from "./constants.ts"
import {
  type Lifetimes,
  putLifetimes,
  putSelector,
  putXfrmAddress,
  readUsage,
  readXfrmAddress,
  type Usage,
} from "./struct.ts"

/** One algorithm with its key, by the kernel's name. Keys never appear in an error. */
export interface XfrmAlgorithm {
  readonly name: string
  readonly key: Uint8Array
  /** Of the integrity value, bits; for encryption alone: undefined. */
  readonly icvBits?: number | undefined
}

/** How an association protects packets: one algorithm for both, or two. */
export type XfrmProtection =
  | { readonly aead: XfrmAlgorithm }
  | { readonly encryption: XfrmAlgorithm; readonly integrity: XfrmAlgorithm }

/** ESP in UDP. */
export interface XfrmEncapsulation {
  readonly sourcePort: number
  readonly destinationPort: number
}

/** One direction between two hosts, ESP in tunnel mode, for packets of both families. */
export interface NewState {
  /** Address outside that it comes from. */
  readonly source: string
  readonly destination: string
  readonly spi: number
  readonly reqid: number
  readonly protection: XfrmProtection
  /** Packets that may come out of order; 0 to 4096. With ESN, which both sides have or not. */
  readonly replayWindow: number
  readonly ifId?: number | undefined
  readonly encapsulation?: XfrmEncapsulation | undefined
  readonly lifetimes?: Lifetimes | undefined
}

/** Names an association. */
export interface StateId {
  readonly destination: string
  readonly spi: number
}

/** An association that the kernel has; its keys are not read. */
export interface StateInfo extends StateId {
  readonly source: string
  readonly reqid: number
  readonly ifId: number
  /** Undefined: ESP alone. */
  readonly encapsulation: XfrmEncapsulation | undefined
  readonly usage: Usage
  /** Packets thrown away. */
  readonly replayed: number
  readonly unauthentic: number
}

/** struct xfrm_algo: name (64), key length in bits. */
const ALGORITHM_NAME_BYTES = 64

/**
 * The message that makes an association; EEXIST when the host has one of that SPI.
 *
 * @throws LariatError code `config-invalid` when an address is none
 */
export function newState(state: NewState): MessageWriter {
  const { source, destination, spi } = state
  const writer = new MessageWriter(x.XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, {
    operation: `add the association ${spiText(spi)} from ${source} to ${destination}`,
  })
  return putState(writer, state)
}

/**
 * The message that changes the ports and limits of an association; ESRCH when there is none, EINVAL
 * when it has no ports. Keys and sequence stay: `protection` must be well formed and is not used
 * (`xfrm_state_update` of net/xfrm/xfrm_state.c).
 *
 * @throws LariatError code `config-invalid` when an address is none
 */
export function updateState(state: NewState): MessageWriter {
  const writer = new MessageWriter(x.XFRM_MSG_UPDSA, 0, {
    operation: `change the ports of the association ${spiText(state.spi)}`,
  })
  return putState(writer, state)
}

function putState(writer: MessageWriter, state: NewState): MessageWriter {
  const { source, destination, spi, reqid, protection, replayWindow } = state
  putSelector(writer, undefined)
  putXfrmAddress(writer, destination)
  writer.u32be(spi).u8(x.IPPROTO_ESP).zeros(3)
  putXfrmAddress(writer, source)
  putLifetimes(writer, state.lifetimes)
  // What has passed (32), statistics (12), sequence.
  writer.zeros(48)
  const flags = x.XFRM_STATE_AF_UNSPEC | (replayWindow > 0 ? x.XFRM_STATE_ESN : 0)
  // The window of the header holds 32 packets; the attribute counts.
  writer
    .u32(reqid)
    .u16(familyNumber(familyOf(destination)))
    .u8(x.XFRM_MODE_TUNNEL)
    .u8(0)
    .u8(flags)
    .zeros(7)
  putProtection(writer, protection)
  if (replayWindow > 0) {
    const words = Math.ceil(Math.min(replayWindow, x.MAX_REPLAY_WINDOW) / 32)
    writer.nested(x.XFRMA_REPLAY_ESN_VAL, () => {
      // The kernel makes the bitmap itself; sent along it would only be zeros.
      writer.u32(words).zeros(16).u32(replayWindow)
    })
  }
  if (state.encapsulation !== undefined) putEncapsulation(writer, state.encapsulation)
  if (state.ifId !== undefined) writer.attrU32(x.XFRMA_IF_ID, state.ifId)
  return writer
}

/** The message that deletes an association; ESRCH when there is none. */
export function deleteState({ destination, spi }: StateId): MessageWriter {
  const writer = new MessageWriter(x.XFRM_MSG_DELSA, 0, {
    operation: `delete the association ${spiText(spi)} to ${destination}`,
  })
  putXfrmAddress(writer, destination)
  return writer
    .u32be(spi)
    .u16(familyNumber(familyOf(destination)))
    .u8(x.IPPROTO_ESP)
    .zeros(1)
}

/** Every ESP association of the namespace. @throws NetlinkError */
export function listStates(socket: Pick<NetlinkSocket, "dump">): StateInfo[] {
  const writer = new MessageWriter(x.XFRM_MSG_GETSA, 0, { operation: "list associations" })
  return socket.dump(writer).flatMap((message) => {
    const state = message.type === x.XFRM_MSG_NEWSA ? decodeState(message) : undefined
    return state === undefined ? [] : [state]
  })
}

/** Reads XFRM_MSG_NEWSA; undefined for another protocol than ESP. @throws LariatError `decode` */
export function decodeState({ payload }: Pick<Message, "payload">): StateInfo | undefined {
  const { header, attributes } = parseBody(payload, x.XFRM_USERSA_INFO_BYTES, "an association")
  if (header.getUint8(76) !== x.IPPROTO_ESP) return undefined
  const family: Family = header.getUint16(212, true) === AF_INET6 ? 6 : 4
  return {
    destination: readXfrmAddress(header, 56, family),
    spi: header.getUint32(72, false),
    source: readXfrmAddress(header, 80, family),
    usage: readUsage(header, 160),
    replayed: header.getUint32(196, true),
    unauthentic: header.getUint32(200, true),
    reqid: header.getUint32(208, true),
    ifId: attributes.u32(x.XFRMA_IF_ID) ?? 0,
    encapsulation: decodeEncapsulation(attributes.get(x.XFRMA_ENCAP)),
  }
}

/** struct xfrm_encap_tmpl: type (2), then the ports in network byte order. */
function decodeEncapsulation(bytes: Uint8Array | undefined): XfrmEncapsulation | undefined {
  if (bytes === undefined || bytes.length < 6) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(0, true) !== x.UDP_ENCAP_ESPINUDP) return undefined
  return { sourcePort: view.getUint16(2, false), destinationPort: view.getUint16(4, false) }
}

/** An SPI as people and tools write it. */
export function spiText(spi: number): string {
  return `0x${spi.toString(16).padStart(8, "0")}`
}

/** @throws LariatError `decode` */
export function tooShort(what: string, payload: Uint8Array): LariatError {
  return new LariatError(`Cannot read ${what}: the kernel sent ${payload.length} bytes`, {
    code: "decode",
  })
}

function putProtection(writer: MessageWriter, protection: XfrmProtection): void {
  if ("aead" in protection) {
    putAlgorithm(writer, x.XFRMA_ALG_AEAD, protection.aead)
    return
  }
  putAlgorithm(writer, x.XFRMA_ALG_AUTH_TRUNC, protection.integrity)
  putAlgorithm(writer, x.XFRMA_ALG_CRYPT, protection.encryption)
}

function putAlgorithm(writer: MessageWriter, type: number, algorithm: XfrmAlgorithm): void {
  const { name, key, icvBits } = algorithm
  const bytes = new TextEncoder().encode(name)
  writer.nested(type, () => {
    writer.bytes(bytes).zeros(ALGORITHM_NAME_BYTES - bytes.length)
    writer.u32(key.length * 8)
    if (icvBits !== undefined) writer.u32(icvBits)
    writer.bytes(key)
  })
}

function putEncapsulation(writer: MessageWriter, encapsulation: XfrmEncapsulation): void {
  writer.nested(x.XFRMA_ENCAP, () => {
    writer.u16(x.UDP_ENCAP_ESPINUDP)
    writer.u16be(encapsulation.sourcePort).u16be(encapsulation.destinationPort)
    // Padding, and the original address, which only transport mode wants.
    writer.zeros(2 + x.XFRM_ADDRESS_BYTES)
  })
}
