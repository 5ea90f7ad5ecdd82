import { chmodSync, mkdirSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { dirname } from "node:path"
import { LariatError, messageOf } from "../../errors.ts"
import { Connection, type RequestHandler } from "./connection.ts"
import { Turns } from "./turns.ts"

/** Requests over 64 KiB that are read and answered at a time, each 1 MiB at most. */
const LARGE_AT_ONCE = 4
/** Those that wait for it: the kernel hands out some 200 KiB of each at the first read. */
const MOST_WAITING = 28
/** Answers that nobody has read yet, together, bytes. */
const MAX_UNSENT_BYTES = 32 * 1024 * 1024

/** Limits of the control socket; the defaults suit a host with a thousand containers. */
export interface ControlServerOptions {
  /**
   * A client must have sent its whole request within this time, and hung up as long after the
   * answer, milliseconds. Default 10,000.
   */
  readonly requestTimeoutMs?: number
  /**
   * Connections at a time. One more takes the place of a client that has its answer and does not
   * hang up, else of the one that has been sending its request for longest. Default 512.
   */
  readonly maxConnections?: number
}

/**
 * The agent's unix socket: one JSON request on one line, one JSON answer on one line, then the
 * connection ends. A request whose caller has hung up is not begun. Mode 0600: whoever may open it owns the host's network already.
 */
export class ControlServer {
  readonly #server: Server
  readonly #path: string
  /** The oldest first. */
  readonly #connections = new Set<Connection>()

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
    const shared = {
      handler,
      timeoutMs: requestTimeoutMs,
      large: new Turns(LARGE_AT_ONCE, MOST_WAITING),
      onAnswered: (connection: Connection) => control.#boundUnsent(connection),
    }
    server.on("connection", (socket) => {
      if (control.#connections.size >= maxConnections && !control.#makeRoom()) {
        socket.destroy()
        return
      }
      const connection = new Connection(socket, shared)
      control.#connections.add(connection)
      socket.on("close", () => control.#connections.delete(connection))
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

  /** Closes a connection that nobody works for; false where there is none. */
  #makeRoom(): boolean {
    const open = [...this.#connections]
    const of = (wanted: Connection["state"]) => open.find(({ state }) => state === wanted)
    const least = of("answered") ?? of("reading")
    if (least === undefined) return false
    this.#close(least)
    return true
  }

  /** Clients that do not read their answers lose them, the oldest first, where they are too much. */
  #boundUnsent(last: Connection): void {
    if (last.unsentBytes === 0) return
    const unread = [...this.#connections].filter(({ unsentBytes }) => unsentBytes > 0)
    let bytes = unread.reduce((sum, { unsentBytes }) => sum + unsentBytes, 0)
    for (const connection of unread) {
      if (bytes <= MAX_UNSENT_BYTES || connection === last) return
      bytes -= connection.unsentBytes
      this.#close(connection)
    }
  }

  #close(connection: Connection): void {
    this.#connections.delete(connection)
    connection.close()
  }

  /** Stops listening, ends open connections and removes the socket file. */
  async close(): Promise<void> {
    for (const connection of this.#connections) connection.close()
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
