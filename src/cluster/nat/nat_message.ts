/**
 * The three messages by which two hosts learn whether addresses change between them, as bytes. All
 * have one length, so that nobody can make a host send more than he sent himself.
 */

import { createHmac, timingSafeEqual } from "node:crypto"
import { type Address, formatAddress, parseAddress } from "../../core/address.ts"

/** An address, as text, and a port. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** `request` asks, `answer` tells, `confirm` shows that the answer arrived. */
export type NatMessageKind = "request" | "answer" | "confirm"

/** One message. */
export interface NatMessage {
  readonly kind: NatMessageKind
  /** Numbers of the hosts in their cluster. */
  readonly sender: number
  readonly receiver: number
  /** 16 random bytes of who asks. */
  readonly nonce: Uint8Array
  /** 16 bytes of who answers; zeros in a request. */
  readonly cookie: Uint8Array
  /** Where its sender believes to send from. */
  readonly near: Endpoint
  /** Where it is sent to; in an answer, where the request was seen to come from. */
  readonly far: Endpoint
  /** Whether its sender wants ESP in UDP, whatever the other finds. */
  readonly encapsulate: boolean
}

/** "LNAT" and the version of this format. */
const MAGIC = Uint8Array.of(0x4c, 0x4e, 0x41, 0x54, 1)
const KINDS: readonly NatMessageKind[] = ["request", "answer", "confirm"]

const KIND_AT = 5
const FLAGS_AT = 6
const SENDER_AT = 8
const RECEIVER_AT = 10
const NONCE_AT = 16
const COOKIE_AT = 32
const NEAR_AT = 48
const FAR_AT = 68
const MAC_AT = 88
/** Family (1), zero (1), port (2), address (16, an IPv4 one in the first four). */
const ENDPOINT_BYTES = 20
export const NONCE_BYTES = 16
/** HMAC-SHA-256 cut to half its length, as RFC 4868 does. */
const MAC_BYTES = 16

/** Bytes of every message. */
export const NAT_MESSAGE_BYTES = MAC_AT + MAC_BYTES

/** Keeps its MACs apart from those of other uses of a key. */
const DOMAIN = "lariat nat detection 1\0"

/** @param key of the two hosts; both ends derive the same */
export function encodeNatMessage(message: NatMessage, key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(NAT_MESSAGE_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  bytes[KIND_AT] = KINDS.indexOf(message.kind) + 1
  bytes[FLAGS_AT] = message.encapsulate ? 1 : 0
  view.setUint16(SENDER_AT, message.sender, false)
  view.setUint16(RECEIVER_AT, message.receiver, false)
  bytes.set(message.nonce.subarray(0, NONCE_BYTES), NONCE_AT)
  bytes.set(message.cookie.subarray(0, NONCE_BYTES), COOKIE_AT)
  writeEndpoint(bytes, NEAR_AT, message.near)
  writeEndpoint(bytes, FAR_AT, message.far)
  bytes.set(macOf(bytes, key), MAC_AT)
  return bytes
}

/**
 * Reads a message whose MAC holds.
 *
 * @param keyOf the key shared with a host, by its number; undefined for a stranger
 * @returns undefined for anything else: whoever sends nonsense gets no answer and no log line
 */
export function decodeNatMessage(
  bytes: Uint8Array,
  keyOf: (sender: number) => Uint8Array | undefined,
): NatMessage | undefined {
  if (bytes.length !== NAT_MESSAGE_BYTES) return undefined
  if (!MAGIC.every((byte, index) => bytes[index] === byte)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sender = view.getUint16(SENDER_AT, false)
  const key = keyOf(sender)
  if (key === undefined) return undefined
  if (!timingSafeEqual(macOf(bytes, key), bytes.subarray(MAC_AT))) return undefined
  const kind = KINDS[(bytes[KIND_AT] ?? 0) - 1]
  const near = readEndpoint(bytes, NEAR_AT)
  const far = readEndpoint(bytes, FAR_AT)
  if (kind === undefined || near === undefined || far === undefined) return undefined
  return {
    kind,
    sender,
    receiver: view.getUint16(RECEIVER_AT, false),
    nonce: bytes.slice(NONCE_AT, NONCE_AT + NONCE_BYTES),
    cookie: bytes.slice(COOKIE_AT, COOKIE_AT + NONCE_BYTES),
    near,
    far,
    encapsulate: (bytes[FLAGS_AT] ?? 0) === 1,
  }
}

function macOf(bytes: Uint8Array, key: Uint8Array): Uint8Array {
  const mac = createHmac("sha256", key).update(DOMAIN).update(bytes.subarray(0, MAC_AT)).digest()
  return mac.subarray(0, MAC_BYTES)
}

function writeEndpoint(bytes: Uint8Array, at: number, { address, port }: Endpoint): void {
  const { family, bytes: value } = parseAddress(address)
  bytes[at] = family
  new DataView(bytes.buffer).setUint16(at + 2, port, false)
  bytes.set(value, at + 4)
}

function readEndpoint(bytes: Uint8Array, at: number): Endpoint | undefined {
  const family = bytes[at]
  if (family !== 4 && family !== 6) return undefined
  const part = bytes.slice(at, at + ENDPOINT_BYTES)
  const value: Address = { family, bytes: part.slice(4, family === 4 ? 8 : 20) }
  return { address: formatAddress(value), port: new DataView(part.buffer).getUint16(2, false) }
}

/** Whether both are the same; addresses are compared by value. */
export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  if (a.port !== b.port) return false
  return a.address === b.address || canonical(a.address) === canonical(b.address)
}

function canonical(address: string): string {
  return formatAddress(parseAddress(address))
}
