/** What stores work with, of a time that stands still until told and a network that answers as scripted. */
import type { Cancel, Dependencies } from "../../src/cluster/store/dependencies.ts"

/** A request as an etcd sees it. */
export interface FakeRequest {
  /** Without the path: which member. */
  readonly endpoint: string
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: Headers
  readonly signal: AbortSignal
  /** Whether it may come on a connection that was there before. */
  readonly keepalive: boolean
}

/** Answers, or throws as a network does; undefined: never answers. */
export type FakeAnswer = (request: FakeRequest) => Response | Promise<Response> | undefined

interface Waiting {
  readonly atMs: number
  readonly call: () => void
}

export class FakeDependencies implements Dependencies {
  readonly requests: FakeRequest[] = []
  readonly #waiting = new Set<Waiting>()
  #nowMs = 1000
  /** May be replaced at any time. */
  answer: FakeAnswer

  constructor(answer: FakeAnswer) {
    this.answer = answer
  }

  readonly random = () => 0

  readonly now = () => this.#nowMs

  readonly after = (ms: number, call: () => void): Cancel => {
    const waiting = { atMs: this.#nowMs + ms, call }
    this.#waiting.add(waiting)
    return () => void this.#waiting.delete(waiting)
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const { origin, pathname } = new URL(url)
    const signal = init.signal ?? new AbortController().signal
    const request = {
      endpoint: origin,
      path: pathname,
      body: JSON.parse(String(init.body)),
      headers: new Headers(init.headers),
      signal,
      keepalive: init.keepalive ?? true,
    }
    this.requests.push(request)
    return (await this.answer(request)) ?? (await new Promise<Response>(() => undefined))
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#waiting.size
  }

  /** Paths of the requests so far. */
  get paths(): string[] {
    return this.requests.map(({ path }) => path)
  }

  /** Lets so much time pass, with everything that falls due on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#nowMs + ms
    await settle()
    for (;;) {
      const due = [...this.#waiting]
        .filter(({ atMs }) => atMs <= until)
        .sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#waiting.delete(due)
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      due.call()
      await settle()
    }
    this.#nowMs = until
  }
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve))
}

/** How a network says that nobody listens. */
export function refuse(): never {
  throw Object.assign(new Error("Unable to connect. Is the computer able to access the url?"), {
    code: "ECONNREFUSED",
  })
}

/** A header as etcd's gateway writes it. */
export function header(revision: number, term = 2, cluster = "7") {
  return {
    cluster_id: cluster,
    member_id: "1",
    revision: String(revision),
    raft_term: String(term),
  }
}

/** A key and value as etcd's gateway writes them. */
export function kv(key: string, value: string, revision: number, created = revision) {
  const base64 = (text: string) => new TextEncoder().encode(text).toBase64()
  return {
    key: base64(key),
    value: base64(value),
    create_revision: String(created),
    mod_revision: String(revision),
    version: "1",
  }
}

/** A refusal as etcd's gateway writes it. */
export function refusal(status: number, code: number, message: string): Response {
  return Response.json({ error: message, message, code }, { status })
}

/** A stream that the test writes to. */
export class FakeStream {
  readonly #encoder = new TextEncoder()
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly response: Response

  constructor() {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
      },
    })
    this.response = new Response(body)
  }

  result(value: object): this {
    return this.text(`${JSON.stringify({ result: value })}\n`)
  }

  text(text: string): this {
    return this.bytes(this.#encoder.encode(text))
  }

  bytes(bytes: Uint8Array): this {
    this.#controller?.enqueue(bytes)
    return this
  }

  end(): void {
    this.#controller?.close()
  }

  break(): void {
    this.#controller?.error(new Error("ECONNRESET: the connection broke"))
  }
}
