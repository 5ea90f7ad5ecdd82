/** A real etcd on the underlay: one member or three, each in a namespace of its own. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type Daemon, startDaemon } from "../clients/program.ts"
import { LabNetns } from "./lab_netns.ts"
import { type Cable, type Underlay, underlayAddresses } from "./underlay.ts"

const CLIENT_PORT = 2379
const PEER_PORT = 2380
/** In an emulated machine it takes four seconds and more. */
const READY_MS = 60_000

/** For a call in all, and for each member that is asked. */
const CALL_MS = 30_000
const TRY_MS = 4000

/** How members run. */
export interface LabStoreOptions {
  /** How often they say on a watch that they are there, seconds. */
  readonly progressSeconds: number
}

/** One member. */
export class StoreMember {
  readonly name: string
  readonly netns: LabNetns
  readonly cable: Cable
  readonly url: string
  readonly #argv: readonly string[]
  readonly #log: string
  #daemon: Daemon | undefined

  constructor(
    underlay: Underlay,
    directory: string,
    number: number,
    { cluster, progressSeconds }: LabStoreOptions & { readonly cluster: readonly string[] },
  ) {
    this.name = `store${number}`
    this.netns = new LabNetns(this.name)
    this.cable = underlay.attach(this.netns, number)
    this.url = clientUrl(number)
    this.#log = join(directory, "log")
    mkdirSync(directory, { recursive: true })
    this.#argv = [
      ...["etcd", "--name", this.name, "--data-dir", join(directory, "data")],
      ...["--listen-client-urls", this.url, "--advertise-client-urls", this.url],
      ...["--listen-peer-urls", peerUrl(number), "--initial-advertise-peer-urls", peerUrl(number)],
      ...["--initial-cluster", cluster.join(","), "--initial-cluster-state", "new"],
      ...["--initial-cluster-token", "lab", "--logger", "zap", "--log-level", "warn"],
      // A member that hangs keeps its connections: only its silence tells.
      `--experimental-watch-progress-notify-interval=${progressSeconds}s`,
    ]
  }

  get pid(): number {
    if (this.#daemon === undefined) throw new Error(`${this.name} does not run`)
    return this.#daemon.pid
  }

  get running(): boolean {
    return this.#daemon !== undefined
  }

  /** Starts it, again after {@link kill}, and waits until it serves. */
  async start(): Promise<void> {
    const ready = () => healthy(this.url)
    const options = { log: this.#log, timeoutMs: READY_MS }
    this.#daemon = await startDaemon(this.netns.command(...this.#argv), ready, options)
  }

  /** Ends it as the OOM killer does. */
  async kill(): Promise<void> {
    process.kill(this.pid, "SIGKILL")
    await this.stop()
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    await this.#daemon?.stop()
    this.#daemon = undefined
  }

  /** It stays, and does nothing: its connections go silent. */
  pause(): void {
    process.kill(this.pid, "SIGSTOP")
  }

  resume(): void {
    process.kill(this.pid, "SIGCONT")
  }
}

export class LabStore {
  readonly members: readonly StoreMember[]

  /** Makes the members' namespaces; numbers 1 and on of the underlay are theirs. */
  constructor(underlay: Underlay, directory: string, count: number, options: LabStoreOptions) {
    const numbers = Array.from({ length: count }, (_, index) => index + 1)
    const cluster = numbers.map((number) => `store${number}=${peerUrl(number)}`)
    this.members = numbers.map(
      (number) =>
        new StoreMember(underlay, join(directory, `store${number}`), number, {
          ...options,
          cluster,
        }),
    )
  }

  /** As the agent's `store` setting wants it. */
  get urls(): string {
    return this.members.map(({ url }) => url).join(",")
  }

  async start(): Promise<void> {
    // A member serves when there is a majority: none would be ready alone.
    await all(this.members.map((member) => member.start()))
  }

  async stop(): Promise<void> {
    for (const member of this.members) if (member.running) member.resume()
    await all(this.members.map((member) => member.stop()))
  }

  /**
   * Asks the v3 JSON gateway of one member after the other until one answers, at most 30 s: without
   * a leader all refuse. Keys and values are base64.
   */
  async call(path: string, body: object): Promise<unknown> {
    const until = performance.now() + CALL_MS
    for (let turn = 0; ; turn++) {
      const member = this.members[turn % this.members.length]
      if (member === undefined) throw new Error("the lab has no store")
      try {
        return await post(`${member.url}${path}`, body)
      } catch (error) {
        if (performance.now() > until) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
}

/** @throws Error when the member is not there, or has no leader */
async function post(url: string, body: object): Promise<unknown> {
  const options = { method: "POST", body: JSON.stringify(body) }
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(TRY_MS) })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return await response.json()
}

function clientUrl(number: number): string {
  return `http://${underlayAddresses(number).v4}:${CLIENT_PORT}`
}

function peerUrl(number: number): string {
  return `http://${underlayAddresses(number).v4}:${PEER_PORT}`
}

async function healthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) })
    return response.ok && (await response.text()).includes('"true"')
  } catch {
    return false
  }
}

/** Waits for all, also when one failed: what is still starting then could not be ended. */
export async function all(promises: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(promises)
  for (const result of results) if (result.status === "rejected") throw result.reason
}
