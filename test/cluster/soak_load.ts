/**
 * Attaches and detaches containers on one host while it asks another host's metadata for each of
 * them, from a process in that other host's namespace: `soak_load.ts JSON`, where the JSON is a
 * {@link SoakOrder}. For each line of standard input it does one batch and prints a
 * {@link BatchReport} as JSON; it ends when that input does.
 */
import { createInterface } from "node:readline"
import { isDeepStrictEqual } from "node:util"
import { summarize } from "../bench/statistics.ts"
import { type Attachment, askCni } from "../netns/control_call.ts"
import type { Conf } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"

/** What is attached, where, and who is asked about it. */
export interface SoakOrder {
  /** Control socket of the agent that attaches. */
  readonly socket: string
  readonly conf: Conf
  /** Namespaces for containers: as many are attached at a time. */
  readonly netns: readonly string[]
  readonly seed: number
}

/** One batch. */
export interface BatchOrder {
  /** Those of the batch before go first; with 0 that is all. */
  readonly attaches: number
}

/** What came of a batch. */
export interface BatchReport {
  readonly seconds: number
  /** Containers that the other host was asked about while they were there, and showed. */
  readonly seen: number
  /** Containers that were left attached: by their id, the addresses, sorted. */
  readonly standing: Readonly<Record<string, readonly string[]>>
  /** Medians, milliseconds: the two calls, and from the answer of ADD until the other host shows it. */
  readonly addMs: number
  readonly delMs: number
  readonly shownMs: number
}

const METADATA = "http://169.254.169.250/latest/containers"
/** The other host has a record long before; beyond this it never will. */
const SHOWN_WITHIN_S = 30
/** A container stays at most so long, milliseconds. */
const LONGEST_STAY_MS = 200
/** So many go again at once, whether or not anybody heard of them. */
const HASTY_SHARE = 0.1
/** Container runtimes' ids are as long. */
const ID_LENGTH = 64
/** So much of an id is a container's name. */
const NAME_LENGTH = 12

class Load {
  readonly #order: SoakOrder
  readonly #random: Random
  /** By namespace. */
  readonly #standing = new Map<string, { readonly id: string; readonly addresses: string[] }>()
  #made = 0
  #left = 0
  #seen = 0
  #times = { add: [] as number[], del: [] as number[], shown: [] as number[] }

  constructor(order: SoakOrder) {
    this.#order = order
    this.#random = new Random(order.seed)
  }

  /** @throws Error when a call is refused, or the other host shows something else */
  async batch({ attaches }: BatchOrder): Promise<BatchReport> {
    const started = performance.now()
    this.#left = attaches
    this.#seen = 0
    this.#times = { add: [], del: [], shown: [] }
    await Promise.all(this.#order.netns.map((netns) => this.#work(netns)))
    const seconds = (performance.now() - started) / 1000
    const standing = Object.fromEntries(
      [...this.#standing.values()].map(({ id, addresses }) => [id, addresses]),
    )
    await expectShown(standing)
    const { add, del, shown } = this.#times
    const median = (times: readonly number[]) => (times.length > 0 ? summarize(times).median : 0)
    return {
      ...{ seconds, seen: this.#seen, standing },
      ...{ addMs: median(add), delMs: median(del), shownMs: median(shown) },
    }
  }

  async #work(netns: string): Promise<void> {
    await this.#detach(netns)
    while (this.#left > 0) {
      this.#left -= 1
      await this.#attach(netns)
      if (this.#random.chance(HASTY_SHARE)) {
        await this.#detach(netns)
        continue
      }
      await this.#untilShown(netns)
      await pause(this.#random.next() * LONGEST_STAY_MS)
      if (this.#left === 0 && this.#random.chance(0.5)) return
      await this.#detach(netns)
    }
  }

  async #attach(netns: string): Promise<void> {
    const id = `soak${(this.#made++).toString(16).padStart(8, "0")}`.padEnd(ID_LENGTH, "0")
    const { ips = [] } = await this.#call("ADD", { id, netns, ifname: "eth0" })
    const addresses = ips.map(({ address }) => address.split("/")[0] ?? "").sort()
    this.#standing.set(netns, { id, addresses })
  }

  async #detach(netns: string): Promise<void> {
    const container = this.#standing.get(netns)
    if (container === undefined) return
    await this.#call("DEL", { id: container.id, netns, ifname: "eth0" })
    this.#standing.delete(netns)
  }

  async #call(command: "ADD" | "DEL", attachment: Attachment) {
    const started = performance.now()
    const { exit, json } = await askCni(this.#order.socket, command, attachment, this.#order.conf)
    if (exit !== 0) throw new Error(`${command} ${attachment.id}: ${JSON.stringify(json)}`)
    this.#times[command === "ADD" ? "add" : "del"].push(performance.now() - started)
    return json
  }

  async #untilShown(netns: string): Promise<void> {
    const { id = "", addresses = [] } = this.#standing.get(netns) ?? {}
    const started = performance.now()
    const url = `${METADATA}/${id.slice(0, NAME_LENGTH)}/primary_ip`
    const response = await fetch(`${url}?wait=true&value=&maxWait=${SHOWN_WITHIN_S}`)
    const shown = await response.text()
    if (!response.ok || !addresses.includes(shown)) {
      throw new Error(`${id} has ${addresses}, the other host says: ${response.status} ${shown}`)
    }
    this.#times.shown.push(performance.now() - started)
    this.#seen += 1
  }
}

/** Until the other host shows exactly these containers. @throws Error when it does not in time */
async function expectShown(standing: BatchReport["standing"]): Promise<void> {
  const until = performance.now() + SHOWN_WITHIN_S * 1000
  for (;;) {
    const response = await fetch(METADATA, { headers: { accept: "application/json" } })
    const all = (await response.json()) as { external_id: string; ips: string[] }[]
    const shown = Object.fromEntries(all.map(({ external_id, ips }) => [external_id, ips.sort()]))
    if (isDeepStrictEqual(shown, standing)) return
    if (performance.now() > until) {
      const [has, lacks] = [JSON.stringify(shown), JSON.stringify(standing)]
      throw new Error(`the other host shows ${has}, and not ${lacks}`)
    }
    await pause(50)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

const load = new Load(JSON.parse(process.argv[2] ?? ""))
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await load.batch(JSON.parse(line))))
}
process.exit(0)
