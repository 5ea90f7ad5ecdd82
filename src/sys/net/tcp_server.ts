/** A TCP server, and one question over TCP, without a protocol of their own. */

import { connect, createServer, type Server, type Socket } from "node:net"
import { LariatError, messageOf } from "../../errors.ts"
import { concat } from "../ffi/file.ts"

/** Where and how to listen. */
export interface TcpServerOptions {
  /** An address, IPv4 or IPv6. */
  readonly hostname: string
  /** 0 picks a free one. */
  readonly port: number
  /** A connection that says nothing for so long is closed. Default 10,000. */
  readonly idleTimeoutMs?: number
  /** A connection whose peer does not read is closed at so much. Default 128 KiB: two DNS messages. */
  readonly maxUnsentBytes?: number
}

/** One connection. */
export interface ServedConnection {
  /** As the kernel writes it: an IPv4 address may be mapped into IPv6. */
  readonly address: string
  /** The bytes may change after the call. */
  write(bytes: Uint8Array): void
  close(): void
}

/** Hears what a connection does. `end` is called once, whoever closed it. */
export interface ConnectionListener {
  data(bytes: Uint8Array): void
  end(): void
}

/** A server that is listening. */
export interface TcpServer {
  readonly port: number
  /** Stops listening and closes all connections. */
  stop(): void
}

/**
 * Listens, in the network namespace the thread is in when this is called.
 *
 * @param onConnection gives who hears the connection; undefined when it was closed at once
 * @throws LariatError io when the address cannot be listened on
 */
export function listenTcp(
  options: TcpServerOptions,
  onConnection: (connection: ServedConnection) => ConnectionListener | undefined,
): Promise<TcpServer> {
  const { hostname, port, idleTimeoutMs = 10_000, maxUnsentBytes = 128 * 1024 } = options
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => socket.destroy())
    socket.setTimeout(idleTimeoutMs, () => socket.destroy())
    const listener = onConnection({
      address: socket.remoteAddress ?? "",
      write(bytes) {
        socket.write(bytes.slice())
        if (socket.writableLength > maxUnsentBytes) socket.destroy()
      },
      close: () => void socket.destroy(),
    })
    socket.on("close", () => {
      sockets.delete(socket)
      listener?.end()
    })
    socket.on("data", (bytes) => {
      // A text only where an encoding was set.
      if (typeof bytes !== "string") listener?.data(bytes)
    })
  })
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new LariatError(`Cannot serve TCP on ${hostname} port ${port}: ${messageOf(cause)}`, {
          code: "io",
          hint: "Is another program on that port, and is the address on this host?",
          cause,
        }),
      )
    })
    server.listen({ host: hostname, port }, () => {
      resolve({
        port: portOf(server) ?? port,
        stop() {
          server.close()
          for (const socket of sockets) socket.destroy()
        },
      })
    })
  })
}

function portOf(server: Server): number | undefined {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : undefined
}

/**
 * Connects, sends, and gathers what comes back until it is enough.
 *
 * @param isEnough says so of all that has come; the connection is then closed
 * @param signal gives up
 * @throws LariatError io when there is no connection, or it ends or grows too long before
 */
export function askTcp(
  server: { readonly address: string; readonly port: number },
  message: Uint8Array,
  isEnough: (received: Uint8Array) => boolean,
  options: { readonly signal: AbortSignal; readonly maxBytes: number },
): Promise<Uint8Array> {
  const { signal, maxBytes } = options
  return new Promise((resolve, reject) => {
    const refuse = (why: string) =>
      reject(new LariatError(`Cannot ask ${server.address} over TCP: ${why}`, { code: "io" }))
    if (signal.aborted) return refuse("given up")
    const socket = connect({ host: server.address, port: server.port, noDelay: true })
    const abort = () => socket.destroy()
    signal.addEventListener("abort", abort)
    let received: Uint8Array = new Uint8Array(0)
    socket.on("connect", () => socket.write(message))
    socket.on("error", (error) => refuse(error.message))
    socket.on("close", () => {
      signal.removeEventListener("abort", abort)
      refuse("it ended before the answer did")
    })
    socket.on("data", (bytes) => {
      if (typeof bytes === "string") return
      received = concat([received, bytes], received.length + bytes.length)
      if (isEnough(received)) resolve(received)
      if (isEnough(received) || received.length > maxBytes) socket.destroy()
    })
  })
}
