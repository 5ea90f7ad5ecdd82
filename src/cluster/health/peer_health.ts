/**
 * The health of one peer, from probes of a small and of the full size: a state machine without
 * clock and sockets. One lost probe changes nothing; what changes needs several rounds to say so.
 */

import {
  type DownReason,
  downReason,
  grown,
  localDefect,
  type PeerFacts,
  type Repair,
  repairOf,
} from "./down_reason.ts"
import { type RoundTrip, smoothRoundTrip } from "./round_trip.ts"
import { type SizeOutcome, SizeSearch } from "./size_search.ts"

/** `new`: nothing is known yet. `degraded`: small packets pass, those of full size do not. */
export type HealthState = "new" | "up" | "degraded" | "down"

/** How one probe of a round went. */
export interface ProbeOutcome extends SizeOutcome {
  /** Of a probe that passed, where it is known. */
  readonly rttMs?: number | undefined
  /** Why this host could not send it. */
  readonly sendErrno?: number | undefined
}

/** What is known of a peer. */
export interface HealthReport {
  readonly state: HealthState
  /** When the state began, on the clock of the caller, ms. */
  readonly sinceMs: number
  /** Only of `down`. */
  readonly reason: DownReason | undefined
  /** Of `degraded`: the largest packet known to pass, bytes. */
  readonly largestBytes: number | undefined
  /** Whether one byte more than `largestBytes` is known not to pass. */
  readonly isExact: boolean
  readonly roundTrip: RoundTrip | undefined
  /** Of the last rounds, how many brought no answer at all, 0 to 1. */
  readonly loss: number
  /** What would mend it; whether to do it is the limiter's to say. */
  readonly repair: Repair
}

/** Of the small probe, bytes. */
const SMALL_BYTES = 100
/** Rounds that are looked back on. */
const WINDOW = 5
/** Failures among them that make a peer down, or degraded. */
const FAILURES = 3
/** Good rounds in a row that make it better again. */
const RECOVERIES = 2

interface Round {
  /** Whether anything passed. */
  readonly reached: boolean
  /** Whether the full size passed; undefined where nothing did. */
  readonly full: boolean | undefined
}

/** One peer's state; all times are the caller's, monotonic, in ms. */
export class PeerHealth {
  readonly #smallBytes: number
  #fullBytes: number
  #state: HealthState = "new"
  #sinceMs: number
  #reason: DownReason | undefined
  #rounds: Round[] = []
  #search: SizeSearch | undefined
  #roundTrip: RoundTrip | undefined
  /** Counters when the peer was last heard, or first asked. */
  #baseline: PeerFacts | undefined
  #repair: Repair = "none"

  /** @param fullBytes the largest IP packet that the network's MTU lets through */
  constructor(fullBytes: number, nowMs: number) {
    this.#smallBytes = Math.min(SMALL_BYTES, fullBytes)
    this.#fullBytes = fullBytes
    this.#sinceMs = nowMs
  }

