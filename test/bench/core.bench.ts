/**
 * The address map against its plain TypeScript twin, in one run: `bun test/bench/core.bench.ts`.
 *
 * A pair is what an address costs in its life, through the public class as the IPAM calls it:
 * `free` of a live address chosen at random, then `allocate` from the cursor, which stands one
 * past the last answer (next fit). Reading and writing the benchmark's own list of live addresses
 * is in the figure, the same for both. On a full pool and with the lowest free address wanted,
 * each allocation walks up and down the tree; the IPAM does the one rarely and the other never.
 */

import { measure } from "mitata"
import { Bitmap } from "../../src/core/bitmap.ts"
import { ReferenceBitmap } from "../reference/bitmap.ts"

/** One measured operation. */
export interface Measured {
  readonly name: string
  /** Nanoseconds, median. */
  readonly nsPerOp: number
}

/** Pairs per timed call: long enough to hide the timer, short against a scheduler's slice. */
const PAIRS = 4096

/** Contenders take turns this often, so that a noisy moment does not hit one of them alone. */
const ROUNDS = 5

/** Bounds of one measurement, nanoseconds and calls; a call is long enough to be timed alone. */
const LIMITS = {
  min_cpu_time: 40e6,
  min_samples: 100,
  max_samples: 1000,
  warmup_samples: 100,
  batch_threshold: 0,
}

interface Live {
  readonly indices: Uint32Array
  /** Which of the live addresses goes, {@link PAIRS} of them, without a pattern. */
  readonly leaving: Uint32Array
  cursor: number
}

/** The same numbers from 0 to `below` − 1 in every run (Numerical Recipes' generator). */
function randomNumbers(count: number, below: number): Uint32Array {
  let state = 1
  return Uint32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  })
}

// The loops below are written once for each class: a loop that both classes have run through is
// compiled for both, and would charge each for the other.

function wasmNextFit(map: Bitmap, live: Live): void {
  const { indices, leaving } = live
  let { cursor } = live
  for (let i = 0; i < PAIRS; i++) {
    const at = leaving[i] ?? 0
    map.free(indices[at] ?? 0)
    const index = map.allocate(cursor)
    indices[at] = index
    cursor = index + 1
  }
  live.cursor = cursor
}

function twinNextFit(map: ReferenceBitmap, live: Live): void {
  const { indices, leaving } = live
  let { cursor } = live
  for (let i = 0; i < PAIRS; i++) {
    const at = leaving[i] ?? 0
    map.free(indices[at] ?? 0)
    const index = map.allocate(cursor)
    indices[at] = index
    cursor = index + 1
  }
  live.cursor = cursor
}

function wasmLowest(map: Bitmap, { indices, leaving }: Live): void {
  for (let i = 0; i < PAIRS; i++) {
    const at = leaving[i] ?? 0
    map.free(indices[at] ?? 0)
    indices[at] = map.allocate(0)
  }
}

function twinLowest(map: ReferenceBitmap, { indices, leaving }: Live): void {
  for (let i = 0; i < PAIRS; i++) {
    const at = leaving[i] ?? 0
    map.free(indices[at] ?? 0)
    indices[at] = map.allocate(0)
  }
}

const NEXT_FIT = { wasm: wasmNextFit, twin: twinNextFit, operations: PAIRS }
const LOWEST = { wasm: wasmLowest, twin: twinLowest, operations: PAIRS }

interface Scenario {
  readonly name: string
  /** Addresses of the pool. */
  readonly size: number
  readonly used: number
  readonly work: typeof NEXT_FIT
}

const SCENARIOS: readonly Scenario[] = [
  { name: "pair on a /16, half used", size: 2 ** 16, used: 2 ** 15, work: NEXT_FIT },
  { name: "pair on a /16, 1,000 used", size: 2 ** 16, used: 1000, work: NEXT_FIT },
  { name: "pair on a full /16", size: 2 ** 16, used: 2 ** 16, work: NEXT_FIT },
  { name: "lowest-first pair, /16 half used", size: 2 ** 16, used: 2 ** 15, work: LOWEST },
  { name: "pair on a /8, half used", size: 2 ** 24, used: 2 ** 23, work: NEXT_FIT },
]

/** One side of a scenario: what is timed, and its medians so far. */
interface Contender {
  readonly name: string
  readonly run: () => void
  readonly figures: number[]
}

function contendersOf({ name, size, used, work }: Scenario, bitmap: Bitmap): Contender[] {
  const twin = new ReferenceBitmap(size)
  const start = (map: Pick<Bitmap, "allocate">): Live => ({
    indices: Uint32Array.from({ length: used }, (_, index) => map.allocate(index)),
    leaving: randomNumbers(PAIRS, used),
    cursor: used % size,
  })
  const wasmLive = start(bitmap)
  const twinLive = start(twin)
  return [
    { name: `${name}: wasm`, run: () => work.wasm(bitmap, wasmLive), figures: [] },
    { name: `${name}: typescript`, run: () => work.twin(twin, twinLive), figures: [] },
  ]
}

function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN
}

/** Measures every scenario, wasm and TypeScript in turns. */
export async function coreBench(): Promise<Measured[]> {
  const results: Measured[] = []
  for (const scenario of SCENARIOS) {
    const bitmap = Bitmap.create(scenario.size)
    const contenders = contendersOf(scenario, bitmap)
    for (let round = 0; round < ROUNDS; round++) {
      for (const { run, figures } of contenders) {
        const { p50 } = await measure(run, LIMITS)
        figures.push(p50 / scenario.work.operations)
      }
    }
    for (const { name, figures } of contenders) {
      results.push({ name: `ipam ${name}`, nsPerOp: median(figures) })
    }
    bitmap.close()
  }
  return results
}

if (import.meta.main) {
  for (const { name, nsPerOp } of await coreBench()) {
    console.log(`${nsPerOp.toFixed(2).padStart(8)} ns  ${name}`)
  }
}
