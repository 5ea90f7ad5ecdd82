import type { FairTurns, Schedule, Steps } from "./fair_turns.ts"

/** Bounds of what is being sent. */
export interface SendingLimits {
  /** Bytes of all bodies, each once, and of what is being written of them. Default 64 MiB. */
  readonly most?: number | undefined
  /** Those to one source, which may always have one body. Default 8 MiB. */
  readonly mostPerSource?: number | undefined
}

interface Sent {
  readonly source: string
  end(): void
}

/** One write, bytes: what a client does not read of it is kept for it. */
const PIECE_BYTES = 65_536
/** What sending a piece costs: copying it, and its way through the runtime. Milliseconds. */
const PIECE_MS = 0.02
/** A client that takes no piece for so long has its connection cut, milliseconds. */
const STALL_MS = 10_000

/**
 * Long bodies on their way, a piece at a time as fast as each client reads. So many bytes are held
 * for one source, and so many in all; where there is no room in all, who has most loses its oldest.
 */
export class Sending {
  readonly #turns: FairTurns
  readonly #schedule: Schedule
  readonly #most: number
  readonly #mostPerSource: number
  readonly #sent = new Set<Sent>()
  readonly #all = new Held()
  readonly #bySource = new Map<string, Held>()

  constructor(turns: FairTurns, schedule: Schedule, limits: SendingLimits = {}) {
    this.#turns = turns
    this.#schedule = schedule
    this.#most = limits.most ?? 64 * 1024 * 1024
    this.#mostPerSource = limits.mostPerSource ?? 8 * 1024 * 1024
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#all.bytes
  }

  /** Begins to send a body; undefined while there is no room for it. */
  stream(source: string, body: Uint8Array): ReadableStream<Uint8Array> | undefined {
    const own = this.#bySource.get(source)
    const after = (own ?? new Held()).with(body)
    if (own !== undefined && after > this.#mostPerSource) return undefined
    while (this.#sent.size > 0 && this.#all.with(body) > this.#most) {
      const victim = this.#oldestOfMost(after)
      if (victim === undefined) return undefined
      victim.end()
    }
    return this.#begin(source, body)
  }

  #begin(source: string, body: Uint8Array): ReadableStream<Uint8Array> {
    let at = 0
    let cancelStall = (): void => undefined
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined
    const release = (): void => {
      cancelStall()
      if (!this.#sent.delete(sent)) return
      this.#all.remove(body)
      const own = this.#bySource.get(source)
      own?.remove(body)
      if (own?.bytes === 0) this.#bySource.delete(source)
    }
    const sent: Sent = {
      source,
      end: () => {
        release()
        controller?.error()
      },
    }
    const awaitClient = (): void => {
      cancelStall()
      cancelStall = this.#schedule(STALL_MS, sent.end)
    }
    this.#sent.add(sent)
    this.#all.add(body)
    const own = this.#bySource.get(source) ?? new Held()
    own.add(body)
    this.#bySource.set(source, own)
    awaitClient()
    return new ReadableStream<Uint8Array>(
      {
        start: (given) => {
          controller = given
        },
        pull: async (to) => {
          await this.#turns.run(source, piece())
          // It may have been ended meanwhile.
          if (!this.#sent.has(sent)) return
          awaitClient()
          to.enqueue(body.subarray(at, at + PIECE_BYTES))
          at += PIECE_BYTES
          if (at < body.length) return
          release()
          to.close()
        },
        cancel: release,
      },
      { highWaterMark: 0 },
    )
  }

  /** Of a source that has more than so many bytes. */
  #oldestOfMost(bytes: number): Sent | undefined {
    let most = bytes
    let found: Sent | undefined
    for (const sent of this.#sent) {
      const has = this.#bySource.get(sent.source)?.bytes ?? 0
      if (has <= most) continue
      most = has
      found = sent
    }
    return found
  }
}

/** Bodies that are held: each once, however often it is on its way, and a piece of it for each way. */
class Held {
  readonly #ways = new Map<Uint8Array, number>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  /** What it would be with one more. */
  with(body: Uint8Array): number {
    return this.#bytes + PIECE_BYTES + (this.#ways.has(body) ? 0 : body.length)
  }

  add(body: Uint8Array): void {
    this.#bytes = this.with(body)
    this.#ways.set(body, (this.#ways.get(body) ?? 0) + 1)
  }

  remove(body: Uint8Array): void {
    const left = (this.#ways.get(body) ?? 0) - 1
    if (left > 0) this.#ways.set(body, left)
    else this.#ways.delete(body)
    this.#bytes -= PIECE_BYTES + (left > 0 ? 0 : body.length)
  }
}

function* piece(): Steps<undefined> {
  yield PIECE_MS
  return undefined
}
