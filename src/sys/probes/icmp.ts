/** One echo request and its answer: ping, as a function that blocks for a bounded time. */

import {
  check,
  EACCES,
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINTR,
  ENETUNREACH,
  EPERM,
} from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"
import { type Deadline, deadlineIn, POLLIN, waitFor } from "../ffi/poll.ts"
import { internetChecksum } from "../net/internet_checksum.ts"
import { SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, setIntOption } from "../net/socket.ts"
import { ipSocketAddress } from "../net/socket_address.ts"

/** What differs between ICMP (RFC 792) and ICMPv6 (RFC 4443). */
interface Protocol {
  /** IPPROTO_*, also the level of the options: include/uapi/linux/in.h */
  readonly number: number
  readonly level: number
  readonly echoRequest: number
  readonly echoReply: number
  /** Socket options: include/uapi/linux/in.h, in6.h */
  readonly mtuDiscover: number
  readonly hops: number
}

const ICMP: Protocol = {
  number: 1,
  level: 0,
  echoRequest: 8,
  echoReply: 0,
  mtuDiscover: 10,
  hops: 2,
}

const ICMPV6: Protocol = {
  number: 58,
  level: 41,
  echoRequest: 128,
  echoReply: 129,
  mtuDiscover: 23,
  hops: 16,
}

/** Don't fragment, and heed the interface's MTU alone, not what the path was thought to carry. */
const PMTUDISC_PROBE = 3
/** IPV6_DONTFRAG, include/uapi/linux/in6.h: fail instead of fragmenting at the source. */
const IPV6_DONTFRAG = 62

/** Type, code, checksum, identifier, sequence number. */
const HEADER_BYTES = 8

/** What a receive may report for a destination that does not answer, in the network's words. */
const UNREACHABLE: readonly number[] = [EHOSTUNREACH, ENETUNREACH, ECONNREFUSED]

/** Options of a probe. */
export interface PingOptions {
  /** Default 1000. */
  readonly timeoutMs?: number
  /** Bytes after the 8 of the ICMP header. Default 56, which makes an IPv4 packet of 84 bytes. */
  readonly payloadBytes?: number
  /** Default false. */
  readonly dontFragment?: boolean
  /** The source address. Default: what the routes say. */
  readonly source?: string
  /** Time to live, or hop limit. Default: the kernel's. */
  readonly hops?: number
}

/** An echo request. The kernel fills the checksum of ICMPv6, and all but the payload of DGRAM. */
function echoRequest(protocol: Protocol, id: number, payloadBytes: number): Uint8Array {
  const packet = new Uint8Array(HEADER_BYTES + payloadBytes)
  for (let index = 0; index < payloadBytes; index++) packet[HEADER_BYTES + index] = index
  const view = new DataView(packet.buffer)
  view.setUint8(0, protocol.echoRequest)
  view.setUint16(4, id, false)
  view.setUint16(6, 1, false)
  if (protocol === ICMP) view.setUint16(2, internetChecksum(packet), false)
  return packet
}

/**
 * A raw socket (CAP_NET_RAW) or, without the capability, one of net.ipv4.ping_group_range, whose
 * identifier is its port.
 */
function openIcmp(family: number, protocol: number): { fd: number; raw: boolean } {
  const flags = SOCK_CLOEXEC | SOCK_NONBLOCK
  const fd = libc.socket(family, SOCK_RAW | flags, protocol)
  if (fd >= 0) return { fd, raw: true }
  if (errno() !== EPERM && errno() !== EACCES) check(fd, "socket", "open an ICMP socket")
  const dgram = libc.socket(family, SOCK_DGRAM | flags, protocol)
  return { fd: check(dgram, "socket", "open an ICMP socket"), raw: false }
}

/** Waits for the reply that carries `id`. False: no reply, or the network says unreachable. */
function awaitReply(
  fd: number,
  protocol: Protocol,
  id: number | undefined,
  payloadBytes: number,
  deadline: Deadline,
): boolean {
  // The longest IPv4 header has 60 bytes.
  const buffer = new Uint8Array(60 + HEADER_BYTES + payloadBytes)
  for (;;) {
    if (waitFor(fd, POLLIN, deadline) === 0) return false
    const count = libc.recv(fd, buffer, buffer.length, 0)
    if (count < 0) {
      if (errno() === EAGAIN || errno() === EINTR) continue
      if (UNREACHABLE.includes(errno())) return false
      check(count, "recv", "receive an echo reply")
    }
    // Raw IPv4 sockets give the IP header as well, and every ICMP message of the peer.
    const start = protocol === ICMP && id !== undefined ? ((buffer[0] ?? 0) & 0xf) * 4 : 0
    if (count < start + HEADER_BYTES || buffer[start] !== protocol.echoReply) continue
    const view = new DataView(buffer.buffer, start)
    if (view.getUint16(6, false) !== 1) continue
    if (id === undefined || view.getUint16(4, false) === id) return true
  }
}

function ping(protocol: Protocol, destination: string, options: PingOptions): number | undefined {
  const { timeoutMs = 1000, payloadBytes = 56, dontFragment = false, source, hops } = options
  const { family, bytes: address } = ipSocketAddress(destination, 0)
  const { fd, raw } = openIcmp(family, protocol.number)
  try {
    if (dontFragment) {
      setIntOption(fd, protocol.level, protocol.mtuDiscover, PMTUDISC_PROBE)
      if (protocol === ICMPV6) setIntOption(fd, protocol.level, IPV6_DONTFRAG, 1)
    }
    if (hops !== undefined) setIntOption(fd, protocol.level, protocol.hops, hops)
    if (source !== undefined) {
      const { bytes } = ipSocketAddress(source, 0)
      check(libc.bind(fd, bytes, bytes.length), "bind", `ping from ${source}`)
    }
    // Connected, the socket takes packets of the destination only.
    const what = `ping ${destination}`
    check(libc.connect(fd, address, address.length), "connect", what)
    const id = crypto.getRandomValues(new Uint16Array(1))[0] ?? 0
    const packet = echoRequest(protocol, id, payloadBytes)
    const start = performance.now()
    check(libc.send(fd, packet, packet.length, 0), "send", what)
    const deadline = deadlineIn(timeoutMs)
    const answered = awaitReply(fd, protocol, raw ? id : undefined, payloadBytes, deadline)
    return answered ? performance.now() - start : undefined
  } finally {
    libc.close(fd)
  }
}

/**
 * Sends one ICMP echo request and waits for its reply. Blocks the thread.
 *
 * @returns the round trip in ms, undefined when no reply came or the network said unreachable
 * @throws SystemError where this host itself cannot send: no route (ENETUNREACH), with
 * `dontFragment` a packet larger than the interface's MTU (EMSGSIZE), no permission
 */
export function ping4(destination: string, options: PingOptions = {}): number | undefined {
  return ping(ICMP, destination, options)
}

/** The same over ICMPv6. */
export function ping6(destination: string, options: PingOptions = {}): number | undefined {
  return ping(ICMPV6, destination, options)
}
