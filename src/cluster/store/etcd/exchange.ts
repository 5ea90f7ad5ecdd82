/** One HTTP request to one member of etcd: bounded in time, in size and in what it may say. */

import { LariatError } from "../../../errors.ts"
import type { Dependencies } from "../dependencies.ts"
import { EtcdFailure, failureOf, parseJson, refusalOf, statusFailure } from "./failure.ts"
import { streamMessage } from "./messages.ts"

/** The most of an answer that is read, characters: it is base64 for the most part. */
const MAX_ANSWER = 8 * 1024 * 1024
/** Of a message of a stream: etcd splits what is larger than 2 MiB (--max-request-bytes + 512 KiB). */
const MAX_MESSAGE = 8 * 1024 * 1024

/** A request on its way to one member. */
export interface Exchange {
  readonly endpoint: string
  /** Of the gateway, such as `/v3/kv/range`. */
  readonly path: string
  readonly body: object
  readonly token: string | undefined
  /** Without a word for so long it has failed, ms. */
  readonly silenceMs: number
  /** Hears how long the member took until its answer began, ms. */
  readonly onHead?: ((ms: number) => void) | undefined
  /** Ends it from outside: as an {@link EtcdFailure} where its reason is one. */
  readonly signal: AbortSignal
  /** Whether a connection of its own is made for it, and none of before is used again. */
  readonly fresh: boolean
}

/** The messages of a stream. */
export interface MessageStream {
  /** The member it comes from. */
  readonly endpoint: string
  /**
   * The next message; undefined when none came for so long: the stream is still good then.
   *
   * @throws EtcdFailure, LariatError decode
   */
  next(silenceMs: number): Promise<unknown>
  close(): void
}

/**
 * Asks and reads the whole answer.
 *
 * @throws EtcdFailure
 */
export async function ask(dependencies: Dependencies, exchange: Exchange): Promise<unknown> {
  const connection = new Connection(dependencies, exchange)
  try {
    await connection.open()
    return parseJson(await connection.rest())
  } catch (error) {
    throw failureOf(error)
  } finally {
    connection.close()
  }
}

/**
 * Asks and gives the messages as they come, each on its line: `{"result": …}` or `{"error": …}`.
 *
 * @throws EtcdFailure
 */
export async function openStream(
  dependencies: Dependencies,
  exchange: Exchange,
): Promise<MessageStream> {
  const connection = new Connection(dependencies, exchange)
  try {
    await connection.open()
  } catch (error) {
    connection.close()
    throw failureOf(error)
  }
  const lines: string[] = []
  let begun = ""
  const next = async (silenceMs: number): Promise<unknown> => {
    for (;;) {
      const line = lines.shift()
      if (line !== undefined) return messageOfLine(line)
      const text = await connection.read(silenceMs)
      if (text === SILENCE) return undefined
      if (text === undefined) throw new EtcdFailure("the stream ended")
      begun += text
      if (text.includes("\n")) {
        lines.push(...begun.split("\n"))
        begun = lines.pop() ?? ""
      }
      if (begun.length > MAX_MESSAGE) {
        throw new EtcdFailure(`a message has more than ${MAX_MESSAGE} characters`)
      }
    }
  }
  return {
    endpoint: exchange.endpoint,
    next: (silenceMs) =>
      next(silenceMs).catch((error) => {
        throw failureOf(error)
      }),
    close: () => connection.close(),
  }
}

const SILENCE = Symbol("silence")
type Chunk = { readonly value?: Uint8Array | undefined }

class Connection {
  readonly #dependencies: Dependencies
  readonly #exchange: Exchange
  readonly #abort = new AbortController()
  readonly #onOutside = () => this.close()
  readonly #decoder = new TextDecoder()
  #reader: { read(): Promise<Chunk> } | undefined
  /** The same read is waited for again after a silence. */
  #reading: Promise<Chunk> | undefined

