/** A raw ICMP socket for echo requests to many targets: never fragmented, errors told. */

import {
  check,
  EACCES,
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINTR,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  EOPNOTSUPP,
  SystemError,
} from "../ffi/errno.ts"
import { addressOf, errno, libc } from "../ffi/libc.ts"
import {
  type ControlMessage,
  type MessageBuffer,
  MSG_ERRQUEUE,
  MSG_TRUNC,
} from "../net/message_header.ts"
import { encodePacketInfo } from "../net/packet_info.ts"
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, SOL_SOCKET, setIntOption } from "../net/socket.ts"
import { AF_INET, AF_INET6, type SocketAddress } from "../net/socket_address.ts"
import { ECHO_LAYOUT, type EchoReply, parseEchoReply, parseQuotedEcho } from "./echo_packet.ts"

const MSG_DONTWAIT = 0x40

// include/uapi/asm-generic/socket.h
const SO_ATTACH_FILTER = 26
const SO_RCVBUFFORCE = 33
/** Also the type of its ancillary data. */
const SO_TIMESTAMPNS = 35
/** include/linux/socket.h */
const SOL_RAW = 255
/** ICMP_FILTER of include/uapi/linux/icmp.h, ICMPV6_FILTER of icmpv6.h. */
const TYPE_FILTER = 1

/** Don't fragment, and heed the interface's MTU alone, not what the path was thought to carry. */
const PMTUDISC_PROBE = 3

/** struct sock_extended_err, include/uapi/linux/errqueue.h: errno, origin, type, code, info. */
const EXTENDED_ERROR_BYTES = 16
const ORIGIN_LOCAL = 1

/** A burst of full-size replies that comes while the event loop is busy must find room. Bytes. */
const RECEIVE_BUFFER = 4 * 1024 * 1024

interface Options {
  readonly domain: number
  /** IPPROTO_ICMP, IPPROTO_ICMPV6: include/uapi/linux/in.h, in6.h */
  readonly protocol: number
  /** Level of the IP options, and their names. */
  readonly level: number
  readonly mtuDiscover: number
  readonly receiveErrors: number
}

const OPTIONS: Readonly<Record<4 | 6, Options>> = {
  4: {
    domain: AF_INET,
    protocol: 1,
    level: 0,
    mtuDiscover: 10,
    receiveErrors: 11,
  },
  6: {
    domain: AF_INET6,
    protocol: 58,
    level: 41,
    mtuDiscover: 23,
    receiveErrors: 25,
  },
}
/** IPV6_DONTFRAG, include/uapi/linux/in6.h: fail instead of fragmenting at the source. */
const IPV6_DONTFRAG = 62

/** An echo reply and whose it is. */
export interface ReceivedEcho extends EchoReply {
  /** in_addr or in6_addr of the sender. */
  readonly from: Uint8Array
  /** When the kernel received it, on the clock of {@link realtimeMs}; undefined if it did not say. */
  readonly receivedMs: number | undefined
}

/** An error that the kernel or the path reported. */
export interface EchoError {
  readonly errno: number
  /** Whether this host itself could not send. */
  readonly local: boolean
  /** Which request it was; undefined for local errors and where the quotation is too short. */
  readonly quoted: ReturnType<typeof parseQuotedEcho>
  /** With EMSGSIZE the largest packet that goes on, bytes; undefined where the path did not say. */
  readonly mtu: number | undefined
}

const timespec = new Uint8Array(new ArrayBuffer(16))
const timespecView = new DataView(timespec.buffer)

/** CLOCK_REALTIME in ms: what the kernel stamps packets with. Only differences are of use. */
export function realtimeMs(): number {
  check(libc.clock_gettime(0, timespec), "clock_gettime", "read the clock")
  return timespecMs(timespecView, 0)
}

function timespecMs(view: DataView, at: number): number {
  return Number(view.getBigInt64(at, true)) * 1000 + Number(view.getBigInt64(at + 8, true)) / 1e6
}

