/** One HTTP request to one member of etcd: bounded in time, in size and in what it may say. */

import { LariatError } from "../../../errors.ts"
import type { Dependencies } from "../dependencies.ts"
import { type Fields, parseFields } from "./codec.ts"
import { EtcdFailure, failureOf, refusalOf, statusFailure } from "./failure.ts"
import { LineSplitter } from "./json_lines.ts"

/** The most of an answer that is read, bytes. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024
/** Of a message of a stream: etcd splits what is larger than 2 MiB (--max-request-bytes + 512 KiB). */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024

/** A request on its way to one member. */
export interface Exchange {
  readonly endpoint: string
  /** Of the gateway, such as `/v3/kv/range`. */
  readonly path: string
  readonly body: object
  readonly token: string | undefined
  /** Without a word for so long it has failed, ms. */
  readonly silenceMs: number
  /** Ends it from outside. */
  readonly signal: AbortSignal
}

/** The messages of a stream. */
export interface MessageStream {
  /**
   * The next message; undefined when none came for so long: the stream is still good then.
   *
   * @throws EtcdFailure, LariatError decode
   */
  next(silenceMs: number): Promise<Fields | undefined>
  close(): void
}

/**
 * Asks and reads the whole answer.
 *
 * @throws EtcdFailure
 */
export async function ask(world: Dependencies, exchange: Exchange): Promise<Fields> {
  const connection = new Connection(world, exchange)
  try {
    const response = await connection.response()
    const text = await connection.rest(response)
    if (!response.ok) throw statusFailure(response.status, text)
    return parseFields(text, `the answer to ${exchange.path}`)
  } catch (error) {
    throw failureOf(error)
  } finally {
    connection.close()
  }
}

/**
 * Asks and gives the messages as they come.
 *
 * @throws EtcdFailure
 */
export async function openStream(world: Dependencies, exchange: Exchange): Promise<MessageStream> {
  const connection = new Connection(world, exchange)
  try {
    const response = await connection.response()
    if (!response.ok) throw statusFailure(response.status, await connection.rest(response))
    return connection.messages(response)
  } catch (error) {
    connection.close()
    throw failureOf(error)
  }
}

const SILENCE = Symbol("silence")
type Chunk = { readonly done: boolean; readonly value?: Uint8Array | undefined }

class Connection {
  readonly #world: Dependencies
  readonly #exchange: Exchange
  readonly #abort = new AbortController()
  readonly #onOutside = () => this.close()
  #closed = false

  constructor(world: Dependencies, exchange: Exchange) {
    this.#world = world
    this.#exchange = exchange
    exchange.signal.addEventListener("abort", this.#onOutside, { once: true })
    if (exchange.signal.aborted) this.close()
  }

  /** The head of the answer. */
  async response(): Promise<Response> {
    const { endpoint, path, body, token, silenceMs } = this.#exchange
    if (this.#closed) throw new EtcdFailure("the store is closed", { untouched: true })
    const headers: Record<string, string> = {
      "content-type": "application/json",
      // A member that lost the others says so at once, instead of waiting or telling old things.
      "grpc-metadata-hasleader": "true",
    }
    if (token !== undefined) headers.authorization = token
    const response = await this.#within(
      silenceMs,
      this.#world.fetch(`${endpoint}${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        // The token is for this member only.
        redirect: "error",
        signal: this.#abort.signal,
      }),
    )
    if (response === SILENCE) throw new EtcdFailure(`no answer within ${silenceMs} ms`)
    return response
  }

  /** The whole body as a text. */
  async rest(response: Response): Promise<string> {
    const reader = response.body?.getReader()
    if (reader === undefined) return ""
    const decoder = new TextDecoder()
    let text = ""
    for (let total = 0; ; ) {
      const chunk = await this.#within<Chunk>(this.#exchange.silenceMs, reader.read())
      if (chunk === SILENCE) {
        throw new EtcdFailure(`the answer stopped for ${this.#exchange.silenceMs} ms`)
      }
      if (chunk.done || chunk.value === undefined) return text + decoder.decode()
      total += chunk.value.length
      if (total > MAX_ANSWER_BYTES) throw new TooLargeFailure()
      text += decoder.decode(chunk.value, { stream: true })
    }
  }

  /** The body's messages, each on its line: `{"result": …}` or `{"error": …}`. */
  messages(response: Response): MessageStream {
    const reader = response.body?.getReader()
    const lines = new LineSplitter(MAX_MESSAGE_BYTES)
    const waiting: string[] = []
    let reading: Promise<Chunk> | undefined
    const next = async (silenceMs: number): Promise<Fields | undefined> => {
      for (;;) {
        const line = waiting.shift()
        if (line !== undefined) return messageOfLine(line)
        if (reader === undefined) throw new EtcdFailure("the stream is empty")
        reading ??= reader.read()
        const chunk = await this.#within(silenceMs, reading)
        // The same read is waited for again next time.
        if (chunk === SILENCE) return undefined
        reading = undefined
        if (chunk.done || chunk.value === undefined) throw new EtcdFailure("the stream ended")
        for (const text of lines.push(chunk.value)) waiting.push(text)
      }
    }
    return {
      next: (silenceMs) =>
        next(silenceMs).catch((error) => {
          throw failureOf(error)
        }),
      close: () => this.close(),
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#exchange.signal.removeEventListener("abort", this.#onOutside)
    this.#abort.abort()
  }

  /** Does not rely on the runtime to end a request that is aborted. */
  #within<T>(ms: number, work: Promise<T>): Promise<T | typeof SILENCE> {
    const { signal } = this.#exchange
    return new Promise((resolve, reject) => {
      const onClose = () => settle(() => reject(new EtcdFailure("the store is closed")))
      const settle = (then: () => void) => {
        cancel()
        signal.removeEventListener("abort", onClose)
        then()
      }
      const cancel = this.#world.after(ms, () => settle(() => resolve(SILENCE)))
      signal.addEventListener("abort", onClose, { once: true })
      work.then(
        (value) => settle(() => resolve(value)),
        (error) => settle(() => reject(error)),
      )
    })
  }
}

/** More than is read of any answer. */
export class TooLargeFailure extends EtcdFailure {
  constructor() {
    super(`the answer has more than ${MAX_ANSWER_BYTES} bytes`)
  }

  override get final(): boolean {
    return true
  }
}

function messageOfLine(line: string): Fields {
  const fields = parseFields(line, "a message")
  if (fields.error !== undefined) throw refusalOf(fields)
  const { result } = fields
  if (typeof result === "object" && result !== null && !Array.isArray(result)) {
    return result as Fields
  }
  throw new LariatError("Cannot read a message of etcd: it has no result", { code: "decode" })
}
