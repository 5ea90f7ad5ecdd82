/** `lariat metadata serve` as tests run it, and raw connections to it. */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { waitFor } from "../clients/program.ts"

const HOST = "127.0.0.1"

/** A server over a file of objects. */
export class MetadataServe {
  readonly port: number
  readonly #child: ChildProcess
  #log = ""

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text
    })
  }

  /** Starts it, and returns when it answers. */
  static async start(objects: string, port: number): Promise<MetadataServe> {
    const [program = "", ...args]: string[] = JSON.parse(process.env.LARIAT_CMD ?? "[]")
    const listen = ["--objects", objects, "--listen", `${HOST}:${port}`]
    const child = spawn(program, [...args, "metadata", "serve", ...listen], {
      stdio: ["ignore", "ignore", "pipe"],
    })
    const server = new MetadataServe(child, port)
    await waitFor(`metadata on port ${port}`, async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${server.#log}`)
      return await fetch(server.url("/")).then(
        (response) => (response.ok ? true : undefined),
        () => undefined,
      )
    })
    return server
  }

  /** What it wrote to its standard error, without Deno's notice on a request's signal, once (src/sys/http/fetch_server.ts). */
  get log(): string {
    return this.#log.replace(/^Deno\.serve: request\.signal .*\n/, "")
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Whether it still is the process that was started. */
  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  url(path: string): string {
    return `http://${HOST}:${this.port}${path}`
  }

  reload(): void {
    this.#child.kill("SIGHUP")
  }

  /** Descriptors that it has open. */
  get fds(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length
  }

  /** Resident memory, bytes. */
  get rss(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8")
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
  }

  async stop(): Promise<void> {
    if (!this.runs) return
    const ended = new Promise((resolve) => this.#child.once("exit", resolve))
    this.#child.kill("SIGTERM")
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000)
    await ended
    clearTimeout(timer)
  }

  /** A connection from one of the addresses of 127.0.0.0/8. */
  connect(from: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: HOST,
        port: this.port,
        localAddress: from,
        allowHalfOpen: true,
        noDelay: true,
      })
      const connection = new Connection(socket)
      socket.once("connect", () => resolve(connection))
      socket.once("error", reject)
    })
  }

  /** Sends bytes from an address, and gives what comes until the server hangs up. */
  async exchange(bytes: string | Uint8Array, from = HOST): Promise<string> {
    const connection = await this.connect(from)
    connection.socket.write(bytes)
    return await connection.rest()
  }
}

/** A connection of which everything that comes is kept. */
export class Connection {
  readonly socket: Socket
  text = ""
  closed = false
  readonly #end: Promise<void>

  constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (bytes) => {
      this.text += bytes.toString("latin1")
    })
    // What follows is "close".
    socket.on("error", () => undefined)
    this.#end = new Promise((resolve) => {
      socket.on("close", () => {
        this.closed = true
        resolve()
      })
    })
    socket.on("end", () => socket.end())
  }

  /** All that comes until the server hangs up. */
  async rest(): Promise<string> {
    await this.#end
    return this.text
  }
}

/** A request, whole. */
export function get(path: string, ...fields: readonly string[]): string {
  return [`GET ${path} HTTP/1.1`, "Host: x", ...fields, "", ""].join("\r\n")
}

/** Statuses of all answers in a text. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
}