  constructor(dependencies: Dependencies, exchange: Exchange) {
    this.#dependencies = dependencies
    this.#exchange = exchange
    exchange.signal.addEventListener("abort", this.#onOutside, { once: true })
  }

  /** Sends the request and reads the head of the answer. @throws EtcdFailure for a bad status */
  async open(): Promise<void> {
    const { endpoint, path, body, token, silenceMs, signal, fresh, onHead } = this.#exchange
    const begunMs = this.#dependencies.now()
    if (signal.aborted) throw endOf(signal, { untouched: true })
    const headers: Record<string, string> = {
      "content-type": "application/json",
      // A member that lost the others says so at once, instead of waiting or telling old things.
      "grpc-metadata-hasleader": "true",
    }
    if (token !== undefined) headers.authorization = token
    const response = await this.#within(
      silenceMs,
      this.#dependencies.fetch(`${endpoint}${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        // The token is for this member only.
        redirect: "error",
        signal: this.#abort.signal,
        // Bun takes an idle connection else; Deno knows no such wish.
        ...(fresh ? { keepalive: false } : {}),
      }),
    )
    if (response === SILENCE) {
      throw new EtcdFailure(`no answer within ${Math.round(silenceMs)} ms`, { silent: true })
    }
    onHead?.(this.#dependencies.now() - begunMs)
    this.#reader = response.body?.getReader()
    if (!response.ok) throw statusFailure(response.status, await this.rest())
  }

  /** What comes next of the body; undefined at its end. */
  async read(silenceMs: number): Promise<string | undefined | typeof SILENCE> {
    this.#reading ??= this.#reader?.read()
    const chunk = await this.#within(silenceMs, this.#reading ?? Promise.resolve(undefined))
    if (chunk === SILENCE) return SILENCE
    this.#reading = undefined
    return chunk?.value && this.#decoder.decode(chunk.value, { stream: true })
  }

  /** The rest of the body. */
  async rest(): Promise<string> {
    const { silenceMs } = this.#exchange
    let whole = ""
    for (;;) {
      const text = await this.read(silenceMs)
      if (text === SILENCE) {
        const why = `the answer stopped for ${Math.round(silenceMs)} ms`
        throw new EtcdFailure(why, { silent: true })
      }
      if (text === undefined) return whole
      whole += text
      if (whole.length > MAX_ANSWER) throw new TooLargeFailure()
    }
  }

  close(): void {
    this.#exchange.signal.removeEventListener("abort", this.#onOutside)
    this.#abort.abort()
  }

  /** Does not rely on the runtime to end a request that is aborted. */
  #within<T>(ms: number, work: Promise<T>): Promise<T | typeof SILENCE> {
    const { signal } = this.#exchange
    return new Promise((resolve, reject) => {
      const onClose = () => settle(() => reject(endOf(signal)))
      const settle = (then: () => void) => {
        cancel()
        signal.removeEventListener("abort", onClose)
        then()
      }
      const cancel = this.#dependencies.after(ms, () => settle(() => resolve(SILENCE)))
      signal.addEventListener("abort", onClose, { once: true })
      work.then(
        (value) => settle(() => resolve(value)),
        (error) => settle(() => reject(error)),
      )
    })
  }
}

function endOf({ reason }: AbortSignal, known: { readonly untouched?: boolean } = {}): EtcdFailure {
  const why = reason instanceof EtcdFailure ? reason.message : "the store is closed"
  return new EtcdFailure(why, known)
}

/** More than is read of any answer. */
class TooLargeFailure extends EtcdFailure {
  constructor() {
    super(`the answer has more than ${MAX_ANSWER} characters`)
  }

  override get final(): boolean {
    return true
  }
}

/** Whether a call failed since more was answered than is read. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof LariatError && error.cause instanceof TooLargeFailure
}

function messageOfLine(line: string): unknown {
  const { result, error } = streamMessage(parseJson(line))
  if (error !== undefined) throw refusalOf(error)
  if (result === undefined) throw new EtcdFailure("a message holds nothing")
  return result
}
