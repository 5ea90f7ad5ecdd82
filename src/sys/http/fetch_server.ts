/**
 * The runtime's own HTTP server around a fetch handler, bodies and streams included.
 *
 * | | Bun | Deno |
 * |---|---|---|
 * | head | 16 KiB (431); the first within 12 s, later ones within `idleSeconds` | some 400 KiB; no time limit |
 * | body | `maxBodyBytes`, also chunked | `maxBodyBytes` where its length is said |
 * | silent | 12 s before the first request, also where `idleSeconds` is 0 | no time limit |
 * | idle | `idleSeconds` after a request, and while one is answered | no time limit |
 *
 * Neither bounds how many connect or how much they ask: where strangers do, the firewall's limits
 * bound each source and all of them together. Without those, silent connections stay for ever under
 * Deno, and go by themselves under Bun.
 */

import { LariatError, messageOf } from "../../errors.ts"
import { bunGlobal } from "../ffi/bun_global.ts"
import { denoGlobal } from "../ffi/deno_global.ts"

/** Who asks. */
export interface HttpClient {
  /** An IPv4 address is plain also when the server listens on IPv6; empty when it has gone. */
  readonly address: string
  readonly port: number
  /**
   * Fires when the client has gone before its answer. Whoever reads this is about to wait, so the
   * request may then be idle for 255 seconds. Deno's own signal also fires when an answer was sent,
   * which Deno says once on standard error.
   */
  readonly gone: AbortSignal
}

/** Answers one request. An answer's stream is cancelled when the client has gone. */
export type FetchHandler = (request: Request, client: HttpClient) => Response | Promise<Response>

/** A server that is listening. */
export interface FetchServer {
  readonly port: number
  /** Stops listening and closes all connections. */
  stop(): Promise<void>
  /** Stops listening, and ends when all requests in work are answered. */
  drain(): Promise<void>
}

/** Where and how to listen. */
export interface FetchServerOptions {
  /** An address, IPv4 or IPv6; "::" is all of both. */
  readonly hostname: string
  /** 0 picks a free one. */
  readonly port: number
  /** A connection without bytes for so long is closed. Default 0: never, as streams need it. */
  readonly idleSeconds?: number | undefined
  /** A longer body is refused with 413. Default: the runtime's own limit. */
  readonly maxBodyBytes?: number | undefined
  /** Hears what a handler threw; the client gets a bare 500. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Seconds that a request may wait: the most that Bun knows. */
const WAIT_SECONDS = 255

/**
 * Listens, in the network namespace the thread is in when this is called.
 *
 * @throws LariatError io when the address cannot be listened on
 */
export function serveFetch(options: FetchServerOptions, handler: FetchHandler): FetchServer {
  const { hostname, port } = options
  try {
    const bun = bunGlobal()
    return bun === undefined ? serveDeno(options, handler) : serveBun(bun, options, handler)
  } catch (cause) {
    throw new LariatError(`Cannot serve HTTP on ${hostname} port ${port}: ${messageOf(cause)}`, {
      code: "io",
      hint: "Is another program on that port, and is the address on this host?",
      cause,
    })
  }
}

function serveBun(
  bun: typeof Bun,
  { hostname, port, idleSeconds = 0, maxBodyBytes, onError }: FetchServerOptions,
  handler: FetchHandler,
): FetchServer {
  const server = bun.serve({
    hostname,
    port,
    idleTimeout: idleSeconds,
    ...(maxBodyBytes === undefined ? {} : { maxRequestBodySize: maxBodyBytes }),
    development: false,
    fetch: (request, self) => handler(request, new BunClient(request, self)),
    error: (error) => failed(error, onError),
  })
  return {
    port: server.port ?? port,
    stop: () => server.stop(true),
    drain: () => server.stop(false),
  }
}

/** The client of a request of `Bun.serve`. */
class BunClient implements HttpClient {
  readonly address: string
  readonly port: number
  readonly #request: Request
  readonly #server: Bun.Server<unknown>

  constructor(request: Request, server: Bun.Server<unknown>) {
    const ip = server.requestIP(request)
    this.address = plainAddress(ip?.address ?? "")
    this.port = ip?.port ?? 0
    this.#request = request
    this.#server = server
  }

  get gone(): AbortSignal {
    this.#server.timeout(this.#request, WAIT_SECONDS)
    return this.#request.signal
  }
}

function serveDeno(
  { hostname, port, maxBodyBytes = Number.POSITIVE_INFINITY, onError }: FetchServerOptions,
  handler: FetchHandler,
): FetchServer {
  const end = new AbortController()
  const server = denoGlobal().serve(
    {
      hostname,
      port,
      signal: end.signal,
      onListen: () => undefined,
      onError: (error: unknown) => failed(error, onError),
    },
    (request, { remoteAddr }) => {
      if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) {
        return new Response(null, { status: 413, headers: { Connection: "close" } })
      }
      return handler(request, {
        address: plainAddress(remoteAddr.hostname),
        port: remoteAddr.port,
        get gone() {
          return request.signal
        },
      })
    },
  )
  return {
    port: server.addr.port,
    async stop() {
      end.abort()
      await server.finished
    },
    drain: () => server.shutdown(),
  }
}

/** Nothing of the program reaches the client. */
function failed(error: unknown, onError: ((error: unknown) => void) | undefined): Response {
  onError?.(error)
  return new Response("Internal Server Error\n", { status: 500 })
}

/** "::ffff:10.0.0.1" is how a socket of both families writes 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address
}
