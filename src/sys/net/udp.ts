/** UDP sockets on both runtimes: one that serves, and one that asks a single server. */

import { createSocket, type Socket } from "node:dgram"
import { familyOf } from "../../core/address.ts"
import { LariatError, messageOf } from "../../errors.ts"
import { bunGlobal } from "../ffi/bun_global.ts"
import { UdpBatch } from "./udp_batch.ts"

/** Datagrams that Deno has taken and not sent yet; with as many, further ones are dropped. */
const MOST_UNSENT = 1024

/** Where to listen. */
export interface UdpOptions {
  /** An address, IPv4 or IPv6. */
  readonly hostname: string
  /** 0 picks a free one. */
  readonly port: number
}

/**
 * Sends a datagram at the end of this turn of the event loop, or drops it when the kernel has no
 * room. The bytes may change after the call; the address must be one that was heard.
 */
export type SendDatagram = (bytes: Uint8Array, port: number, address: string) => void

/** Hears a datagram. The bytes are the hearer's; the address is as the kernel writes it. */
export type DatagramListener = (
  bytes: Uint8Array,
  port: number,
  address: string,
  send: SendDatagram,
) => void

/** A socket that serves. */
export interface UdpSocket {
  readonly port: number
  readonly send: SendDatagram
  close(): void
}

/** A socket that hears one server alone. */
export interface ConnectedUdpSocket {
  send(bytes: Uint8Array): void
  close(): void
}

/**
 * Serves UDP, in the network namespace the thread is in when this is called.
 *
 * @throws LariatError io when the address cannot be listened on
 */
export async function bindUdp(
  options: UdpOptions,
  onDatagram: DatagramListener,
): Promise<UdpSocket> {
  try {
    const bun = bunGlobal()
    return bun === undefined
      ? await bindNode(options, onDatagram)
      : await bindBun(bun, options, onDatagram)
  } catch (cause) {
    throw new LariatError(
      `Cannot serve UDP on ${options.hostname} port ${options.port}: ${messageOf(cause)}`,
      {
        code: "io",
        hint: "Is another program on that port, and is the address on this host?",
        cause,
      },
    )
  }
}

async function bindBun(
  bun: typeof Bun,
  { hostname, port }: UdpOptions,
  onDatagram: DatagramListener,
): Promise<UdpSocket> {
  const socket = await bun.udpSocket({
    hostname,
    port,
    socket: {
      data: (_, bytes, fromPort, address) => onDatagram(bytes, fromPort, address, send),
      // What a client's host said of an answer that nobody waits for.
      error: () => undefined,
    },
  })
  const batch = new UdpBatch((datagrams) => socket.sendMany(datagrams))
  const send: SendDatagram = (bytes, toPort, to) => batch.add(bytes, toPort, to)
  const close = (): void => {
    batch.flush()
    socket.close()
  }
  return { port: socket.port, send, close }
}

function bindNode(
  { hostname, port }: UdpOptions,
  onDatagram: DatagramListener,
): Promise<UdpSocket> {
  const socket = nodeSocket(hostname)
  let unsent = 0
  const sent = (): void => {
    unsent -= 1
  }
  const send: SendDatagram = (bytes, toPort, address) => {
    // Port 0 makes it throw: a forged sender.
    if (toPort === 0 || unsent === MOST_UNSENT) return
    unsent += 1
    // It sends later, so it gets bytes of its own.
    socket.send(bytes.slice(), toPort, address, sent)
  }
  socket.on("message", (bytes, { port: fromPort, address }) =>
    onDatagram(bytes, fromPort, address, send),
  )
  return new Promise((resolve, reject) => {
    socket.once("error", reject)
    socket.bind({ address: hostname, port, exclusive: true }, () => {
      socket.off("error", reject)
      socket.on("error", () => undefined)
      resolve({ port: socket.address().port, send, close: () => void socket.close() })
    })
  })
}

/**
 * Opens a socket on a free port that only hears from one server: the kernel drops what comes from
 * elsewhere.
 *
 * @param onMessage hears what the server sends; the bytes are the hearer's
 * @param onError hears, once or never, that it cannot be reached
 * @throws LariatError io when there is no way to it
 */
export async function connectUdp(
  server: { readonly address: string; readonly port: number },
  onMessage: (bytes: Uint8Array) => void,
  onError: () => void,
): Promise<ConnectedUdpSocket> {
  const { address, port } = server
  try {
    const bun = bunGlobal()
    return bun === undefined
      ? await connectNode(address, port, onMessage, onError)
      : await connectBun(bun, address, port, onMessage, onError)
  } catch (cause) {
    throw new LariatError(`Cannot reach UDP port ${port} of ${address}: ${messageOf(cause)}`, {
      code: "io",
      cause,
    })
  }
}

async function connectBun(
  bun: typeof Bun,
  hostname: string,
  port: number,
  onMessage: (bytes: Uint8Array) => void,
  onError: () => void,
): Promise<ConnectedUdpSocket> {
  const socket = await bun.udpSocket({
    // Bun takes IPv4 unless the own address says otherwise.
    hostname: familyOf(hostname) === 6 ? "::" : "0.0.0.0",
    connect: { hostname, port },
    socket: { data: (_, bytes) => onMessage(bytes), error: onError },
  })
  return {
    send(bytes) {
      try {
        socket.send(bytes)
      } catch {
        onError()
      }
    },
    close: () => socket.close(),
  }
}

function connectNode(
  address: string,
  port: number,
  onMessage: (bytes: Uint8Array) => void,
  onError: () => void,
): Promise<ConnectedUdpSocket> {
  const socket = nodeSocket(address)
  socket.on("message", onMessage)
  return new Promise((resolve, reject) => {
    socket.once("error", reject)
    socket.connect(port, address, () => {
      socket.off("error", reject)
      socket.on("error", onError)
      resolve({
        send: (bytes) => socket.send(bytes.slice(), (error) => error !== null && onError()),
        close: () => void socket.close(),
      })
    })
  })
}

function nodeSocket(address: string): Socket {
  return createSocket(familyOf(address) === 6 ? "udp6" : "udp4")
}
