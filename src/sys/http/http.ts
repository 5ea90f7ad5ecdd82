/**
 * An HTTP/1 server for questions without a body. Written for sockets, the same for both runtimes:
 * their own servers bound neither connections nor the share of one client.
 */

import { readFileSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { LariatError, messageOf } from "../../errors.ts"
import { type HttpAnswer, refusal } from "./answer.ts"
import {
  type ConnectionHost,
  type ConnectionLimits,
  HttpConnection,
  type HttpRequest,
} from "./connection.ts"
import { FairShare, type Share } from "./fair_share.ts"

/** Who asks. An IPv4 address is plain also when the server listens on IPv6. */
export interface RemoteAddress {
  readonly address: string
  readonly port: number
}

export type HttpHandler = (
  request: HttpRequest,
  remote: RemoteAddress,
) => HttpAnswer | Promise<HttpAnswer>

/** Where and how to listen. */
export interface HttpOptions {
  /** An address, IPv4 or IPv6; "::" is all of both. */
  readonly hostname: string
  /** 0 picks a free one. */
  readonly port: number
  /**
   * Connections at once. Default 16,384, and at most three quarters of the descriptors that this
   * process may have.
   */
  readonly maxConnections?: number | undefined
  /** Connections at once of one address. Default `maxConnections`. */
  readonly maxConnectionsPerSource?: number | undefined
  /** Default: 10 s for a head, 75 s between requests, 30 s to send, heads of 16 KiB, bodies of 64 KiB. */
  readonly limits?: Partial<ConnectionLimits> | undefined
  /** Requests of one source while others ask too. Default as {@link FairShare}. */
  readonly share?: { readonly perSecond?: number; readonly burst?: number } | undefined
  /** Hears what a handler threw; the client gets a bare 500. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** A server that is listening. */
export interface HttpServer {
  readonly port: number
  /** How many connections there are. */
  readonly connections: number
  /** Stops listening and closes all connections. */
  stop(): Promise<void>
}

const KIBIBYTE = 1024
const LIMITS: ConnectionLimits = {
  headMs: 10_000,
  idleMs: 75_000,
  sendMs: 30_000,
  headBytes: 16 * KIBIBYTE,
  bodyBytes: 64 * KIBIBYTE,
}
const MAX_CONNECTIONS = 16_384
/** Addresses that are remembered after their last connection. */
const MAX_SOURCES = 16_384
/** How often deadlines are looked at. */
const SWEEP_MS = 500
/** listen(2); the kernel's own limit is lower or higher. */
const BACKLOG = 4096

/** All connections of one address. */
interface Source {
  readonly address: string
  readonly share: Share
  /** The oldest first. */
  readonly connections: Set<HttpConnection>
}

/**
 * Listens for HTTP, in the network namespace the thread is in when this is called. A connection
 * beyond the limits costs the same address its oldest idle one, else it is closed at once.
 *
 * @throws LariatError io when the address cannot be listened on
 */
export async function serveHttp(options: HttpOptions, handler: HttpHandler): Promise<HttpServer> {
  const listener = new Listener(options, handler)
  try {
    await listener.listen()
  } catch (cause) {
    throw new LariatError(
      `Cannot serve HTTP on ${options.hostname} port ${options.port}: ${messageOf(cause)}`,
      {
        code: "io",
        hint: "Is another program on that port, and is the address on this host?",
        cause,
      },
    )
  }
  return listener
}

class Listener implements HttpServer, ConnectionHost {
  readonly now = () => performance.now()
  roughNow = performance.now()
  readonly limits: ConnectionLimits
  readonly #options: HttpOptions
  readonly #handler: HttpHandler
  readonly #most: number
  readonly #mostPerSource: number
  readonly #fair: FairShare
  readonly #sources = new Map<string, Source>()
  readonly #remotes = new Map<HttpConnection, { remote: RemoteAddress; source: Source }>()
  readonly #server: Server
  #sweeper: ReturnType<typeof setInterval> | undefined

  constructor(options: HttpOptions, handler: HttpHandler) {
    this.#options = options
    this.#handler = handler
    this.limits = { ...LIMITS, ...options.limits }
    this.#most = options.maxConnections ?? Math.min(MAX_CONNECTIONS, descriptorsToSpare())
    this.#mostPerSource = options.maxConnectionsPerSource ?? this.#most
    this.#fair = new FairShare({ now: this.now, ...options.share })
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#accept(socket),
    )
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === "object" && address !== null ? address.port : this.#options.port
  }

  get connections(): number {
    return this.#remotes.size
  }

  listen(): Promise<void> {
    const { hostname: host, port } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject)
      this.#server.listen({ host, port, backlog: BACKLOG, exclusive: true }, () => {
        this.#server.off("error", reject)
        // A connection that could not be accepted, for want of descriptors: the next may be.
        this.#server.on("error", (error) => this.#options.onError?.(error))
        this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS)
        resolve()
      })
    })
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#fair.stop()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of [...this.#remotes.keys()]) connection.destroy()
    await closed
  }

  answer(connection: HttpConnection, request: HttpRequest): void {
    const known = this.#remotes.get(connection)
    if (known === undefined) return
    const { remote, source } = known
    if (this.#fair.admits(source.share)) this.#handle(connection, request, remote)
    else this.#fair.defer(source.share, () => this.#handle(connection, request, remote))
  }

  closed(connection: HttpConnection): void {
    const source = this.#remotes.get(connection)?.source
    this.#remotes.delete(connection)
    if (source === undefined) return
    source.connections.delete(connection)
    // Its share is remembered until it is full again: hanging up is no way to a new one.
    if (source.connections.size === 0 && this.#sources.size > MAX_SOURCES) this.#forget(source)
  }

  #handle(connection: HttpConnection, request: HttpRequest, remote: RemoteAddress): void {
    // It hung up while it waited for its turn.
    if (!this.#remotes.has(connection)) return
    try {
      const answer = this.#handler(request, remote)
      if (answer instanceof Promise) {
        answer.then(
          (late) => this.#reply(connection, late),
          (error) => this.#fail(connection, error),
        )
      } else this.#reply(connection, answer)
    } catch (error) {
      this.#fail(connection, error)
    }
  }

  #reply(connection: HttpConnection, answer: HttpAnswer): void {
    try {
      connection.reply(answer)
    } catch (error) {
      this.#fail(connection, error)
    }
  }

  /** Nothing of the program reaches the client. */
  #fail(connection: HttpConnection, error: unknown): void {
    this.#options.onError?.(error)
    connection.reply(refusal(500))
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    // Undefined when it has gone already.
    const address = plainAddress(remoteAddress ?? "")
    const source = this.#sourceOf(address)
    if (remoteAddress === undefined || !this.#hasRoom(source)) {
      socket.destroy()
      return
    }
    const connection = new HttpConnection(socket, this)
    this.#remotes.set(connection, { remote: { address, port: remotePort ?? 0 }, source })
    source.connections.add(connection)
  }

  /** Makes room where there is none: at the cost of who has most. */
  #hasRoom(source: Source): boolean {
    if (source.connections.size >= this.#mostPerSource) return makeRoom(source)
    return this.#remotes.size < this.#most || makeRoom(this.#largest(source))
  }

  #sourceOf(address: string): Source {
    const known = this.#sources.get(address)
    if (known !== undefined) return known
    const source = {
      address,
      share: this.#fair.share(),
      connections: new Set<HttpConnection>(),
    }
    this.#sources.set(address, source)
    return source
  }

  /** Who has the most; of those that have as many, not who has just come. */
  #largest(source: Source): Source {
    let largest = source
    for (const other of this.#sources.values()) {
      if (other.connections.size >= largest.connections.size) largest = other
    }
    return largest
  }

  #sweep(): void {
    const now = this.now()
    this.roughNow = now
    for (const connection of this.#remotes.keys()) {
      if (connection.deadline < now) connection.expire()
    }
    for (const source of this.#sources.values()) {
      if (source.connections.size === 0 && this.#fair.isRested(source.share)) this.#forget(source)
    }
  }

  #forget({ address, share }: Source): void {
    this.#sources.delete(address)
    this.#fair.forget(share)
  }
}

/** Closes the oldest connection that has no request in work. @returns whether there was one */
function makeRoom({ connections }: Source): boolean {
  for (const connection of connections) {
    if (!connection.isIdle) continue
    connection.destroy()
    return true
  }
  return false
}

/** "::ffff:10.0.0.1" is how a socket of both families writes 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address
}

/** Three quarters of what this process may open: the agent needs some for itself. */
function descriptorsToSpare(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8")
    const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1])
    return soft > 0 ? Math.floor(soft * 0.75) : MAX_CONNECTIONS
  } catch {
    return MAX_CONNECTIONS
  }
}
