/**
 * A plain HTTP server around a fetch handler, bodies and streams included: the runtime's own. It
 * bounds neither connections nor clients; what strangers can reach is served by {@link serveHttp}.
 */

import { LariatError, messageOf } from "../../errors.ts"
import { bunGlobal } from "../ffi/bun_global.ts"
import { denoGlobal } from "../ffi/deno_global.ts"

/**
 * Answers one request. An answer's stream is cancelled when the client has gone; the request's own
 * signal is not to be used: Deno's fires for any answer, and says so on standard error.
 */
export type FetchHandler = (request: Request) => Response | Promise<Response>

/** A server that is listening. */
export interface FetchServer {
  readonly port: number
  /** Stops listening and closes all connections. */
  stop(): Promise<void>
}

/** Where to listen. */
export interface FetchServerOptions {
  /** An address, IPv4 or IPv6. */
  readonly hostname: string
  /** 0 picks a free one. */
  readonly port: number
}

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
  { hostname, port }: FetchServerOptions,
  handler: FetchHandler,
): FetchServer {
  const server = bun.serve({
    hostname,
    port,
    // A stream may be silent for longer than any limit.
    idleTimeout: 0,
    development: false,
    fetch: handler,
  })
  return { port: server.port ?? port, stop: () => server.stop(true) }
}

function serveDeno({ hostname, port }: FetchServerOptions, handler: FetchHandler): FetchServer {
  const end = new AbortController()
  const server = denoGlobal().serve(
    { hostname, port, signal: end.signal, onListen: () => undefined },
    (request) => handler(request),
  )
  return {
    port: server.addr.port,
    async stop() {
      end.abort()
      await server.finished
    },
  }
}
