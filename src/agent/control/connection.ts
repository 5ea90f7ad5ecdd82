import type { Socket } from "node:net"
import { MAX_REQUEST_BYTES } from "../../cni/protocol.ts"
import { messageOf } from "../../errors.ts"
import { hasHungUp } from "../../sys/net/hung_up.ts"
import type { Caller } from "../caller.ts"
import type { Turns } from "./turns.ts"

/** Takes one parsed request, gives the value that is sent back as JSON. Must not throw. */
export type RequestHandler = (request: unknown, caller: Caller) => unknown | Promise<unknown>

/** What a connection may hold without waiting for its turn, bytes: nearly every request has less. */
const SMALL_BYTES = 65_536

/** What a {@link Connection} works with. */
export interface ConnectionOptions {
  readonly handler: RequestHandler
  /** For the whole request, and for hanging up after the answer, milliseconds. */
  readonly timeoutMs: number
  /** Large requests at a time. */
  readonly large: Turns
  /** The answer is on its way. */
  readonly onAnswered: (connection: Connection) => void
}

/** One connection: its request is read, answered, and it is closed. */
export class Connection implements Caller {
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  /** The bytes are let go as they come: text takes less, and is needed anyhow. */
  readonly #decoder = new TextDecoder("utf-8", { fatal: true })
  #text = ""
  readonly #lost: (() => void)[] = []
  #size = 0
  #state: "reading" | "working" | "answered" = "reading"
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Ends the turn of a large request. */
  #leave: (() => void) | undefined

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.#beginWait()
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk))
    socket.on("end", () => {
      if (this.#state !== "reading") return
      this.#refuse("decode", "Cannot read the request: it has no end of line")
    })
    socket.on("error", () => {
      socket.destroy()
      this.#takeBack()
    })
    socket.on("close", () => this.#end())
  }

  /** What it is about; one that is being worked for is not to be closed. */
  get state(): "reading" | "working" | "answered" {
    return this.#state
  }

  /** Bytes of its answer that nobody has read yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  close(): void {
    this.#socket.destroy()
    this.#end()
  }

  isGone(): boolean {
    return hasHungUp(this.#socket)
  }

  ifLost(takeBack: () => void): void {
    this.#lost.push(takeBack)
  }

  /** From now on the rest of the request must come in time. */
  #beginWait(): void {
    this.#timer = setTimeout(() => {
      this.#refuse("decode", "Cannot read the request: it did not end in time")
    }, this.#options.timeoutMs)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#text = ""
    this.#leave?.()
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
    const newline = chunk.indexOf(10)
    if (!this.#decode(newline < 0 ? chunk : chunk.subarray(0, newline), newline < 0)) return
    if (newline < 0) {
      if (this.#size > SMALL_BYTES && this.#leave === undefined) this.#waitForTurn()
      return
    }
    this.#state = "working"
    clearTimeout(this.#timer)
    const line = this.#text
    this.#text = ""
    // An agent that stood still finds calls that were given up long ago.
    if (this.isGone()) this.#socket.destroy()
    else void this.#work(line)
  }

  /** A large request is read when few others are: it waits in the kernel until then. */
  #waitForTurn(): void {
    this.#socket.pause()
    clearTimeout(this.#timer)
    this.#leave = this.#options.large.take(() => {
      this.#beginWait()
      this.#socket.resume()
    })
    if (this.#leave === undefined) {
      this.#refuse("busy", "Cannot read the request: too many others as large as this one wait")
    }
  }

  /** False where it is no text: that is refused. */
  #decode(bytes: Uint8Array, stream: boolean): boolean {
    try {
      this.#text += this.#decoder.decode(bytes, { stream })
      return true
    } catch (error) {
      this.#refuse("decode", `Cannot read the request: ${messageOf(error)}`)
      return false
    }
  }

  async #work(line: string): Promise<void> {
    let request: unknown
    try {
      request = JSON.parse(line)
    } catch (error) {
      this.#refuse("decode", `Cannot read the request: ${messageOf(error)}`)
      return
    }
    try {
      this.#answer(await this.#options.handler(request, this))
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
    this.#end()
    if (this.isGone()) {
      this.#socket.destroy()
      this.#takeBack()
      return
    }
    // Whoever hangs up without having read it ends in an error of the socket's.
    this.#socket.end(`${JSON.stringify(value)}\n`)
    // A client that reads no answer, or never ends its side, would keep the connection for good.
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#options.timeoutMs)
    this.#options.onAnswered(this)
  }
}
