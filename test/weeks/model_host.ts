/** An edge host of the model: what it is told, what its surroundings are, and who runs on it. */
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { waitFor } from "../clients/program.ts"
import type { Random } from "../netns/random.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { TEST_ADDRESSES, UPLINK } from "../vm/underlay.ts"
import { brokenTextOf, confOf, FIRST_FILE, type HostFile, noteOf, textOf } from "./host_file.ts"
import { ModelContainer } from "./model_container.ts"

/** The first two are detached only where they must be made anew; they ping each other. */
const LASTING = 2
const CONTAINERS = 7
const READ_MS = 10_000

export class ModelHost {
  readonly host: LabHost
  readonly containers: readonly ModelContainer[]
  readonly #random: Random
  file: HostFile = FIRST_FILE
  /** On its uplink; undefined while it has none. */
  address: string | undefined
  hasRoute = true
  /** Bytes. */
  underlayMtu = 1500
  /** Its name from the next start on, and that of the agent that runs. */
  name: string
  runningName: string
  /** Whether its state was lost since all was at rest: it may have no block of addresses yet. */
  isNew = true
  /** Whether packets may have been lost between its containers since they were last looked at. */
  isShaken = false

  constructor(host: LabHost, random: Random) {
    this.host = host
    this.address = host.v4
    this.name = host.name
    this.runningName = host.name
    this.#random = random
    this.containers = Array.from(
      { length: CONTAINERS },
      (_, index) => new ModelContainer(`${host.name}${index}`, host.socket),
    )
  }

  get lasting(): readonly ModelContainer[] {
    return this.containers.slice(0, LASTING)
  }

  get passing(): readonly ModelContainer[] {
    return this.containers.slice(LASTING)
  }

  get present(): readonly ModelContainer[] {
    return this.containers.filter(({ belief }) => belief === "present")
  }

  /** DHCP: the uplink has this address and no other; undefined takes the one that it has. */
  async setAddress(address: string | undefined): Promise<void> {
    const ip = (...words: string[]) => this.host.netns.run("ip", ...words, "dev", UPLINK)
    if (this.address !== undefined) await ip("address", "delete", `${this.address}/24`)
    this.address = address
    if (address === undefined) return
    await ip("address", "add", `${address}/24`)
    await this.setRoute(true)
  }

  async setRoute(hasRoute: boolean): Promise<void> {
    const verb = hasRoute ? "replace" : "delete"
    await this.host.netns.run("ip", "route", verb, "default", "via", TEST_ADDRESSES.v4)
    this.hasRoute = hasRoute
  }

  /** Edits the file; a running agent has read it when this resolves. */
  async edit(change: Partial<HostFile>): Promise<void> {
    const before = this.file
    this.file = { ...before, ...change, edition: before.edition + 1 }
    // Ports move to another bridge.
    if (this.file.bridge !== before.bridge) this.isShaken = true
    const text = textOf(this.#random, this.file)
    if (this.host.running) await this.#read(text, noteOf(this.file))
    this.host.options = { ...this.host.options, networks: text, conf: confOf(this.file) }
  }

  /** Has the agent read a file that it must refuse, which is put back then. */
  async breakFile(): Promise<void> {
    const good = this.host.options.networks
    await this.#read(brokenTextOf(this.#random, this.file), "the files have errors")
    this.host.options = { ...this.host.options, networks: good }
    writeFileSync(join(this.host.directory, "networks.yml"), good)
  }

  async start(): Promise<void> {
    const { settings } = this.host.options
    this.host.options = { ...this.host.options, settings: { ...settings, hostName: this.name } }
    this.runningName = this.name
    await this.host.startAgent()
  }

  /** To be called while no agent runs. */
  loseState(): void {
    rmSync(this.host.stateDir, { recursive: true })
    this.isNew = true
    for (const container of this.present) container.isStranded = true
  }

  async close(): Promise<void> {
    for (const container of this.containers) container.close()
  }

  async #read(text: string, said: string): Promise<void> {
    const { length } = this.host.log
    this.host.reload(text)
    await waitFor(
      `${this.host.name} to say ${said}`,
      () => this.host.log.slice(length).includes(said) || undefined,
      READ_MS,
    )
  }
}
