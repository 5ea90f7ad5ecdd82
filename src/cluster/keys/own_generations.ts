/** This host's generations of keys: made, published, withdrawn, forgotten. */

import { LariatError } from "../../errors.ts"
import {
  MAX_LIVE_GENERATIONS,
  NONCE_BYTES,
  PUBLIC_VALUE_BYTES,
  type PublicGeneration,
} from "./announcement.ts"
import { publicValueOf } from "./key_agreement.ts"

/**
 * Generations in memory: those announced, and as many that are withdrawn while the store has not
 * taken the announcement without them.
 */
const MAX_HELD = 2 * MAX_LIVE_GENERATIONS

/** One generation of this host. */
export interface OwnGeneration extends PublicGeneration {
  /** Undefined for one of a former process: private values live in memory only. */
  readonly privateValue: Uint8Array | undefined
  /** False when the announcement lists it no more, or is to list it no more. */
  live: boolean
  /** It may have been published in this era after this revision: it was to be from then on. */
  offeredAt: number | undefined
  /** The store's revision at which it is known to have been published in this era. */
  publishedAt: number | undefined
  /** The clock then. */
  publishedTime: number | undefined
  /** Hosts that had associations of it which are gone: its keys are never used with them again. */
  readonly used: Set<string>
}

/** Where generations come from. */
export interface GenerationSource {
  /** So many bytes from the system's generator. */
  readonly random: (bytes: number) => Uint8Array
  /**
   * Stores durably, before it returns, that a generation of this number is taken: the counter must
   * not go back even when the process is killed right after.
   */
  readonly reserve: (generation: number) => void
}

/** The own generations, oldest first. There is always a newest one. */
export class OwnGenerations {
  readonly #source: GenerationSource
  #held: OwnGeneration[] = []
  #last: number

  /**
   * Makes the first generation of this process.
   *
   * @param last the highest generation that was ever reserved; 0 for a new host
   * @param former generations that a former process announced and whose associations the kernel
   *   still has; the newest three are announced on
   * @throws what `reserve` throws; LariatError internal
   */
  constructor(source: GenerationSource, last: number, former: readonly PublicGeneration[]) {
    this.#source = source
    this.#last = Math.max(last, ...former.map(({ generation }) => generation))
    this.#held = former.slice(1 - MAX_LIVE_GENERATIONS).map((each) => ({
      ...each,
      ...{ privateValue: undefined, live: true, used: new Set<string>() },
      ...{ offeredAt: undefined, publishedAt: undefined, publishedTime: undefined },
    }))
    this.#make()
  }

  /** The one that new pairs are made with. */
  get newest(): OwnGeneration {
    const newest = this.#held.at(-1)
    if (newest !== undefined) return newest
    throw new LariatError("Cannot go on: this host has no generation of keys", { code: "internal" })
  }

  /** All that are in memory, oldest first. */
  get held(): readonly OwnGeneration[] {
    return this.#held
  }

  /** Those in force: what the announcement lists. */
  get live(): readonly OwnGeneration[] {
    return this.#held.filter(({ live }) => live)
  }

  /** What is to be announced of those in force. */
  get listed(): PublicGeneration[] {
    return this.live.map(({ generation, publicValue, nonce }) => {
      return { generation, publicValue, nonce }
    })
  }

  /** How those of a former process stand: in force, on their way out, or none is left. */
  get former(): "live" | "withdrawn" | "none" {
    const former = this.#held.filter(({ privateValue }) => privateValue === undefined)
    if (former.length === 0) return "none"
    return former.some(({ live }) => live) ? "live" : "withdrawn"
  }

  get(generation: number): OwnGeneration | undefined {
    return this.#held.find((each) => each.generation === generation)
  }

  isLive(generation: number): boolean {
    return this.get(generation)?.live === true
  }

  /** Whether there is room for another one. */
  get room(): boolean {
    return this.live.length < MAX_LIVE_GENERATIONS && this.#held.length < MAX_HELD
  }

  /** Makes another generation where there is {@link room}. @throws what `reserve` throws */
  rotate(): boolean {
    if (!this.room) return false
    this.#make()
    return true
  }

  /** A generation of this number was seen under the own name: the next one is above it. */
  exceed(generation: number): void {
    this.#last = Math.max(this.#last, generation)
  }

  /**
   * The newest that stood in the store at a revision; undefined where none did, or where it is not
   * sure which: the answer to a write may be lost, and the write be known by a later one alone.
   */
  newestPublishedAt(revision: number): OwnGeneration | undefined {
    for (const each of this.#held.toReversed()) {
      if (each.publishedAt !== undefined && each.publishedAt <= revision) return each
      if (each.offeredAt !== undefined && each.offeredAt < revision) return undefined
    }
    return undefined
  }

  /** Those in force are to be published, after a revision. */
  offer(revision: number): void {
    for (const each of this.#held) if (each.live) each.offeredAt ??= revision
  }

  /** The store took an announcement that lists these. */
  published(generations: readonly PublicGeneration[], revision: number, now: number): void {
    for (const { generation } of generations) {
      const own = this.get(generation)
      if (own === undefined || own.publishedAt !== undefined) continue
      own.publishedAt = revision
      own.publishedTime ??= now
    }
  }

  /** Revisions mean something else now: nothing counts as published. */
  forgetRevisions(): void {
    for (const each of this.#held) {
      each.offeredAt = undefined
      each.publishedAt = undefined
    }
  }

  /** Takes all but the newest out of force. */
  withdrawOld(): void {
    for (const each of this.#held.slice(0, -1)) each.live = false
  }

  /** Forgets one and overwrites its private value. */
  drop(generation: number): void {
    this.get(generation)?.privateValue?.fill(0)
    this.#held = this.#held.filter((each) => each.generation !== generation)
  }

  #make(): void {
    const generation = this.#last + 1
    this.#source.reserve(generation)
    this.#last = generation
    const privateValue = Uint8Array.from(this.#source.random(PUBLIC_VALUE_BYTES))
    this.#held.push({
      generation,
      privateValue,
      publicValue: publicValueOf(privateValue),
      nonce: Uint8Array.from(this.#source.random(NONCE_BYTES)),
      ...{ live: true, used: new Set<string>() },
      ...{ offeredAt: undefined, publishedAt: undefined, publishedTime: undefined },
    })
  }
}