/** A socket address without family, port and scope. */
export function addressBytes({ family, bytes }: SocketAddress): Uint8Array {
  return family === AF_INET6 ? bytes.subarray(8, 24) : bytes.subarray(4, 8)
}

/**
 * A non-blocking raw socket in the network namespace in which it was opened. It hears echo replies
 * with its own identifier only: the kernel drops all others before they take room.
 */
export class EchoSocket {
  readonly family: 4 | 6
  readonly id: number
  readonly #fd: number
  readonly #buffer: MessageBuffer

  private constructor(family: 4 | 6, id: number, fd: number, buffer: MessageBuffer) {
    this.family = family
    this.id = id
    this.#fd = fd
    this.#buffer = buffer
  }

  /**
   * @param id 16 bits, random
   * @param buffer for messages; may be shared by sockets of one thread
   * @throws SystemError permission without CAP_NET_RAW, kernel-unsupported without the family
   */
  static open(family: 4 | 6, id: number, buffer: MessageBuffer): EchoSocket {
    const { domain, protocol, level, mtuDiscover, receiveErrors } = OPTIONS[family]
    const raw = libc.socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)
    if (raw < 0) {
      const hint = "Probing peers needs CAP_NET_RAW."
      throw new SystemError(errno(), "socket", `open a raw ICMP socket for IPv${family}`, { hint })
    }
    try {
      setIntOption(raw, level, mtuDiscover, PMTUDISC_PROBE)
      setIntOption(raw, level, receiveErrors, 1)
      if (family === 6) setIntOption(raw, level, IPV6_DONTFRAG, 1)
      setIntOption(raw, SOL_SOCKET, SO_TIMESTAMPNS, 1)
      // Needs CAP_NET_ADMIN; without it the ordinary buffer has to do.
      const size = new Uint8Array(Int32Array.of(RECEIVE_BUFFER).buffer)
      libc.setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length)
      takeRepliesOnly(raw, family)
      takeIdOnly(raw, family, id)
      return new EchoSocket(family, id, raw, buffer)
    } catch (error) {
      libc.close(raw)
      throw error
    }
  }

  /**
   * Sends an encoded echo request.
   *
   * @param source the address to send from; undefined lets the routes choose
   * @returns 0, or the errno: EMSGSIZE where the packet exceeds the interface's MTU. May be that of
   * an older error of the path: read `errors` and send again.
   */
  send(message: Uint8Array, to: SocketAddress, source: SocketAddress | undefined): number {
    const control =
      source === undefined ? {} : { control: encodePacketInfo(this.family, addressBytes(source)) }
    const options = { to, flags: MSG_DONTWAIT, ...control }
    return this.#buffer.send(this.#fd, message, options) < 0 ? errno() : 0
  }

  /** The next reply that waits; undefined when none does. */
  receive(): ReceivedEcho | undefined {
    for (;;) {
      const message = this.#buffer.receive(this.#fd, MSG_DONTWAIT)
      if (typeof message === "number") {
        // Any other is an error of the path, which is told once here and is in the queue as well.
        if (message === EAGAIN) return undefined
        if (message === EINTR || PATH_ERRORS.has(message)) continue
        throw new SystemError(message, "recvmsg", "receive echo replies")
      }
      if ((message.flags & MSG_TRUNC) !== 0) continue
      const reply = parseEchoReply(this.family, message.data)
      if (reply === undefined || reply.id !== this.id) continue
      return {
        ...reply,
        from: this.family === 4 ? message.name.slice(4, 8) : message.name.slice(8, 24),
        receivedMs: stampOf(message.control),
      }
    }
  }

  /** Takes all errors that wait. */
  errors(): EchoError[] {
    const found: EchoError[] = []
    for (;;) {
      const message = this.#buffer.receive(this.#fd, MSG_ERRQUEUE | MSG_DONTWAIT)
      if (typeof message === "number") return found
      const { level, receiveErrors } = OPTIONS[this.family]
      const record = message.control.find(
        (one) => one.level === level && one.type === receiveErrors,
      )?.data
      if (record !== undefined && record.length >= EXTENDED_ERROR_BYTES) {
        found.push(this.#readError(record, message.data))
      }
    }
  }

  close(): void {
    libc.close(this.#fd)
  }

  #readError(record: Uint8Array, quotedBytes: Uint8Array): EchoError {
    const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
    const local = view.getUint8(4) === ORIGIN_LOCAL
    const info = view.getUint32(8, true)
    const quoted = local ? undefined : parseQuotedEcho(this.family, quotedBytes)
    return {
      errno: view.getUint32(0, true),
      local,
      quoted: quoted?.id === this.id ? quoted : undefined,
      // Routers before RFC 1191 say 0. An IPv6 one may say less than a packet may have.
      mtu: info >= ECHO_LAYOUT[this.family].ipHeaderBytes ? info : undefined,
    }
  }
}

