/** struct msghdr and its ancillary data (RFC 3542 §20): sendmsg(2) and recvmsg(2) as values. */

import { addressOf, errno, libc } from "../ffi/libc.ts"
import type { SocketAddress } from "./socket_address.ts"

/**
 * Offsets of struct msghdr (include/linux/socket.h, LP64: equal on x86-64 and arm64; musl declares
 * two lengths as int with padding, which is the same in little endian).
 */
const NAME = 0
const NAME_LENGTH = 8
const IOV = 16
const IOV_COUNT = 24
const CONTROL = 32
const CONTROL_LENGTH = 40
const FLAGS = 48

/** Where the parts lie in the one block of memory. */
const IOV_AT = 64
const NAME_AT = 128
/** struct sockaddr_storage: include/uapi/linux/socket.h */
const NAME_BYTES = 128
const CONTROL_AT = 256
const CONTROL_BYTES = 1024
const DATA_AT = CONTROL_AT + CONTROL_BYTES

/** struct cmsghdr: size_t length, int level, int type. */
const CMSG_HEADER_BYTES = 16

// include/linux/socket.h
export const MSG_ERRQUEUE = 0x2000
/** The datagram was longer than the buffer. */
export const MSG_TRUNC = 0x20

/** One piece of ancillary data. */
export interface ControlMessage {
  /** SOL_* or IPPROTO_*. */
  readonly level: number
  readonly type: number
  readonly data: Uint8Array
}

/** What one recvmsg(2) gave. Views into the buffer: they hold until it is used again. */
export interface ReceivedMessage {
  readonly data: Uint8Array
  /** struct sockaddr of the sender, empty where the socket names none. */
  readonly name: Uint8Array
  readonly control: readonly ControlMessage[]
  /** MSG_* of the answer. */
  readonly flags: number
}

/** CMSG_ALIGN: to the size of a long. */
function aligned(bytes: number): number {
  return (bytes + 7) & ~7
}

/** Ancillary data as the kernel reads it. */
export function encodeControl(messages: readonly ControlMessage[]): Uint8Array {
  const size = messages.reduce((sum, { data }) => sum + CMSG_HEADER_BYTES + aligned(data.length), 0)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const { level, type, data } of messages) {
    view.setBigUint64(at, BigInt(CMSG_HEADER_BYTES + data.length), true)
    view.setInt32(at + 8, level, true)
    view.setInt32(at + 12, type, true)
    bytes.set(data, at + CMSG_HEADER_BYTES)
    at += CMSG_HEADER_BYTES + aligned(data.length)
  }
  return bytes
}

/** The pieces of ancillary data; what is cut off by its end is left out. */
export function parseControl(bytes: Uint8Array): ControlMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found: ControlMessage[] = []
  let at = 0
  while (at + CMSG_HEADER_BYTES <= bytes.length) {
    const length = Number(view.getBigUint64(at, true))
    if (length < CMSG_HEADER_BYTES || at + length > bytes.length) break
    found.push({
      level: view.getInt32(at + 8, true),
      type: view.getInt32(at + 12, true),
      data: bytes.subarray(at + CMSG_HEADER_BYTES, at + length),
    })
    at += aligned(length)
  }
  return found
}

/**
 * Memory for one message at a time, used again for each: an ArrayBuffer of its own, which no engine
 * moves, so that the addresses in the header stay right.
 */
export class MessageBuffer {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #capacity: number
  readonly #address: number

  /** @param capacity the longest datagram, bytes; a longer one is cut and has MSG_TRUNC */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(new ArrayBuffer(DATA_AT + capacity))
    this.#view = new DataView(this.#bytes.buffer)
    this.#capacity = capacity
    this.#address = addressOf(this.#bytes)
    this.#setPointer(NAME, NAME_AT)
    this.#setPointer(IOV, IOV_AT)
    this.#setPointer(IOV_COUNT, undefined, 1)
    this.#setPointer(IOV_AT, DATA_AT)
  }

  /**
   * Sends one datagram.
   *
   * @param options.to default: where the socket is connected to
   * @param options.control encoded ancillary data; default none
   * @param options.flags MSG_*; default 0
   * @returns bytes sent, -1 with `errno()` set
   * @throws RangeError when the datagram exceeds the capacity, or the ancillary data 1024 bytes
   */
  send(
    fd: number,
    data: Uint8Array,
    options: {
      readonly to?: SocketAddress
      readonly control?: Uint8Array
      readonly flags?: number
    } = {},
  ): number {
    const { to, control, flags = 0 } = options
    if (data.length > this.#capacity) throw new RangeError(`${data.length} bytes are too many`)
    if ((control?.length ?? 0) > CONTROL_BYTES) throw new RangeError("too much ancillary data")
    this.#bytes.set(data, DATA_AT)
    if (to !== undefined) this.#bytes.set(to.bytes, NAME_AT)
    if (control !== undefined) this.#bytes.set(control, CONTROL_AT)
    this.#prepare(to?.bytes.length ?? 0, control?.length ?? 0, data.length)
    return libc.sendmsg(fd, this.#bytes, flags)
  }

  /**
   * Receives one datagram, or with MSG_ERRQUEUE one error.
   *
   * @returns the message; else the errno
   */
  receive(fd: number, flags: number): ReceivedMessage | number {
    this.#prepare(NAME_BYTES, CONTROL_BYTES, this.#capacity)
    const count = libc.recvmsg(fd, this.#bytes, flags)
    if (count < 0) return errno()
    const nameLength = Math.min(this.#view.getUint32(NAME_LENGTH, true), NAME_BYTES)
    const controlLength = Number(this.#view.getBigUint64(CONTROL_LENGTH, true))
    return {
      data: this.#part(DATA_AT, Math.min(count, this.#capacity)),
      name: this.#part(NAME_AT, nameLength),
      control: parseControl(this.#part(CONTROL_AT, Math.min(controlLength, CONTROL_BYTES))),
      flags: this.#view.getInt32(FLAGS, true),
    }
  }

  #prepare(nameLength: number, controlLength: number, dataLength: number): void {
    this.#setPointer(NAME, nameLength === 0 ? undefined : NAME_AT)
    this.#view.setUint32(NAME_LENGTH, nameLength, true)
    this.#setPointer(CONTROL, controlLength === 0 ? undefined : CONTROL_AT)
    this.#view.setBigUint64(CONTROL_LENGTH, BigInt(controlLength), true)
    this.#view.setInt32(FLAGS, 0, true)
    this.#view.setBigUint64(IOV_AT + 8, BigInt(dataLength), true)
  }

  /** Writes the address of a part, or a plain number where there is no part. */
  #setPointer(at: number, part: number | undefined, otherwise = 0): void {
    const value = part === undefined ? otherwise : this.#address + part
    this.#view.setBigUint64(at, BigInt(value), true)
  }

  #part(at: number, length: number): Uint8Array {
    return this.#bytes.subarray(at, at + length)
  }
}
