/** Edge hosts in a cluster as they should be: what events do to them, and what they must be then. */
import { PingStream } from "../crash/ping_stream.ts"
import type { Random } from "../netns/random.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { UPLINK } from "../vm/underlay.ts"
import { confOf, FIRST_FILE, textOf } from "./host_file.ts"
import { faultsOf, leftoversOf } from "./inspection.ts"
import type { ModelContainer, Outcome } from "./model_container.ts"
import { ModelHost } from "./model_host.ts"

const HOSTS = ["a", "b"]
/** So few that hosts get each other's former ones. */
const ADDRESSES = [31, 32, 33, 34].map((number) => `192.0.2.${number}`)
/** Generous: the longest thing that is waited for is a host's time of silence. */
const REST_MS = 60_000
const LOOK_AGAIN_MS = 200

export class Model {
  readonly lab: ClusterLab
  readonly random: Random
  readonly hosts: readonly ModelHost[]
  storeIsUp = true
  /** Every address that a container ever had. */
  readonly #given = new Set<string>()
  #streams: { readonly host: ModelHost; readonly stream: PingStream }[] = []

  private constructor(lab: ClusterLab, random: Random) {
    this.lab = lab
    this.random = random
    this.hosts = lab.hosts.map((host) => new ModelHost(host, random))
  }

  static async start(random: Random): Promise<Model> {
    const lab = await ClusterLab.start({
      ...{ hosts: HOSTS, driver: "vxlan", agents: false },
      settings: { hostIp: '""', hostTimeout: "6s" },
    })
    const model = new Model(lab, random)
    try {
      for (const { host } of model.hosts) await prepare(host, random)
      await Promise.all(model.hosts.map((host) => host.start()))
      await model.rest()
      for (const host of model.hosts) {
        for (const container of host.lasting) await model.attach(host, container)
      }
      await model.rest()
    } catch (error) {
      await model.close().catch(() => undefined)
      throw error
    }
    return model
  }

  /** Addresses that a host may get now. */
  get freeAddresses(): readonly string[] {
    return ADDRESSES.filter((one) => this.hosts.every(({ address }) => address !== one))
  }

  /** @throws Error where it must have been attached, or has an address of another container */
  async attach(host: ModelHost, container: ModelContainer): Promise<void> {
    const outcome = await container.add(host.host.options.conf)
    if (typeof outcome === "object") {
      // The store may be away, or the way there be dead and not known to be so yet.
      if (host.isNew) return
      throw new Error(`ADD ${container.id}: ${outcome.refused}`)
    }
    for (const prefix of container.prefixes) this.#given.add(prefix.split("/")[0] ?? prefix)
    for (const one of this.hosts.flatMap(({ present }) => present)) {
      if (one === container) continue
      const twice = container.prefixes.find((prefix) => one.prefixes.includes(prefix))
      if (twice !== undefined) throw new Error(`${container.id} was given ${twice} of ${one.id}`)
    }
  }

  /** @throws Error where it was refused */
  async detach(container: ModelContainer): Promise<void> {
    wellDone(`DEL ${container.id}`, await container.del())
  }

  /**
   * Mends what is broken around the hosts, waits until everything is at rest, and compares it.
   *
   * @throws Error that names what is not as it should be
   */
  async rest(): Promise<void> {
    if (!this.storeIsUp) await this.startStore()
    for (const host of this.hosts) {
      if (host.address === undefined) await host.setAddress(this.random.pick(this.freeAddresses))
      if (!host.hasRoute) await host.setRoute(true)
      if (!host.host.running) await host.start()
    }
    await this.#forgetUnknown()
    await until(() => faultsOf(this.hosts))
    for (const host of this.hosts) host.isNew = false
    await this.#pingOn()
  }

  /** Of the link that all machines are on, bytes. */
  async setUnderlayMtu(mtu: number): Promise<void> {
    for (const { netns } of [...this.lab.hosts, this.#store]) {
      await netns.run("ip", "link", "set", UPLINK, "mtu", String(mtu))
    }
    for (const host of this.hosts) host.underlayMtu = mtu
  }

  async killStore(): Promise<void> {
    await this.#store.kill()
    this.storeIsUp = false
  }

  async startStore(): Promise<void> {
    await this.#store.start()
    this.storeIsUp = true
  }

  /** Detaches everything. @throws Error that names what is left of it */
  async end(): Promise<void> {
    await this.#stopPings()
    for (const host of this.hosts) {
      for (const container of host.containers) {
        if (container.belief !== "absent") await this.detach(container)
      }
    }
    await this.rest()
    await until(() => leftoversOf(this.hosts, this.#given))
  }

  async close(): Promise<void> {
    await this.#stopPings().catch(() => undefined)
    for (const host of this.hosts) await host.close()
    await this.lab.close()
  }

  get #store() {
    const [member] = this.lab.store.members
    if (member === undefined) throw new Error("the lab has no store")
    return member
  }

  /** What a runtime does when it has no answer: it detaches the container. */
  async #forgetUnknown(): Promise<void> {
    const containers = this.hosts.flatMap((host) => host.containers)
    const unknown = containers.filter(({ belief }) => belief === "unknown")
    for (const container of unknown) await this.detach(container)
  }

  /** Looks at what the pings since the last time came to, and begins anew. */
  async #pingOn(): Promise<void> {
    const faults = await this.#stopPings()
    if (faults.length > 0) throw new Error(faults.join("\n"))
    for (const host of this.hosts) {
      host.isShaken = false
      const [one, other] = host.lasting
      if (one?.belief !== "present" || other?.belief !== "present") continue
      for (const target of [other.address(4), "10.42.0.1"]) {
        const stream = new PingStream(`/run/netns/${one.id}`, target)
        this.#streams.push({ host, stream })
      }
    }
  }

  async #stopPings(): Promise<string[]> {
    const streams = this.#streams
    this.#streams = []
    const all = await Promise.all(
      streams.map(async ({ host, stream }) => {
        const { faults } = await stream.stop()
        return host.isShaken ? [] : faults
      }),
    )
    return all.flat()
  }
}

/** Looks until there is no fault. @throws Error that names the last ones */
async function until(look: () => Promise<readonly string[]>): Promise<void> {
  const end = performance.now() + REST_MS
  for (;;) {
    const faults = await look()
    if (faults.length === 0) return
    if (performance.now() > end) throw new Error(faults.join("\n"))
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
  }
}

async function prepare(host: LabHost, random: Random): Promise<void> {
  await host.netns.run("ip", "-6", "address", "flush", "dev", UPLINK)
  const networks = textOf(random, FIRST_FILE)
  host.options = { ...host.options, networks, conf: confOf(FIRST_FILE) }
}

function wellDone(what: string, outcome: Outcome): void {
  if (typeof outcome === "object") throw new Error(`${what}: ${outcome.refused}`)
}
