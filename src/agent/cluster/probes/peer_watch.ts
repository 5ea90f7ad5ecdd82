import type { PeerFacts, Repair } from "../../../cluster/health/down_reason.ts"
import {
  type HealthChange,
  HealthMesh,
  type HealthTarget,
  type MeshResult,
} from "../../../cluster/health/health_mesh.ts"
import type { HealthReport } from "../../../cluster/health/peer_health.ts"
import { LariatError } from "../../../errors.ts"
import type { EchoProbe, EchoResult } from "../../../sys/probes/echo.ts"

/** From the begin of one round of probes to that of the next, milliseconds. */
const ROUND_MS = 2000
/** With very many peers a round takes longer: so much for each, milliseconds. */
const PER_PEER_MS = 4
/** How long a probe waits for its answer, milliseconds. */
const TIMEOUT_MS = 1000
/** The part of a round over which its probes are spread: the rest is for the last answers. */
const SPREAD = 0.5

/** One peer through one network. */
export interface WatchedPath {
  readonly network: string
  readonly hostId: string
}

/** What a {@link PeerWatch} works with. */
export interface PeerWatchOptions {
  /** Sends a round of probes, spread over `spreadMs`; `EchoProber` of the system. */
  readonly prober: {
    probe(
      probes: readonly EchoProbe[],
      options: { timeoutMs: number; spreadMs: number },
    ): Promise<readonly EchoResult[]>
    close(): void
  }
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** What the kernel and the store know of a path. */
  readonly facts: (path: WatchedPath) => PeerFacts
  /** Mends a path; how often is limited already. */
  readonly repair: (path: WatchedPath, repair: Repair) => void
  /** Hears of a path that got better or worse. */
  readonly onChange: (path: WatchedPath, change: HealthChange) => void
  /** Hears of a round that could not be sent; the next one is tried all the same. */
  readonly onFailure: (error: unknown) => void
}

/** Probes every peer through every network, small and at full size, for as long as it runs. */
export class PeerWatch {
  readonly #options: PeerWatchOptions
  readonly #mesh = new HealthMesh(Math.random)
  readonly #paths = new Map<string, WatchedPath>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #stopped = false

  constructor(options: PeerWatchOptions) {
    this.#options = options
  }

  /** Begins the rounds. */
  start(): void {
    this.#timer = setTimeout(() => void this.#round(), 0)
  }

  /** Takes a path in, or what changed of it. */
  set(path: WatchedPath, target: HealthTarget): void {
    const key = keyOf(path)
    this.#paths.set(key, path)
    this.#mesh.setPeer(key, target, this.#options.clock())
  }

  delete(path: WatchedPath): void {
    const key = keyOf(path)
    this.#paths.delete(key)
    this.#mesh.removePeer(key)
  }

  /** What is known of a path. */
  report(path: WatchedPath): HealthReport | undefined {
    return this.#mesh.report(keyOf(path))
  }

  /** Ends the rounds. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#options.prober.close()
  }

  async #round(): Promise<void> {
    const { prober, clock, onFailure } = this.#options
    const begun = clock()
    const period = Math.max(ROUND_MS, this.#paths.size * PER_PEER_MS)
    try {
      const probes = this.#mesh.probes()
      const spreadMs = this.#paths.size < 2 ? 0 : period * SPREAD
      const results = await prober.probe(probes, { timeoutMs: TIMEOUT_MS, spreadMs })
      if (!this.#stopped) this.#learn(probes, results)
    } catch (error) {
      if (!this.#stopped) onFailure(error)
    }
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.#round(), Math.max(0, begun + period - clock()))
  }

  #learn(probes: ReturnType<HealthMesh["probes"]>, results: readonly EchoResult[]): void {
    const { facts, repair, onChange, clock } = this.#options
    const { changes, repairs } = this.#mesh.observe(
      probes,
      results.map(outcomeOf),
      (key) => facts(this.#pathOf(key)),
      clock(),
    )
    for (const change of changes) onChange(this.#pathOf(change.peer), change)
    for (const one of repairs) repair(this.#pathOf(one.peer), one.repair)
  }

  #pathOf(key: string): WatchedPath {
    const path = this.#paths.get(key)
    if (path !== undefined) return path
    throw new LariatError(`Cannot find the path ${key}: it is probed and not known`, {
      code: "internal",
    })
  }
}

function keyOf({ network, hostId }: WatchedPath): string {
  return `${network} ${hostId}`
}

function outcomeOf(result: EchoResult): MeshResult {
  switch (result.kind) {
    case "answered":
      return { passed: true, rttMs: result.rttMs }
    case "timeout":
      return { passed: false }
    case "too-big":
      return { passed: false, mtu: result.mtu }
    case "unreachable":
      return { passed: false }
    case "unsent":
      return { passed: false, sendErrno: result.errno }
  }
}
