/** Netlink messages (struct nlmsghdr) to and from bytes, in host byte order (little endian). */

import { LariatError } from "../errors.ts"
import { align } from "./attribute.ts"
import { NLA_HDRLEN, NLMSG_HDRLEN } from "./constants.ts"

/** A received message; `payload` is a view of the bytes after its 16-byte header. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly seq: number
  /** Port id of the socket that the message answers; 0 in a notification. */
  readonly pid: number
  readonly payload: Uint8Array
}

export interface MessageOptions {
  /**
   * What the message is for, for errors: "create veth lrt0abc". Default: the message's number.
   */
  readonly operation?: string
  /**
   * Whether the kernel is asked to acknowledge it. Default true. The two messages that enclose a
   * batch of nftables are not acknowledged by kernels before 6.10.
   */
  readonly ack?: boolean
}

/** An attribute's length is 16 bits wide. */
const MAX_ATTRIBUTE_BYTES = 0xffff
const INITIAL_BYTES = 512
const encoder = new TextEncoder()

/**
 * Builds one message. Fields of its fixed header come first (`u8`, `u32`, …), then attributes;
 * each attribute is padded to 4 bytes.
 */
export class MessageWriter {
  readonly type: number
  /** NLM_F_* without NLM_F_ACK, which the socket sets. */
  flags: number
  readonly operation: string
  readonly ack: boolean
  #bytes = new Uint8Array(INITIAL_BYTES)
  #view = new DataView(this.#bytes.buffer)
  #length = NLMSG_HDRLEN

  constructor(type: number, flags = 0, options: MessageOptions = {}) {
    this.type = type
    this.flags = flags
    this.operation = options.operation ?? `send netlink message ${type}`
    this.ack = options.ack ?? true
  }

  u8(value: number): this {
    const at = this.#grow(1)
    this.#view.setUint8(at, value)
    return this
  }

  u16(value: number): this {
    const at = this.#grow(2)
    this.#view.setUint16(at, value, true)
    return this
  }

  u16be(value: number): this {
    const at = this.#grow(2)
    this.#view.setUint16(at, value, false)
    return this
  }

  u32(value: number): this {
    const at = this.#grow(4)
    this.#view.setUint32(at, value, true)
    return this
  }

  u32be(value: number): this {
    const at = this.#grow(4)
    this.#view.setUint32(at, value, false)
    return this
  }

  i32(value: number): this {
    const at = this.#grow(4)
    this.#view.setInt32(at, value, true)
    return this
  }

  u64(value: bigint): this {
    const at = this.#grow(8)
    this.#view.setBigUint64(at, value, true)
    return this
  }

  u64be(value: bigint): this {
    const at = this.#grow(8)
    this.#view.setBigUint64(at, value, false)
    return this
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.byteLength)
    this.#bytes.set(value, at)
    return this
  }

  zeros(count: number): this {
    this.#grow(count)
    return this
  }

  /** Fills up to the alignment of 4 bytes. */
  pad(): this {
    this.#grow(align(this.#length) - this.#length)
    return this
  }

  attr(type: number, value: Uint8Array): this {
    this.#header(type, value.byteLength)
    return this.bytes(value).pad()
  }

  attrU8(type: number, value: number): this {
    this.#header(type, 1)
    return this.u8(value).pad()
  }

  attrU16(type: number, value: number): this {
    this.#header(type, 2)
    return this.u16(value).pad()
  }

  attrU16be(type: number, value: number): this {
    this.#header(type, 2)
    return this.u16be(value).pad()
  }

  attrU32(type: number, value: number): this {
    this.#header(type, 4)
    return this.u32(value)
  }

  attrU32be(type: number, value: number): this {
    this.#header(type, 4)
    return this.u32be(value)
  }

  attrU64be(type: number, value: bigint): this {
    this.#header(type, 8)
    return this.u64be(value)
  }

  /** Text with a terminating zero. */
  attrString(type: number, text: string): this {
    const value = encoder.encode(text)
    this.#header(type, value.byteLength + 1)
    return this.bytes(value).u8(0).pad()
  }

  /**
   * An attribute whose payload is what `body` writes. Subsystems that check strictly want
   * `type | NLA_F_NESTED`.
   */
  nested(type: number, body: () => void): this {
    const start = this.#length
    this.#header(type, 0)
    body()
    const length = this.#length - start
    if (length > MAX_ATTRIBUTE_BYTES) throw tooLong(this.operation, type, length)
    this.#view.setUint16(start, length, true)
    return this.pad()
  }

  /**
   * The message's bytes, a view that is valid until the writer is used again. May be called
   * again with another number, to send the same message a second time.
   *
   * @param seq sequence number; answers repeat it
   * @param flags added to the message's own
   */
  finish(seq: number, flags = 0): Uint8Array {
    this.pad()
    this.#view.setUint32(0, this.#length, true)
    this.#view.setUint16(4, this.type, true)
    this.#view.setUint16(6, this.flags | flags, true)
    this.#view.setUint32(8, seq, true)
    this.#view.setUint32(12, 0, true)
    return this.#bytes.subarray(0, this.#length)
  }

  #header(type: number, payload: number): void {
    const length = NLA_HDRLEN + payload
    if (length > MAX_ATTRIBUTE_BYTES) throw tooLong(this.operation, type, length)
    const at = this.#grow(NLA_HDRLEN)
    this.#view.setUint16(at, length, true)
    this.#view.setUint16(at + 2, type, true)
  }

  /**
   * Makes room and answers the offset of it; fresh room is zero. It may replace the buffer and its
   * view: take hold of them only afterwards.
   */
  #grow(count: number): number {
    const at = this.#length
    const wanted = at + count
    if (wanted > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(wanted, this.#bytes.byteLength * 2))
      larger.set(this.#bytes)
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    }
    this.#length = wanted
    return at
  }
}

/**
 * Splits received bytes into messages. Nothing is copied: payloads are views of `bytes`.
 *
 * @throws LariatError code `decode` when a message runs over the end or is shorter than its header
 */
export function parseMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let offset = 0
  while (offset < bytes.byteLength) {
    const left = bytes.byteLength - offset
    if (left < NLMSG_HDRLEN) throw malformed(offset, `${left} bytes are no message header`)
    const length = view.getUint32(offset, true)
    if (length < NLMSG_HDRLEN) throw malformed(offset, `length ${length} is below its header's`)
    if (length > left) throw malformed(offset, `length ${length} but only ${left} bytes are left`)
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      seq: view.getUint32(offset + 8, true),
      pid: view.getUint32(offset + 12, true),
      payload: bytes.subarray(offset + NLMSG_HDRLEN, offset + length),
    })
    // The length is below 2^31 here (at most `left`), so the rounding cannot wrap to a negative.
    offset += align(length)
  }
  return messages
}

function tooLong(operation: string, type: number, length: number): LariatError {
  return new LariatError(
    `Cannot ${operation}: attribute ${type} has ${length} bytes, at most ${MAX_ATTRIBUTE_BYTES} fit`,
    { code: "internal" },
  )
}

function malformed(offset: number, why: string): LariatError {
  return new LariatError(`Cannot read netlink messages at byte ${offset}: ${why}`, {
    code: "decode",
  })
}