/** include/uapi/asm-generic/errno.h */
const EPROTO = 71
const ENOPROTOOPT = 92
const EHOSTDOWN = 112

/** What ICMP errors become (icmp_err_convert of net/ipv4/icmp.c, tab_unreach of net/ipv6/icmp.c). */
const PATH_ERRORS: ReadonlySet<number> = new Set([
  ...[EACCES, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EMSGSIZE],
  ...[ENETDOWN, ENETUNREACH, ENOPROTOOPT, EOPNOTSUPP, EPROTO],
])

function stampOf(control: readonly ControlMessage[]): number | undefined {
  const stamp = control.find((one) => one.level === SOL_SOCKET && one.type === SO_TIMESTAMPNS)
  if (stamp === undefined || stamp.data.length < 16) return undefined
  const { buffer, byteOffset } = stamp.data
  return timespecMs(new DataView(buffer, byteOffset), 0)
}

/** Has the kernel drop all ICMP messages but echo replies: a set bit blocks its type. */
function takeRepliesOnly(fd: number, family: 4 | 6): void {
  const bits = new Uint8Array(family === 4 ? 4 : 32).fill(0xff)
  const { reply } = ECHO_LAYOUT[family]
  bits[reply >> 3] = 0xff & ~(1 << (reply & 7))
  const level = family === 4 ? SOL_RAW : OPTIONS[6].protocol
  const result = libc.setsockopt(fd, level, TYPE_FILTER, bits, bits.length)
  check(result, "setsockopt", "take echo replies only")
}

/** Has the kernel drop the replies to other people's pings, by a classic BPF program. */
function takeIdOnly(fd: number, family: 4 | 6, id: number): void {
  // include/uapi/linux/bpf_common.h. Raw IPv4 sockets begin at the IP header, IPv6 ones behind it.
  const program: readonly (readonly [code: number, jt: number, jf: number, k: number])[] = [
    family === 4 ? [0xb1, 0, 0, 0] : [0x01, 0, 0, 0], // X = 4 * ([0] & 15), or X = 0
    [0x48, 0, 0, 4], // A = half-word [X + 4]
    [0x15, 0, 1, id], // A == id?
    [0x06, 0, 0, 0xffffffff], // take all of it
    [0x06, 0, 0, 0], // drop
  ]
  const memory = new Uint8Array(new ArrayBuffer(16 + program.length * 8))
  const view = new DataView(memory.buffer)
  // struct sock_fprog: length, then the address of the instructions.
  view.setUint16(0, program.length, true)
  view.setBigUint64(8, BigInt(addressOf(memory) + 16), true)
  program.forEach(([code, jt, jf, k], index) => {
    const at = 16 + index * 8
    view.setUint16(at, code, true)
    view.setUint8(at + 2, jt)
    view.setUint8(at + 3, jf)
    view.setUint32(at + 4, k, true)
  })
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, memory, 16)
  check(result, "setsockopt", "take replies to own echo requests only")
}
