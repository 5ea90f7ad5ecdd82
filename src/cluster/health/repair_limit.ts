/**
 * How often repairs may be made: each peer waits longer from one to the next, and all peers
 * together share an allowance, so that a network cut, which takes a thousand peers down at once,
 * does not make a thousand new keys.
 */

import type { Repair } from "./down_reason.ts"

/** Times in ms. */
export interface RepairLimitOptions {
  /** From a peer's first repair to its second; doubled each time. Default 30 s. */
  readonly firstMs?: number
  /** The longest wait. Default 1 h. */
  readonly longestMs?: number
  /** A peer that was up for so long begins anew. Default 10 min. */
  readonly calmMs?: number
  /** Repairs of a kind that may follow at once, of all peers. Default 4. */
  readonly burst?: number
  /** How long until one more is allowed. Default 15 s. */
  readonly refillMs?: number
}

/** A repair that a peer needs. */
export interface WantedRepair {
  readonly peer: string
  readonly repair: Repair
}

interface PeerWait {
  /** No repair before. */
  notBeforeMs: number
  waitMs: number
  /** Since when it needs none; undefined while it does. */
  calmSinceMs: number | undefined
}

interface Allowance {
  left: number
  /** When `left` was right. */
  atMs: number
}

/** Waits are longer by up to this part, so that hosts do not repair in step. */
const JITTER = 0.25

/** Says yes or no to repairs; all times are the caller's, monotonic, in ms. */
export class RepairLimit {
  readonly #random: () => number
  readonly #firstMs: number
  readonly #longestMs: number
  readonly #calmMs: number
  readonly #burst: number
  readonly #refillMs: number
  readonly #peers = new Map<string, PeerWait>()
  readonly #allowances = new Map<Repair, Allowance>()

  /** @param random 0 to 1, as Math.random */
  constructor(random: () => number, options: RepairLimitOptions = {}) {
    this.#random = random
    this.#firstMs = options.firstMs ?? 30_000
    this.#longestMs = options.longestMs ?? 3_600_000
    this.#calmMs = options.calmMs ?? 600_000
    this.#burst = options.burst ?? 4
    this.#refillMs = options.refillMs ?? 15_000
  }

  /**
   * Which of the wanted repairs to make now; they count as made. Who had fewest comes first, so
   * that each has its turn.
   */
  askAll<T extends WantedRepair>(wanted: readonly T[], nowMs: number): T[] {
    const waitOf = ({ peer }: WantedRepair) => this.#peers.get(peer)?.waitMs ?? 0
    return wanted
      .toSorted((a, b) => waitOf(a) - waitOf(b))
      .filter(({ peer, repair }) => this.ask(peer, repair, nowMs))
  }

  /** Whether to make the repair now; a yes counts as made. */
  ask(peer: string, repair: Repair, nowMs: number): boolean {
    if (repair === "none") return false
    const wait = this.#peers.get(peer)
    if (wait !== undefined) {
      const calm = wait.calmSinceMs
      wait.calmSinceMs = undefined
      if (calm !== undefined && nowMs - calm >= this.#calmMs) this.#peers.delete(peer)
      else if (nowMs < wait.notBeforeMs) return false
    }
    if (!this.#take(repair, nowMs)) return false
    const waitMs = Math.min(this.#peers.get(peer)?.waitMs ?? this.#firstMs, this.#longestMs)
    this.#peers.set(peer, {
      notBeforeMs: nowMs + waitMs * (1 + JITTER * this.#random()),
      waitMs: Math.min(waitMs * 2, this.#longestMs),
      calmSinceMs: undefined,
    })
    return true
  }

  /** The peer needs no repair now. */
  rest(peer: string, nowMs: number): void {
    const wait = this.#peers.get(peer)
    if (wait === undefined) return
    wait.calmSinceMs ??= nowMs
    if (nowMs - wait.calmSinceMs >= this.#calmMs) this.#peers.delete(peer)
  }

  /** The peer is gone for good. */
  forget(peer: string): void {
    this.#peers.delete(peer)
  }

  #take(repair: Repair, nowMs: number): boolean {
    const allowance = this.#allowances.get(repair) ?? { left: this.#burst, atMs: nowMs }
    const refilled = (nowMs - allowance.atMs) / this.#refillMs
    const left = Math.min(this.#burst, allowance.left + Math.max(0, refilled))
    const granted = left >= 1
    this.#allowances.set(repair, { left: granted ? left - 1 : left, atMs: nowMs })
    return granted
  }
}
