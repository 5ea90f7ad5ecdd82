import { chmodSync, mkdirSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { dirname } from "node:path"
import { MAX_REQUEST_BYTES } from "../../cni/protocol.ts"
import { LariatError, messageOf } from "../../errors.ts"

/** Takes one parsed request, gives the value that is sent back as JSON. Must not throw. */
export type RequestHandler = (request: unknown) => unknown | Promise<unknown>

/** Limits of the control socket; the defaults suit a host with a thousand containers. */
export interface ControlServerOptions {
  /**
   * A client must have sent its whole request within this time, and hung up as long after the
   * answer, milliseconds. Default 10,000.
   */
  readonly requestTimeoutMs?: number
  /** Connections beyond this number are closed at once. Default 512. */
  readonly maxConnections?: number
}

/**
 * The agent's unix socket: one JSON request on one line, one JSON answer on one line, then the
 * connection ends. Mode 0600: whoever may open it owns the host's network already.
 */
export class ControlServer {
  readonly #server: Server
  readonly #path: string
  readonly #connections = new Set<Socket>()

  private constructor(server: Server, path: string) {
    this.#server = server
    this.#path = path
  }

  /**
   * Listens at `path`. A socket file that a killed agent left behind is replaced; the caller must
   * hold the state directory's lock, so no living agent can lose its socket to us.
   *
   * @throws LariatError `io` when the socket cannot be made
   */
  static async listen(
    path: string,
    handler: RequestHandler,
    options: ControlServerOptions = {},
  ): Promise<ControlServer> {
    const { requestTimeoutMs = 10_000, maxConnections = 512 } = options
    // Half-open sockets stay writable: a client may end its side after the request.
    const server = createServer({ allowHalfOpen: true })
    const control = new ControlServer(server, path)
    server.on("connection", (socket) => {
      if (control.#connections.size >= maxConnections) {
        socket.destroy()
        return
      }
      control.#connections.add(socket)
      socket.on("close", () => control.#connections.delete(socket))
      serve(socket, handler, requestTimeoutMs)
    })
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      rmSync(path, { force: true })
      // The umask closes the moment between bind and chmod in which others could connect.
      const umask = process.umask(0o177)
      try {
        await listening(server, path)
      } finally {
        process.umask(umask)
      }
      chmodSync(path, 0o600)
    } catch (error) {
      throw new LariatError(`Cannot listen on the control socket ${path}: ${messageOf(error)}`, {
        code: "io",
        hint: "check that the run directory can be written, or choose another with --run-dir",
        cause: error,
      })
    }
    return control
  }

  /** Stops listening, ends open connections and removes the socket file. */
  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    rmSync(this.#path, { force: true })
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(path, () => {
      server.off("error", reject)
      server.on("error", () => {})
      resolve()
    })
  })
}

function serve(socket: Socket, handler: RequestHandler, requestTimeoutMs: number): void {
  const chunks: Uint8Array[] = []
  let size = 0
  let answered = false
  let timer = setTimeout(() => {
    answer(refusal("decode", "Cannot read the request: it did not end in time"))
  }, requestTimeoutMs)

  function answer(value: unknown): void {
    if (answered) return
    answered = true
    clearTimeout(timer)
    if (socket.destroyed) return
    socket.end(`${JSON.stringify(value)}\n`)
    // A client that reads no answer, or never ends its side, would keep the connection for good.
    timer = setTimeout(() => socket.destroy(), requestTimeoutMs)
  }

  async function handle(line: Uint8Array): Promise<void> {
    let request: unknown
    try {
      request = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line))
    } catch (error) {
      answer(refusal("decode", `Cannot read the request: ${messageOf(error)}`))
      return
    }
    try {
      answer(await handler(request))
    } catch (error) {
      answer(refusal("internal", `Cannot handle the request: ${messageOf(error)}`))
    }
  }

  let received = false
  socket.on("data", (chunk: Uint8Array) => {
    if (received || answered) return
    size += chunk.length
    if (size > MAX_REQUEST_BYTES) {
      answer(refusal("decode", `Cannot read the request: more than ${MAX_REQUEST_BYTES} bytes`))
      return
    }
    chunks.push(chunk)
    const newline = chunk.indexOf(10)
    if (newline < 0) return
    received = true
    clearTimeout(timer)
    void handle(Buffer.concat(chunks).subarray(0, size - chunk.length + newline))
  })
  socket.on("end", () => {
    if (!received) answer(refusal("decode", "Cannot read the request: it has no end of line"))
  })
  socket.on("error", () => socket.destroy())
  socket.on("close", () => clearTimeout(timer))
}

function refusal(code: string, message: string): { ok: false; code: string; message: string } {
  return { ok: false, code, message }
}