  /** The sizes to probe in the next round, each once. */
  sizes(): readonly number[] {
    const searched = this.#search?.sizes() ?? []
    return [...new Set([this.#smallBytes, this.#fullBytes, ...searched])]
  }

  /** Takes in another MTU; what was found of the old one is forgotten, the state stays. */
  setFullBytes(fullBytes: number): void {
    if (fullBytes === this.#fullBytes) return
    this.#fullBytes = fullBytes
    this.#rounds = []
    if (this.#search !== undefined) this.#search = this.#newSearch()
  }

  /**
   * Takes in how the probes of {@link sizes} went.
   *
   * @param outcomes of one round; an empty one counts for nothing, since nothing was asked
   * @returns whether the state, its reason, or the size found changed
   */
  observe(outcomes: readonly ProbeOutcome[], facts: PeerFacts, nowMs: number): boolean {
    if (outcomes.length === 0) return false
    const before = this.report()
    // What was counted before, by an agent that ended since, says nothing of now.
    this.#baseline ??= facts
    const reached = outcomes.some(({ passed }) => passed)
    this.#note(outcomes, reached)
    // First, so that what this round says of sizes is not lost on a search that begins with it.
    this.#search?.observe(outcomes)
    const next = this.#judge()
    if (next !== this.#state) this.#enter(next, nowMs)
    const sendErrno = outcomes.findLast((one) => one.sendErrno !== undefined)?.sendErrno
    this.#explain(facts, sendErrno)
    if (reached) this.#baseline = facts
    const after = this.report()
    return (
      before.state !== after.state ||
      before.reason !== after.reason ||
      before.largestBytes !== after.largestBytes ||
      before.isExact !== after.isExact
    )
  }

  report(): HealthReport {
    const lost = this.#rounds.filter(({ reached }) => !reached).length
    return {
      state: this.#state,
      sinceMs: this.#sinceMs,
      reason: this.#reason,
      largestBytes: this.#search?.largest,
      isExact: this.#search?.isDone ?? false,
      roundTrip: this.#roundTrip,
      loss: this.#rounds.length === 0 ? 0 : lost / this.#rounds.length,
      repair: this.#repair,
    }
  }

  #note(outcomes: readonly ProbeOutcome[], reached: boolean): void {
    this.#rounds.push({ reached, full: reached ? this.#fullPassed(outcomes) : undefined })
    if (this.#rounds.length > WINDOW) this.#rounds.shift()
    // The small probe's, because a large one's depends on the bandwidth as well.
    const rttMs = outcomes.find(({ bytes, passed }) => passed && bytes === this.#smallBytes)?.rttMs
    if (rttMs !== undefined) this.#roundTrip = smoothRoundTrip(this.#roundTrip, rttMs)
  }

  /** Undefined where it was not asked, because the MTU changed while the round was under way. */
  #fullPassed(outcomes: readonly ProbeOutcome[]): boolean | undefined {
    const full = this.#fullBytes
    if (outcomes.some(({ bytes, passed }) => passed && bytes >= full)) return true
    return outcomes.some(({ bytes }) => bytes === full) ? false : undefined
  }

  #judge(): HealthState {
    const rounds = this.#rounds
    const count = (wanted: (round: Round) => boolean) => rounds.filter(wanted).length
    const recent = rounds.slice(-RECOVERIES)
    const steady = recent.length === RECOVERIES
    if (this.#state === "down") {
      if (!steady || !recent.every(({ reached }) => reached)) return "down"
      return recent.at(-1)?.full === false ? "degraded" : "up"
    }
    if (count(({ reached }) => !reached) >= FAILURES) return "down"
    if (this.#state === "degraded") {
      return steady && recent.every(({ full }) => full === true) ? "up" : "degraded"
    }
    if (count(({ full }) => full === false) >= FAILURES) return "degraded"
    if (this.#state === "new" && rounds.at(-1)?.full === true) return "up"
    return this.#state
  }

  #enter(state: HealthState, nowMs: number): void {
    this.#state = state
    this.#sinceMs = nowMs
    // Else what led out of the last state would lead back at the next loss.
    this.#rounds = []
    this.#search = state === "degraded" ? this.#newSearch() : undefined
  }

  #newSearch(): SizeSearch | undefined {
    if (this.#fullBytes <= this.#smallBytes) return undefined
    return new SizeSearch(this.#smallBytes, this.#fullBytes)
  }

  #explain(facts: PeerFacts, sendErrno: number | undefined): void {
    const defect = localDefect(facts)
    if (this.#state !== "down") {
      this.#reason = undefined
      this.#repair = defect === undefined ? "none" : repairOf(defect)
      return
    }
    const growth = {
      replayed: grown(this.#baseline?.replayed, facts.replayed),
      unauthentic: grown(this.#baseline?.unauthentic, facts.unauthentic),
    }
    this.#reason = downReason(facts, growth, sendErrno)
    this.#repair = repairOf(this.#reason)
  }
}
