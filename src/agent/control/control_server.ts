import { chmodSync, mkdirSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { dirname } from "node:path"
import { MAX_REQUEST_BYTES } from "../../cni/protocol.ts"
import { LariatError, messageOf } from "../../errors.ts"
import { hasHungUp } from "../../sys/net/hung_up.ts"
import type { Caller } from "../caller.ts"

/** Takes one parsed request, gives the value that is sent back as JSON. Must not throw. */
export type RequestHandler = (request: unknown, caller: Caller) => unknown | Promise<unknown>

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
 * connection ends. A request whose caller has hung up is not begun. Mode 0600: whoever may open it owns the host's network already.
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
      new Connection(socket, handler, requestTimeoutMs)
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

/** One connection: its request is read, answered, and it is closed. */
class Connection implements Caller {
  readonly #socket: Socket
  readonly #handler: RequestHandler
  readonly #timeoutMs: number
  readonly #chunks: Uint8Array[] = []
  readonly #lost: (() => void)[] = []
  #size = 0
  #state: "reading" | "working" | "answered" = "reading"
  #timer: ReturnType<typeof setTimeout>

  constructor(socket: Socket, handler: RequestHandler, timeoutMs: number) {
    this.#socket = socket
    this.#handler = handler
    this.#timeoutMs = timeoutMs
    this.#timer = setTimeout(() => {
      this.#refuse("decode", "Cannot read the request: it did not end in time")
    }, timeoutMs)
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk))
    socket.on("end", () => {
      if (this.#state !== "reading") return
      this.#refuse("decode", "Cannot read the request: it has no end of line")
    })
    socket.on("error", () => {
      socket.destroy()
      this.#takeBack()
    })
    socket.on("close", () => clearTimeout(this.#timer))
  }

  isGone(): boolean {
    return hasHungUp(this.#socket)
  }

  ifLost(takeBack: () => void): void {
    this.#lost.push(takeBack)
  }

  #takeBack(): void {
    if (this.#state !== "answered") return
    for (const step of this.#lost.splice(0)) step()
  }

  #take(chunk: Uint8Array): void {
    if (this.#state !== "reading") return
    this.#size += chunk.length
    if (this.#size > MAX_REQUEST_BYTES) {
      this.#refuse("decode", `Cannot read the request: more than ${MAX_REQUEST_BYTES} bytes`)
      return
    }
    this.#chunks.push(chunk)
    const newline = chunk.indexOf(10)
    if (newline < 0) return
    this.#state = "working"
    clearTimeout(this.#timer)
    const line = Buffer.concat(this.#chunks).subarray(0, this.#size - chunk.length + newline)
    this.#chunks.length = 0
    // An agent that stood still finds calls that were given up long ago.
    if (this.isGone()) this.#socket.destroy()
    else void this.#work(line)
  }

  async #work(line: Uint8Array): Promise<void> {
    let request: unknown
    try {
      request = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line))
    } catch (error) {
      this.#refuse("decode", `Cannot read the request: ${messageOf(error)}`)
      return
    }
    try {
      this.#answer(await this.#handler(request, this))
    } catch (error) {
      this.#refuse("internal", `Cannot handle the request: ${messageOf(error)}`)
    }
  }

  #refuse(code: string, message: string): void {
    this.#answer({ ok: false, code, message })
  }

  #answer(value: unknown): void {
    if (this.#state === "answered") return
    this.#state = "answered"
    clearTimeout(this.#timer)
    if (this.isGone()) {
      this.#socket.destroy()
      this.#takeBack()
      return
    }
    // Whoever hangs up without having read it ends in an error of the socket's.
    this.#socket.end(`${JSON.stringify(value)}\n`)
    // A client that reads no answer, or never ends its side, would keep the connection for good.
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#timeoutMs)
  }
}
