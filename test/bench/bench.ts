/** What the measurements share. */
import type { AgentProcess } from "./agent_process.ts"
import type { Attachment, Contender } from "./contender.ts"
import { type Ours, Peer } from "./contender.ts"
import { callPlugin, settle } from "./plugin_process.ts"

/** One run of the benchmarks. */
export interface Bench {
  /** How often each call is measured. */
  readonly n: number
  /** On a disk, for everything that is written. */
  readonly directory: string
  /** Where both sides' plugins are. */
  readonly plugins: string
  /** Path by which our plugin is called. */
  readonly program: string
  /** The words that start the program under test. */
  readonly command: readonly string[]
  readonly agent: AgentProcess
}

/** Long enough for the kernel to be done with a deleted link (one RCU grace period, 16–36 ms). */
export const SETTLE_MS = 50

/** Both sides over networks of one kind. */
export interface Pair {
  readonly ours: Ours
  readonly peer: Peer
}

/** Timings of one kind of call, milliseconds. */
export interface PairTimes {
  readonly ours: number[]
  readonly peer: number[]
}

/** Calls one side's plugin, lets the kernel settle, and notes the time. */
export function timed(
  contender: Contender,
  command: "ADD" | "DEL",
  attachment: Attachment,
  times: number[],
): void {
  times.push(callPlugin(contender.call(command, attachment)).ms)
  settle(SETTLE_MS)
}

/** The two sides, in turns as to which goes first. */
export function inTurns(round: number, { ours, peer }: Pair): readonly Contender[] {
  return round % 2 === 0 ? [ours, peer] : [peer, ours]
}

/** The list of a side's timings. */
export function timesOf(contender: Contender, times: PairTimes): number[] {
  return contender instanceof Peer ? times.peer : times.ours
}
