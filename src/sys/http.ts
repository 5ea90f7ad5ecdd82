/** An HTTP server on an address and port, over Bun.serve or Deno.serve. */

import { LariatError, messageOf } from "../errors.ts"
import { bunGlobal } from "./bun_global.ts"
import { denoGlobal } from "./deno_global.ts"
import { concat } from "./file.ts"

/** Who asks. An IPv4 address is plain also when the server listens on IPv6. */
export interface RemoteAddress {
  readonly address: string
  readonly port: number
}

export type HttpHandler = (request: Request, remote: RemoteAddress) => Response | Promise<Response>

/** Where and how to listen. */
export interface HttpOptions {
  /** An address, IPv4 or IPv6; "::" is all of both. */
  readonly hostname: string
  /** 0 picks a free one. */
  readonly port: number
  /**
   * Seconds after which a connection that says nothing, or whose answer does not come, is closed;
   * 0 to 255, 0 is never. Default 120. Longer than any long poll. Deno has no such limit.
   */
  readonly idleTimeoutSeconds?: number
  /** Larger requests get 413. Default 64 KiB. */
  readonly maxBodyBytes?: number
  /** Hears what a handler threw; the client gets a bare 500. Default: nothing. */
  readonly onError?: (error: unknown) => void
}

/** A server that is listening. */
export interface HttpServer {
  readonly port: number
  /** Stops listening and closes all connections. */
  stop(): Promise<void>
}

const KIBIBYTE = 1024

/** "::ffff:10.0.0.1" is how a socket of both families writes 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address
}

/** The handler with its errors answered: nothing of the program reaches the client. */
function guarded(handler: HttpHandler, onError: (error: unknown) => void): HttpHandler {
  return async (request, remote) => {
    try {
      return await handler(request, remote)
    } catch (error) {
      onError(error)
      return new Response("Internal Server Error\n", { status: 500 })
    }
  }
}

function serveBun(
  bun: typeof Bun,
  options: Required<HttpOptions>,
  handler: HttpHandler,
): HttpServer {
  const server = bun.serve({
    hostname: options.hostname,
    port: options.port,
    idleTimeout: options.idleTimeoutSeconds,
    maxRequestBodySize: options.maxBodyBytes,
    development: false,
    // Without development Bun would share the port, and two agents would split the requests.
    reusePort: false,
    fetch(request, self): Response | Promise<Response> {
      const ip = self.requestIP(request)
      // Null when the client has gone already.
      if (ip === null) return new Response(null, { status: 400 })
      return handler(request, { address: plainAddress(ip.address), port: ip.port })
    },
  })
  return { port: server.port ?? options.port, stop: () => server.stop(true) }
}

/** The request with its body read, or undefined when that exceeds the limit. */
async function withBoundedBody(request: Request, limit: number): Promise<Request | undefined> {
  if (request.body === null) return request
  const chunks: Uint8Array[] = []
  let total = 0
  for await (const chunk of request.body) {
    total += chunk.length
    if (total > limit) return undefined
    chunks.push(chunk)
  }
  // Without its signal, which under Deno also fires when all went well.
  const { url, method, headers } = request
  return new Request(url, { method, headers, body: concat(chunks, total).slice() })
}

function serveDeno(options: Required<HttpOptions>, handler: HttpHandler): HttpServer {
  const abort = new AbortController()
  const { hostname, port } = options
  const server = denoGlobal().serve(
    { hostname, port, signal: abort.signal, onListen: () => undefined },
    async (request, { remoteAddr }) => {
      const bounded = await withBoundedBody(request, options.maxBodyBytes)
      if (bounded === undefined) return new Response(null, { status: 413 })
      const address = plainAddress(remoteAddr.hostname)
      return handler(bounded, { address, port: remoteAddr.port })
    },
  )
  return {
    port: server.addr.port,
    async stop() {
      abort.abort()
      await server.finished
    },
  }
}

/**
 * Listens for HTTP, in the network namespace the thread is in when this is called.
 *
 * @throws LariatError io when the address cannot be listened on
 */
export function serveHttp(options: HttpOptions, handler: HttpHandler): HttpServer {
  const full: Required<HttpOptions> = {
    idleTimeoutSeconds: 120,
    maxBodyBytes: 64 * KIBIBYTE,
    onError: () => undefined,
    ...options,
  }
  const safe = guarded(handler, full.onError)
  try {
    const bun = bunGlobal()
    return bun === undefined ? serveDeno(full, safe) : serveBun(bun, full, safe)
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
}
