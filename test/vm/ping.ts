/** Echo requests from inside a namespace, without starting a program and without blocking. */
import { check, EAGAIN, EINTR, EMSGSIZE, errnoName } from "../../src/sys/ffi/errno.ts"
import { errno, libc } from "../../src/sys/ffi/libc.ts"
import { openSocket, SOCK_NONBLOCK, SOCK_RAW, setIntOption } from "../../src/sys/net/socket.ts"
import { ipSocketAddress } from "../../src/sys/net/socket_address.ts"
import type { LabNetns } from "./lab_netns.ts"

/** How {@link ping} asks. */
export interface PingOptions {
  /** Default 1. */
  readonly count?: number
  /** Bytes of the whole IP packet: 20 or 40 of IP, 8 of ICMP, the rest is filled. Default 84. */
  readonly size?: number
  /** DF, and what is believed of the path's MTU is not heeded. Default false. */
  readonly dontFragment?: boolean
  /** How long each reply is waited for. Default 1000. */
  readonly timeoutMs?: number
}

/** What came back. */
export interface PingResult {
  readonly sent: number
  readonly received: number
  /** Round trips, milliseconds, of those that came back. */
  readonly rttMs: readonly number[]
  /** Names of errnos that sending gave, EMSGSIZE for instance. */
  readonly refused: readonly string[]
}

/** RFC 792 and RFC 4443; socket options of include/uapi/linux/in.h and in6.h. */
const ICMP = { protocol: 1, level: 0, request: 8, reply: 0, mtuDiscover: 10, ipBytes: 20 }
const ICMPV6 = { protocol: 58, level: 41, request: 128, reply: 129, mtuDiscover: 23, ipBytes: 40 }
type Protocol = typeof ICMP

const PMTUDISC_PROBE = 3
/** include/uapi/linux/in6.h */
const IPV6_DONTFRAG = 62
const ICMP_HLEN = 8
const POLL_MS = 2
const MAX_PACKET = 65_536

/** Far from process numbers, which ping(8) uses: in a namespace of their own they are low. */
let lastIdentifier = 0x8000 | (process.pid & 0x7fff)

/** Pings an address, one request after the other. @throws SystemError when no socket can be had */
export async function ping(
  netns: LabNetns,
  destination: string,
  options: PingOptions = {},
): Promise<PingResult> {
  const { count = 1, size = 84, dontFragment = false, timeoutMs = 1000 } = options
  const protocol = destination.includes(":") ? ICMPV6 : ICMP
  lastIdentifier = (lastIdentifier + 1) & 0xffff
  const identifier = lastIdentifier
  const fd = netns.inside(() => open(protocol, destination, dontFragment))
  const rttMs: number[] = []
  const refused: string[] = []
  try {
    for (let sequence = 1; sequence <= count; sequence++) {
      const packet = echo(protocol, identifier, sequence, size - protocol.ipBytes)
      const sentAt = performance.now()
      if (libc.send(fd, packet, packet.length, 0) < 0) {
        refused.push(errnoName(errno()))
        if (errno() === EMSGSIZE) continue
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
        continue
      }
      const until = sentAt + timeoutMs
      while (performance.now() < until) {
        if (replied(fd, protocol, identifier, sequence)) {
          rttMs.push(performance.now() - sentAt)
          break
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    }
    return { sent: count, received: rttMs.length, rttMs, refused }
  } finally {
    libc.close(fd)
  }
}

function open(protocol: Protocol, destination: string, dontFragment: boolean): number {
  const { family, bytes } = ipSocketAddress(destination, 0)
  const fd = openSocket(family, SOCK_RAW | SOCK_NONBLOCK, protocol.protocol)
  if (dontFragment) {
    setIntOption(fd, protocol.level, protocol.mtuDiscover, PMTUDISC_PROBE)
    if (protocol === ICMPV6) setIntOption(fd, protocol.level, IPV6_DONTFRAG, 1)
  }
  check(libc.connect(fd, bytes, bytes.length), "connect", `ping ${destination}`)
  return fd
}

/** An echo request of so many bytes; the kernel fills in the checksum of ICMPv6. */
function echo(protocol: Protocol, identifier: number, sequence: number, bytes: number): Uint8Array {
  const packet = new Uint8Array(Math.max(ICMP_HLEN, bytes)).fill(0x4c, ICMP_HLEN)
  const view = new DataView(packet.buffer)
  view.setUint8(0, protocol.request)
  view.setUint16(4, identifier)
  view.setUint16(6, sequence)
  if (protocol === ICMP) view.setUint16(2, internetChecksum(packet))
  return packet
}

/** RFC 1071 */
function internetChecksum(bytes: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

const buffer = new Uint8Array(MAX_PACKET)
const bufferView = new DataView(buffer.buffer)

/** Looks through what has come for the reply. */
function replied(fd: number, protocol: Protocol, identifier: number, sequence: number): boolean {
  for (;;) {
    const length = libc.recv(fd, buffer, buffer.length, 0)
    if (length < 0) {
      // Anything else is the network's word that it did not get there: no reply.
      if (errno() === EINTR) continue
      if (errno() === EAGAIN) return false
      return false
    }
    // IPv4 alone comes with its header.
    const start = protocol === ICMP ? (bufferView.getUint8(0) & 0xf) * 4 : 0
    if (length < start + ICMP_HLEN || bufferView.getUint8(start) !== protocol.reply) continue
    if (bufferView.getUint16(start + 4) !== identifier) continue
    if (bufferView.getUint16(start + 6) === sequence) return true
  }
}
