import { afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Logger } from "@logtape/logtape"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { parsePsk } from "../../cluster/records/psk.ts"
import type { AgentSettings, Network } from "../../config/network.ts"
import type { Driver, OverlayDesired } from "../../drivers/driver.ts"
import type { KeyedDriver } from "../../drivers/keyed_driver.ts"
import { LariatError } from "../../errors.ts"
import type { AgentContext } from "../context.ts"
import { Health } from "../health.ts"
import type { ManagedNetwork } from "../networks/networks.ts"
import { StateDatabase } from "../state/state_database.ts"
import { type ClusterDependencies, Composition } from "./composition.ts"

/** A driver that is told keys and uses them, in memory. */
class MemoryDriver {
  readonly kind = "ipsec"
  readonly parameters = {}
  isReady = false
  peers: OverlayDesired["peers"] = new Map()
  /** By host: whether keys are there that are sent on. */
  readonly sent = new Map<string, boolean>()
  removals = 0
  readonly keyed = {
    cipher: "aes256gcm16",
    hasUdpRoom: false,
    setSaPairs: (hostId, { saPairs }) => {
      this.sent.set(
        hostId,
        saPairs.some(({ send }) => send),
      )
      return this.peers.has(hostId)
    },
    setEncapsulation: () => undefined,
    encapsulationOf: () => undefined,
    encapsulationPorts: () => new Set(),
    udpRemotes: () => new Map(),
  } satisfies Partial<KeyedDriver> as unknown as KeyedDriver

  set({ peers }: OverlayDesired): readonly string[] {
    this.isReady = true
    this.peers = new Map(peers)
    return []
  }

  links(): readonly [] {
    return []
  }

  close(): void {
    this.isReady = false
  }

  remove(): void {
    this.removals++
  }
}

const PSK = "a key that both hosts have, and nobody else"

function networkOf(name: string): Network {
  const encapsulation = { cipher: "aes256gcm16", udp: "none", port: undefined, vni: 1042 }
  const subnets: Network["subnets"] = []
  return { name, driver: "ipsec", encapsulation, subnets, dns: [] } as unknown as Network
}

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** A host of a cluster, as far as drivers, keys and the store go. */
class Host {
  readonly drivers = new Map<string, MemoryDriver>()
  readonly health = new Health()
  readonly names: string[]
  /** Networks whose driver cannot be opened. */
  readonly broken = new Set<string>()
  readonly all: Composition

  constructor(name: string, address: string, store: MemoryStore, names: string[]) {
    this.names = names
    const stateDir = mkdtempSync(join(tmpdir(), "composition-"))
    const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
    const log = { info: () => {}, warn: () => {} } as unknown as Logger
    const cluster = {
      ...{ name: "edge", allowHosts: undefined, hostTimeoutMs: 60_000 },
      ...{ blockReuseMs: 60_000, rekeyMs: 3_600_000 },
    }
    const dependencies: ClusterDependencies = {
      settings: { cluster, stateDir, hostLabels: {} } as unknown as AgentSettings,
      host: { uuid: name, name, ip: address, addresses: [address] },
      ...{ bootId: "b", stateDatabase, health: this.health, log },
      random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    }
    const psk = parsePsk(PSK, { cluster: "edge" })
    this.all = new Composition(dependencies, store, psk, ({ name: network }) => {
      if (this.broken.has(network)) throw new LariatError("no ESP", { code: "kernel-unsupported" })
      const driver = new MemoryDriver()
      this.drivers.set(network, driver)
      return driver satisfies Driver
    })
    const managed = () =>
      this.names.map((one) => {
        const known = { name: one, leased: true, configured: networkOf(one) }
        return known as unknown as ManagedNetwork
      })
    this.all.context = {
      networks: { all: managed, get: () => undefined },
      kernel: { links: () => [] },
      metadata: { host: () => {}, removeHost: () => {} },
      underlay: { mtu: 1500 },
      firewall: { encapsulate: () => {}, gate: () => undefined, settled: () => {} },
    } as unknown as AgentContext
    stops.push(() => {
      this.all.stopped = true
      this.all.networks.close()
      this.all.retries.close()
      this.all.watch.stop()
      this.all.exchangeStart.stop()
      void this.all.encapsulation.stop()
      rmSync(stateDir, { recursive: true })
    })
  }

  /** As the cluster begins, without probes and without ears for the kernel. */
  async start(): Promise<void> {
    const { enrolment, networks, encapsulation, exchangeStart, watch } = this.all
    const number = await enrolment.begin()
    await networks.open()
    encapsulation.begin(number)
    exchangeStart.numbered(number)
    watch.begin()
    exchangeStart.listening()
    await this.all.tidy.run()
  }

  /** Whether it sends to another host under agreed keys. */
  sends(network: string, hostId: string): boolean {
    return this.drivers.get(network)?.sent.get(hostId) === true
  }
}

function pair(namesA: string[], namesB: string[]) {
  const store = new MemoryStore()
  const a = new Host("a", "192.0.2.1", store, namesA)
  const b = new Host("b", "192.0.2.2", store, namesB)
  /** Lets the store tell what is in it, until something holds. */
  const until = async (what: string, holds: () => boolean) => {
    const end = performance.now() + 15_000
    while (!holds()) {
      if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
      store.deliver()
      await Bun.sleep(5)
    }
  }
  const agreed = (network: string) => () => a.sends(network, "b") && b.sends(network, "a")
  return { a, b, until, agreed }
}

test("two hosts agree on keys", async () => {
  const { a, b, until, agreed } = pair(["n"], ["n"])
  await Promise.all([a.start(), b.start()])
  await until("keys", agreed("n"))
  expect(a.drivers.get("n")?.peers.get("b")?.underlay).toEqual(["192.0.2.2"])
}, 20_000)

test("a keyed network whose driver could not be opened at first gets its keys", async () => {
  const { a, b, until, agreed } = pair(["n"], ["n"])
  b.broken.add("n")
  await Promise.all([a.start(), b.start()])
  await until("a to see b", () => a.all.directory.host("b")?.record !== undefined)
  expect(b.all.exchange).toBeUndefined()
  expect(b.health.problems()).toMatchObject([{ what: expect.stringContaining("no ESP") }])
  b.broken.clear()
  await until("keys", agreed("n"))
  expect(b.health.problems()).toEqual([])
}, 20_000)

test("a keyed network that a reload brings gets its keys, the first one and one more", async () => {
  const { a, b, until, agreed } = pair(["n", "m"], [])
  await Promise.all([a.start(), b.start()])
  await until("b to see a", () => b.all.directory.host("a")?.record !== undefined)
  for (const name of ["n", "m"]) {
    b.names.push(name)
    await b.all.networks.open()
    await until(`keys of ${name}`, agreed(name))
  }
}, 20_000)

test("a network that a reload takes away is gone, and its peers with it", async () => {
  const { a, b, until, agreed } = pair(["n"], ["n"])
  await Promise.all([a.start(), b.start()])
  await until("keys", agreed("n"))
  b.names.length = 0
  await b.all.networks.open()
  expect(b.drivers.get("n")?.removals).toBe(1)
  await b.all.tidy.run()
  await until("a to hear of it", () => a.drivers.get("n")?.peers.size === 0)
}, 20_000)
