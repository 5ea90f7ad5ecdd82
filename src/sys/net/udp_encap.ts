/**
 * UDP sockets in which the kernel finds ESP (RFC 3948), for hosts behind NAT. The kernel decrypts
 * what it knows and eats keepalives; what begins with the non-ESP marker comes to us, through the
 * same mapping of the NAT. The socket must live as long as the associations: while it is closed,
 * datagrams to its port are lost (see fd_store.ts).
 */

import { LariatError } from "../../errors.ts"
import { EINVAL, EOPNOTSUPP, SystemError } from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"
import type { IpEndpoint } from "./ip_endpoint.ts"
import { MessageBuffer } from "./message_header.ts"
import { encodePacketInfo, PACKET_INFO } from "./packet_info.ts"
import { openSocket, SOCK_DGRAM, SOCK_NONBLOCK, SOL_SOCKET, setIntOption } from "./socket.ts"
import { AF_INET, AF_INET6, ipSocketAddress } from "./socket_address.ts"

const MSG_DONTWAIT = 0x40
/** include/uapi/linux/in.h; also the level of its options. */
const IPPROTO_UDP = 17
// include/uapi/linux/udp.h
const UDP_ENCAP = 100
const UDP_ENCAP_ESPINUDP = 2
const SO_TYPE = 3
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
/** include/uapi/asm-generic/errno.h */
const ENOPROTOOPT = 92
const EADDRINUSE = 98

/** Non-ESP marker, where an ESP packet has its SPI, which is never 0: RFC 3948 §2.2. */
const MARKER = new Uint8Array(4)
/** RFC 3948 §2.3. */
const KEEPALIVE = Uint8Array.of(0xff)

/** IANA's port for it: RFC 3948 §2.1. */
export const ESP_UDP_PORT = 4500

/** One UDP encapsulation socket, in the network namespace where it was opened. */
export class UdpEncapSocket {
  readonly fd: number
  readonly family: 4 | 6
  readonly port: number
  readonly #buffer = new MessageBuffer(1500)
  #open = true

  private constructor(fd: number, family: 4 | 6, port: number) {
    this.fd = fd
    this.family = family
    this.port = port
  }

  /**
   * Opens and binds a socket to all addresses of a family.
   *
   * @param port 0 lets the kernel choose
   * @throws LariatError kernel-unsupported where the kernel knows no ESP in UDP (for IPv6 older
   * than 5.8, or without the family); SystemError, EADDRINUSE where another program has the port
   */
  static open(family: 4 | 6, port: number = ESP_UDP_PORT): UdpEncapSocket {
    const fd = openSocket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK)
    try {
      if (family === 6) setIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)
      const { level, receiveOption } = PACKET_INFO[family]
      setIntOption(fd, level, receiveOption, 1)
      // Before bind: nothing may come to a bound socket that is not yet what it is to be.
      requireEncapsulation(fd, family)
      const { bytes } = ipSocketAddress(family === 4 ? "0.0.0.0" : "::", port)
      if (libc.bind(fd, bytes, bytes.length) !== 0) throw bindError(errno(), family, port)
      return new UdpEncapSocket(fd, family, localPort(fd, family))
    } catch (error) {
      libc.close(fd)
      throw error
    }
  }

  /**
   * Takes over a socket that an earlier process opened.
   *
   * @returns undefined, and the descriptor stays the caller's, where it is none of this kind
   */
  static adopt(fd: number): UdpEncapSocket | undefined {
    if (intOption(fd, SOL_SOCKET, SO_TYPE) !== SOCK_DGRAM) return undefined
    if (intOption(fd, IPPROTO_UDP, UDP_ENCAP) !== UDP_ENCAP_ESPINUDP) return undefined
    const name = socketName(fd)
    const domain = name === undefined ? 0 : new DataView(name.buffer).getUint16(0, true)
    if (domain !== AF_INET && domain !== AF_INET6) return undefined
    const family = domain === AF_INET ? 4 : 6
    return new UdpEncapSocket(fd, family, localPort(fd, family))
  }

  /**
   * Sends a datagram that is no ESP, from the socket's port.
   *
   * @param from the address to send from; default: what the routes say
   * @returns 0, or the errno: nothing is thrown for a peer that cannot be reached
   * @throws LariatError usage for what is no address
   */
  send(payload: Uint8Array, to: IpEndpoint, from?: string): number {
    const datagram = new Uint8Array(MARKER.length + payload.length)
    datagram.set(payload, MARKER.length)
    return this.#send(datagram, to, from)
  }

  /** Keeps the mapping of a NAT on the way alive. See {@link send}. */
  keepAlive(to: IpEndpoint, from?: string): number {
    return this.#send(KEEPALIVE, to, from)
  }

  /** Closes the descriptor; a duplicate that was stored keeps the port open. */
  close(): void {
    if (this.#open) libc.close(this.fd)
    this.#open = false
  }

  #send(datagram: Uint8Array, to: IpEndpoint, from: string | undefined): number {
    const address = ipSocketAddress(to.address, to.port)
    const options = { to: address, flags: MSG_DONTWAIT }
    const sent =
      from === undefined
        ? this.#buffer.send(this.fd, datagram, options)
        : this.#buffer.send(this.fd, datagram, {
            ...options,
            control: encodePacketInfo(this.family, this.#source(from)),
          })
    return sent < 0 ? errno() : 0
  }

  #source(from: string): Uint8Array {
    const { bytes } = ipSocketAddress(from, 0)
    return this.family === 4 ? bytes.subarray(4, 8) : bytes.subarray(8, 24)
  }
}

function requireEncapsulation(fd: number, family: 4 | 6): void {
  const value = new Uint8Array(Int32Array.of(UDP_ENCAP_ESPINUDP).buffer)
  if (libc.setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, value, value.length) === 0) return
  const number = errno()
  const lacks = [ENOPROTOOPT, EINVAL, EOPNOTSUPP].includes(number)
  throw new SystemError(number, "setsockopt", `receive ESP in UDP over IPv${family}`, {
    ...(lacks ? { code: "kernel-unsupported" as const } : {}),
    hint: "The kernel needs CONFIG_XFRM, over IPv6 Linux 5.8; or set the encapsulation to none.",
  })
}

function bindError(number: number, family: 4 | 6, port: number): SystemError {
  const what = `bind UDP port ${port} of IPv${family} for ESP`
  if (number !== EADDRINUSE) return new SystemError(number, "bind", what)
  const hint = "Another program has the port (an IKE daemon?): end it, or choose another port."
  return new SystemError(number, "bind", what, { code: "busy", hint })
}

/** Undefined where the descriptor is no such socket. */
function intOption(fd: number, level: number, name: number): number | undefined {
  const value = new Uint8Array(4)
  const length = Uint8Array.of(4, 0, 0, 0)
  if (libc.getsockopt(fd, level, name, value, length) !== 0) return undefined
  return new DataView(value.buffer).getInt32(0, true)
}

function socketName(fd: number): Uint8Array | undefined {
  const name = new Uint8Array(128)
  const length = Uint8Array.of(128, 0, 0, 0)
  return libc.getsockname(fd, name, length) === 0 ? name : undefined
}

function localPort(fd: number, family: 4 | 6): number {
  const name = socketName(fd)
  if (name !== undefined) return new DataView(name.buffer).getUint16(2, false)
  throw new LariatError(`Cannot read the port of an IPv${family} socket`, { code: "io" })
}
