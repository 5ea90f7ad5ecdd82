/** Workers that attach and detach containers without pause, as a busy runtime would. */
import { attempt, run } from "../clients/program.ts"
import { askCni } from "../netns/control_call.ts"
import { type PluginJson, pluginCommand } from "../netns/lab.ts"
import type { Random } from "../netns/random.ts"
import type { Container } from "./container.ts"
import type { Quarantine } from "./quarantine.ts"

/** CNI codes (src/cni/error.ts): try again; the container has that interface. */
const TRY_AGAIN = 11
const IFNAME_EXISTS = 102

/** An agent that is away is asked again after this time. */
const AWAY_MS = 4

/** What came back of one call; undefined when nobody was there to say. */
interface Answer {
  readonly ok: boolean
  readonly json: PluginJson
}

/** How a worker calls: the control socket itself, or a plugin process. */
export type Caller = (
  command: string,
  container: Container,
  conf: object,
) => Promise<Answer | undefined>

/** Calls without starting a plugin. */
export function socketCaller(socket: string): Caller {
  return async (command, container, conf) => {
    try {
      const { exit, json } = await askCni(socket, command, container, conf)
      return { ok: exit === 0, json }
    } catch {
      return undefined
    }
  }
}

/** Calls by starting the plugin. */
export function pluginCaller(socket: string): Caller {
  return async (command, { id, netns, ifname }, conf) => {
    const { status, stdout } = await attempt(pluginCommand("rancher-bridge"), {
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: netns,
        CNI_IFNAME: ifname,
        CNI_PATH: "/usr/lib/cni",
        LARIAT_SOCKET: socket,
      },
      input: JSON.stringify(conf),
    })
    const json: PluginJson = stdout === "" ? {} : JSON.parse(stdout)
    if (status !== 0 && json.code === TRY_AGAIN) return undefined
    return { ok: status === 0, json }
  }
}

/** Lets workers through, or holds them between two calls. */
export class Gate {
  #open = Promise.withResolvers<void>()
  #held = 0
  readonly #workers: number
  #allHeld = Promise.withResolvers<void>()
  #closed = true
  ended = false

  constructor(workers: number) {
    this.#workers = workers
  }

  open(): void {
    this.#closed = false
    this.#open.resolve()
  }

  /** Resolves when every worker waits. */
  async close(): Promise<void> {
    this.#closed = true
    this.#open = Promise.withResolvers<void>()
    this.#allHeld = Promise.withResolvers<void>()
    if (this.#held === this.#workers) return
    await this.#allHeld.promise
  }

  /** Called by a worker between two calls. */
  async pass(): Promise<void> {
    if (!this.#closed) return
    this.#held += 1
    if (this.#held === this.#workers) this.#allHeld.resolve()
    await this.#open.promise
    this.#held -= 1
  }
}

/** What workers share. */
export interface Stream {
  readonly gate: Gate
  readonly random: Random
  readonly quarantine: Quarantine
  /** Calls that were answered well, by command. */
  readonly done: Record<string, number>
}

/**
 * Attaches and detaches these containers until the gate has ended.
 *
 * @throws Error when the agent says something that can not be
 */
export async function work(
  stream: Stream,
  containers: readonly Container[],
  call: Caller,
): Promise<void> {
  for (;;) {
    await stream.gate.pass()
    if (stream.gate.ended) return
    const container = stream.random.pick(containers)
    const known = await step(stream, container, call)
    if (!known) await new Promise((resolve) => setTimeout(resolve, AWAY_MS))
  }
}

/** One call. @returns false when the agent was away */
async function step(stream: Stream, container: Container, call: Caller): Promise<boolean> {
  const { random } = stream
  switch (container.belief.is) {
    case "absent":
      return random.chance(0.95) ? add(stream, container, call) : del(stream, container, call)
    case "present":
      if (random.chance(0.08)) return check(stream, container, call)
      if (random.chance(0.04)) return orphan(container)
      return del(stream, container, call)
    case "unknown":
      return random.chance(0.3) ? add(stream, container, call) : del(stream, container, call)
    case "orphaned":
      return del(stream, container, call)
  }
}

async function add(stream: Stream, container: Container, call: Caller): Promise<boolean> {
  const was = container.belief.is
  const answer = await call("ADD", container, container.conf)
  if (answer === undefined) {
    container.belief = { is: "unknown" }
    return false
  }
  if (answer.ok) {
    container.belief = { is: "present", result: answer.json }
    stream.quarantine.given(container.addresses)
    count(stream, "ADD")
    return true
  }
  // The one before may have been done although nobody was told.
  if (was === "unknown" && answer.json.code === IFNAME_EXISTS) return true
  throw new Error(`ADD ${container.id}, which was ${was}: ${JSON.stringify(answer.json)}`)
}

/** DEL, of a container that is there or not; what it had rests from now on. */
export async function del(stream: Stream, container: Container, call: Caller): Promise<boolean> {
  const { addresses } = container
  const orphaned = container.belief.is === "orphaned"
  const sent = performance.now()
  const answer = await call("DEL", container, container.conf)
  if (answer === undefined) {
    if (!orphaned) container.belief = { is: "unknown" }
    return false
  }
  if (!answer.ok) throw new Error(`DEL ${container.id}: ${JSON.stringify(answer.json)}`)
  stream.quarantine.released(addresses, sent)
  if (orphaned) await run(["ip", "netns", "add", container.id])
  container.belief = { is: "absent" }
  count(stream, "DEL")
  return true
}

async function check(stream: Stream, container: Container, call: Caller): Promise<boolean> {
  if (container.belief.is !== "present") return true
  const conf = { ...container.conf, prevResult: container.belief.result }
  const answer = await call("CHECK", container, conf)
  if (answer === undefined) return false
  if (!answer.ok) throw new Error(`CHECK ${container.id}: ${JSON.stringify(answer.json)}`)
  count(stream, "CHECK")
  return true
}

/** The container dies, and its runtime forgets to say so for now. */
async function orphan(container: Container): Promise<boolean> {
  container.belief = { is: "orphaned" }
  await run(["ip", "netns", "delete", container.id])
  return true
}

function count(stream: Stream, command: string): void {
  stream.done[command] = (stream.done[command] ?? 0) + 1
}
