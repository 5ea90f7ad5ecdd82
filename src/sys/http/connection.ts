import type { Socket } from "node:net"
import { encodeAnswer, type Framing, type HttpAnswer, refusal } from "./answer.ts"
import { type HttpHead, parseHead } from "./head.ts"

/** A request that came. */
export class HttpRequest {
  readonly #head: HttpHead
  #isGone = false
  #gone: AbortController | undefined

  constructor(head: HttpHead) {
    this.#head = head
  }

  get method(): string {
    return this.#head.method
  }

  /** Path and query as they came. */
  get target(): string {
    return this.#head.target
  }

  /** @param name in lower case */
  header(name: string): string | undefined {
    return this.#head.headers.get(name)
  }

  /** Fires when the client has gone before the answer. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController()
    if (this.#isGone) this.#gone.abort()
    return this.#gone.signal
  }

  /** Only for the connection. */
  abandon(): void {
    this.#isGone = true
    this.#gone?.abort()
  }
}

/** What a connection asks of its server. */
export interface ConnectionHost {
  /** Milliseconds that only grow. */
  readonly now: () => number
  /** The same as it was up to half a second ago: to ask the clock costs part of an answer. */
  readonly roughNow: number
  readonly limits: ConnectionLimits
  /** Answers a request, now or when it is its source's turn. */
  answer(connection: HttpConnection, request: HttpRequest): void
  closed(connection: HttpConnection): void
}

/** What a connection may cost. Times are milliseconds. */
export interface ConnectionLimits {
  /** From its first byte, or the connection's begin, to the head's end. */
  readonly headMs: number
  /** Between two requests. */
  readonly idleMs: number
  /** For a client to take an answer. */
  readonly sendMs: number
  readonly headBytes: number
  /** Bodies are not looked at; this much of one is skipped before the connection is closed. */
  readonly bodyBytes: number
}

/** How long a client may take to hang up after it was told to. */
const CLOSE_MS = 2000
const HEAD_END = "\r\n\r\n"
const EMPTY = Buffer.alloc(0)

/** What a connection does. */
type State = "reading" | "answering" | "sending" | "closing" | "closed"

/**
 * One connection of HTTP/1. It has at most one request in work: the next is not read before the
 * answer is out, so that nobody can pile up answers.
 */
export class HttpConnection {
  /** When it is to be given up. */
  deadline: number
  readonly #socket: Socket
  readonly #host: ConnectionHost
  #state: State = "reading"
  #unread: Buffer = EMPTY
  #request: HttpRequest | undefined
  #head: HttpHead | undefined
  /** The client says nothing more. */
  #ended = false
  #skipped = 0

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket
    this.#host = host
    this.deadline = host.now() + host.limits.headMs
    socket.on("data", (chunk: Buffer) => this.#received(chunk))
    socket.on("drain", () => this.#sent())
    socket.on("end", () => this.#received(EMPTY, true))
    // What follows is "close".
    socket.on("error", () => undefined)
    socket.on("close", () => this.#closed())
  }

  /**
   * Answers the request that {@link ConnectionHost.answer} was given.
   *
   * @throws TypeError when the answer cannot be sent; another can be given then
   */
  reply(answer: HttpAnswer): void {
    const head = this.#head
    if (this.#state !== "answering" || head === undefined) return
    const more = !this.#ended || this.#unread.length > 0
    const keepAlive = head.keepAlive && more && head.bodyBytes === 0
    this.#send(answer, { method: head.method, old: head.old, keepAlive })
    this.#request = undefined
    this.#head = undefined
  }

  /** Whether no request is in work. */
  get isIdle(): boolean {
    return this.#state === "reading"
  }

  /** Its time is over. */
  expire(): void {
    if (this.#state === "reading" && this.#unread.length > 0) this.#refuse(408)
    else this.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#closed()
  }

  #received(chunk: Buffer, end = false): void {
    this.#ended ||= end
    if (this.#state === "closing") {
      this.#skipped += chunk.length
      if (this.#skipped > this.#host.limits.bodyBytes) this.destroy()
      return
    }
    if (end) this.#request?.abandon()
    if (this.#state === "reading" && this.#unread.length === 0 && chunk.length > 0) {
      this.deadline = Math.min(this.deadline, this.#host.now() + this.#host.limits.headMs)
    }
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    if (this.#state === "reading") this.#read()
    // Requests that are sent ahead stay in the kernel.
    else if (this.#unread.length > this.#host.limits.headBytes) this.#socket.pause()
  }

  #read(): void {
    const { headBytes } = this.#host.limits
    let text = this.#unread.toString("latin1", 0, headBytes + HEAD_END.length)
    // RFC 9112 §2.2: an empty line before a request is let pass.
    let from = 0
    while (text.startsWith("\r\n", from)) from += 2
    if (from > 0) text = text.slice(from)
    const end = text.indexOf(HEAD_END)
    if (end < 0) {
      if (this.#unread.length > headBytes) this.#refuse(431)
      else if (this.#ended) this.#close()
      return
    }
    const next = from + end + HEAD_END.length
    this.#unread = this.#unread.length === next ? EMPTY : this.#unread.subarray(next)
    const head = parseHead(text.slice(0, end))
    if (typeof head === "number") this.#refuse(head)
    else this.#ask(head)
  }

  #ask(head: HttpHead): void {
    this.deadline = Number.POSITIVE_INFINITY
    this.#state = "answering"
    this.#head = head
    if (head.bodyBytes > this.#host.limits.bodyBytes) {
      this.reply(refusal(413))
      return
    }
    this.#request = new HttpRequest(head)
    if (this.#ended) this.#request.abandon()
    this.#host.answer(this, this.#request)
  }

  #refuse(status: number): void {
    this.#send(refusal(status), { method: "GET", old: false, keepAlive: false })
  }

  #send(answer: HttpAnswer, framing: Framing): void {
    let out = true
    for (const piece of encodeAnswer(answer, framing)) out = this.#socket.write(piece, "latin1")
    if (!framing.keepAlive) {
      this.#close()
      return
    }
    this.#state = "sending"
    if (out) this.#sent()
    else this.deadline = this.#host.now() + this.#host.limits.sendMs
  }

  #sent(): void {
    if (this.#state !== "sending") return
    this.#state = "reading"
    this.deadline = this.#host.roughNow + this.#host.limits.idleMs
    if (this.#unread.length === 0 && !this.#ended) return
    // One at a time for each connection: who sends many ahead does not hold up the others.
    setImmediate(() => {
      if (this.#state !== "reading") return
      this.#socket.resume()
      this.#read()
    })
  }

  /**
   * Ends our side and waits for the client's end: to close while it still sends would take the
   * answer from it (RFC 9112 §9.6).
   */
  #close(): void {
    this.#state = "closing"
    this.#skipped = this.#unread.length
    this.#unread = EMPTY
    this.deadline = this.#host.now() + this.#host.limits.sendMs
    this.#socket.end(() => {
      this.deadline = Math.min(this.deadline, this.#host.now() + CLOSE_MS)
    })
    this.#socket.resume()
  }

  #closed(): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#request?.abandon()
    this.#host.closed(this)
  }
}
