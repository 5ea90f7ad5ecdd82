import type { FairTurns, Schedule, Steps } from "./fair_turns.ts"

/** Bounds of what is being sent. */
export interface SendingLimits {
  /** Bytes of all bodies. Default 64 MiB. */
  readonly most?: number | undefined
  /** Those to one source, which may always have one body. Default 8 MiB. */
  readonly mostPerSource?: number | undefined
}

interface Sent {
  readonly source: string
  readonly bytes: number
  end(): void
}

/** One write, bytes: what a client does not read of it is kept for it. */
const PIECE_BYTES = 65_536
/** What sending a piece costs, milliseconds. */
const PIECE_MS = 0.1
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
  readonly #bySource = new Map<string, number>()
  #bytes = 0

  constructor(turns: FairTurns, schedule: Schedule, limits: SendingLimits = {}) {
    this.#turns = turns
    this.#schedule = schedule
    this.#most = limits.most ?? 64 * 1024 * 1024
    this.#mostPerSource = limits.mostPerSource ?? 8 * 1024 * 1024
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes
  }

  /** Begins to send a body; undefined while there is no room for it. */
  stream(source: string, body: Uint8Array): ReadableStream<Uint8Array> | undefined {
    const ofSource = this.#bySource.get(source) ?? 0
    if (ofSource > 0 && ofSource + body.length > this.#mostPerSource) return undefined
    while (this.#bytes > 0 && this.#bytes + body.length > this.#most) {
      const victim = this.#oldestOfMost(ofSource + body.length)
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
      this.#count(source, -sent.bytes)
    }
    const sent: Sent = {
      source,
      bytes: body.length,
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
    this.#count(source, sent.bytes)
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

  #count(source: string, bytes: number): void {
    this.#bytes += bytes
    const left = (this.#bySource.get(source) ?? 0) + bytes
    if (left > 0) this.#bySource.set(source, left)
    else this.#bySource.delete(source)
  }

  /** Of a source that has more than so many bytes. */
  #oldestOfMost(bytes: number): Sent | undefined {
    let most = bytes
    let found: Sent | undefined
    for (const sent of this.#sent) {
      const has = this.#bySource.get(sent.source) ?? 0
      if (has <= most) continue
      most = has
      found = sent
    }
    return found
  }
}

function* piece(): Steps<undefined> {
  yield PIECE_MS
  return undefined
}
