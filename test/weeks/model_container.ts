/** A container of the model: what its runtime did with it, and what it was told. */
import { type Attachment, askCni } from "../netns/control_call.ts"
import type { Conf, PluginJson } from "../netns/lab.ts"
import { LabNetns } from "../vm/lab_netns.ts"

/**
 * What the runtime knows of the attachment. `unknown`: the agent went away during the call; either
 * may be true, and the runtime detaches it. `gone`: its namespace went away without a detach.
 */
export type Belief = "absent" | "unknown" | "present" | "gone"

/** What a call came to; `away`: nobody was there to answer it. */
export type Outcome = "done" | "away" | { readonly refused: string }

export class ModelContainer {
  readonly id: string
  readonly #socket: string
  #netns: LabNetns
  #belief: Belief = "absent"
  #conf: Conf = {}
  #result: PluginJson = {}
  /** Whether its host has lost the state by which its block of addresses was its own. */
  isStranded = false

  constructor(id: string, socket: string) {
    this.id = id
    this.#socket = socket
    this.#netns = new LabNetns(id)
  }

  get belief(): Belief {
    return this.#belief
  }

  get netns(): LabNetns {
    return this.#netns
  }

  /** With prefix length, as the runtime was told; empty unless it is attached. */
  get prefixes(): readonly string[] {
    if (this.#belief !== "present") return []
    return (this.#result.ips ?? []).map(({ address }) => address).sort()
  }

  /** The address of a family, without prefix length. */
  address(family: 4 | 6): string {
    const isOf = (text: string) => text.includes(":") === (family === 6)
    return this.prefixes.find(isOf)?.split("/")[0] ?? ""
  }

  async add(conf: Conf): Promise<Outcome> {
    this.#conf = conf
    this.#belief = "unknown"
    const outcome = await this.#call("ADD", conf)
    if (typeof outcome === "object") this.#belief = "absent"
    if (outcome === "done") {
      this.#belief = "present"
      this.isStranded = false
    }
    return outcome
  }

  /** Detaches it with the configuration that it was attached with; its namespace may be gone. */
  async del(): Promise<Outcome> {
    const wasGone = this.#belief === "gone"
    if (!wasGone) this.#belief = "unknown"
    const outcome = await this.#call("DEL", this.#conf)
    if (outcome !== "done") return outcome
    if (wasGone) this.#netns = new LabNetns(this.id)
    this.#belief = "absent"
    return outcome
  }

  /** Compares it with what the runtime was told. */
  check(): Promise<Outcome> {
    return this.#call("CHECK", { ...this.#conf, prevResult: this.#result })
  }

  /** The container ends, and nobody detaches it. */
  vanish(): void {
    this.#belief = "gone"
    this.#netns.close()
  }

  close(): void {
    this.#netns.close()
  }

  async #call(command: string, conf: object): Promise<Outcome> {
    const attachment: Attachment = { id: this.id, netns: `/run/netns/${this.id}`, ifname: "eth0" }
    const answer = await askCni(this.#socket, command, attachment, conf).catch(() => undefined)
    if (answer === undefined) return "away"
    if (answer.exit !== 0) return { refused: `${answer.stdout}${answer.stderr}` }
    if (command === "ADD") this.#result = answer.json
    return "done"
  }
}
