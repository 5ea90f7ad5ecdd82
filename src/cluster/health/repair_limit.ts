/**
 * How often repairs may be made: each peer waits longer from one to the next, and all peers
 * together share an allowance, so that a network cut, which takes a thousand peers down at once,
 * does not make a thousand new keys.
 */

import { Backoff } from "../../backoff.ts"
import type { Repair } from "./down_reason.ts"

/** From a peer's first repair to its second: half of it at the least; doubled each time. */
const WAITS = { firstMs: 60_000, longestMs: 3_600_000 }
/** A peer that was up for so long begins anew, ms. */
const CALM_MS = 600_000
/** Repairs of a kind that may follow at once, of all peers. */
export const BURST = 4
/** How long until one more is allowed, ms. */
export const REFILL_MS = 15_000

/** A repair that a peer needs. */
export interface WantedRepair {
  readonly peer: string
  readonly repair: Repair
}

interface PeerRepairs {
  readonly backoff: Backoff
  made: number
  /** No repair before. */
  notBeforeMs: number
  /** Since when it needs none; undefined while it does. */
  calmSinceMs: number | undefined
}

interface Allowance {
  left: number
  /** When `left` was right. */
  atMs: number
}

/** Says yes or no to repairs; all times are the caller's, monotonic, in ms. */
export class RepairLimit {
  readonly #random: () => number
  readonly #peers = new Map<string, PeerRepairs>()
  readonly #allowances = new Map<Repair, Allowance>()

  /** @param random 0 to 1, as Math.random: hosts are not to repair in step */
  constructor(random: () => number) {
    this.#random = random
  }

  /**
   * Which of the wanted repairs to make now; they count as made. Who had fewest comes first, so
   * that each has its turn.
   */
  askAll<T extends WantedRepair>(wanted: readonly T[], nowMs: number): T[] {
    const madeOf = ({ peer }: WantedRepair) => this.#peers.get(peer)?.made ?? 0
    return wanted
      .toSorted((a, b) => madeOf(a) - madeOf(b))
      .filter(({ peer, repair }) => this.ask(peer, repair, nowMs))
  }

  /** Whether to make the repair now; a yes counts as made. */
  ask(peer: string, repair: Repair, nowMs: number): boolean {
    if (repair === "none") return false
    const before = this.#peers.get(peer)
    if (before !== undefined) before.calmSinceMs = undefined
    if (nowMs < (before?.notBeforeMs ?? nowMs) || !this.#take(repair, nowMs)) return false
    const backoff = before?.backoff ?? new Backoff(this.#random, WAITS)
    const notBeforeMs = nowMs + backoff.next()
    const made = (before?.made ?? 0) + 1
    this.#peers.set(peer, { backoff, made, notBeforeMs, calmSinceMs: undefined })
    return true
  }

  /** The peer needs no repair now. */
  rest(peer: string, nowMs: number): void {
    const before = this.#peers.get(peer)
    if (before === undefined) return
    before.calmSinceMs ??= nowMs
    if (nowMs - before.calmSinceMs >= CALM_MS) this.#peers.delete(peer)
  }

  /** The peer is gone for good. */
  forget(peer: string): void {
    this.#peers.delete(peer)
  }

  #take(repair: Repair, nowMs: number): boolean {
    const allowance = this.#allowances.get(repair) ?? { left: BURST, atMs: nowMs }
    const refilled = (nowMs - allowance.atMs) / REFILL_MS
    const left = Math.min(BURST, allowance.left + Math.max(0, refilled))
    const granted = left >= 1
    this.#allowances.set(repair, { left: granted ? left - 1 : left, atMs: nowMs })
    return granted
  }
}
