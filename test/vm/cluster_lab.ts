/**
 * Hosts on an underlay, each a network namespace with an agent of its own, and a real etcd beside
 * them. Runs wherever the runner has made namespaces: in the virtual machine, or on this machine
 * where the driver needs no more than its kernel has.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DriverKind } from "../../src/config/network.ts"
import type { KindOptions } from "../../src/demo/packet_kind.ts"
import { Capture } from "./capture.ts"
import { type AgentOptions, LabHost } from "./lab_host.ts"
import { LabNetns } from "./lab_netns.ts"
import { all, LabStore } from "./lab_store.ts"
import { type Dependencies, leftovers, processesIn, surroundings } from "./leftovers.ts"
import {
  OVERLAY_SUBNETS,
  type OverlayOptions,
  overlayConf,
  overlayYaml,
} from "./overlay_network.ts"
import { Router, type RouterOptions } from "./router.ts"
import { Underlay, underlayAddresses } from "./underlay.ts"

/** Numbers on the underlay: stores have 1 to 9, hosts 11 and on, their routers 101 and on. */
const FIRST_HOST = 11
const FIRST_ROUTER = 101

/** The cluster's secret, the same on all hosts. */
export const LAB_PSK = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"

/** What a lab has. */
export interface LabOptions {
  /** Names of the hosts, at most 8 letters each. Default `["a", "b"]`. */
  readonly hosts?: readonly string[]
  readonly driver: DriverKind
  /** Members of the store. Default 1. */
  readonly members?: 0 | 1 | 3
  /** How often members say on a watch that they are there, seconds; etcd's own is 600. Default 2. */
  readonly progressSeconds?: number
  /** The network, where it is not the default one of {@link overlayYaml}. */
  readonly network?: Omit<OverlayOptions, "driver">
  /** More lines below `agent:` on each host; they come before the lab's own. */
  readonly settings?: Readonly<Record<string, string>>
  /** Hosts that are behind a router, by name. */
  readonly routers?: Readonly<Record<string, RouterOptions>>
  /** Whether agents are started. Default true. */
  readonly agents?: boolean
}

export class ClusterLab {
  readonly directory = mkdtempSync(join(tmpdir(), "cluster-"))
  readonly hosts: LabHost[] = []
  readonly underlay: Underlay
  readonly store: LabStore
  readonly network: OverlayOptions
  readonly #options: LabOptions
  readonly #before: Dependencies
  readonly #captures: Capture[] = []

  private constructor(options: LabOptions) {
    this.#options = options
    this.#before = surroundings()
    this.network = { ...options.network, driver: options.driver }
    this.underlay = new Underlay()
    this.store = new LabStore(this.underlay, this.directory, options.members ?? 1, {
      progressSeconds: options.progressSeconds ?? 2,
    })
  }

  /** Makes everything and waits until stores and agents answer; takes away what it made if it fails. */
  static async start(options: LabOptions): Promise<ClusterLab> {
    const lab = new ClusterLab(options)
    try {
      await lab.store.start()
      for (const name of options.hosts ?? ["a", "b"]) await lab.addHost(name)
      if (options.agents ?? true) await all(lab.hosts.map((host) => host.startAgent()))
      return lab
    } catch (error) {
      const logs = lab.hosts.map((host) => `--- ${host.name}\n${tail(host)}`).join("\n")
      await lab.close().catch(() => undefined)
      throw new Error(`Cannot start the lab: ${String(error)}\n${logs}`, { cause: error })
    }
  }

  /** The host of that name, or with that place. */
  host(which: string | number): LabHost {
    const host =
      typeof which === "number"
        ? this.hosts[which]
        : this.hosts.find((candidate) => candidate.name === which)
    if (host === undefined) throw new Error(`the lab has no host ${which}`)
    return host
  }

  /** Makes one more host; its agent is not started. */
  async addHost(name: string): Promise<LabHost> {
    const place = this.hosts.length
    const netns = new LabNetns(name)
    const directory = join(this.directory, name)
    const options = this.#agentOptions(name)
    const routed = this.#options.routers?.[name]
    if (routed !== undefined) {
      const router = await Router.between(this.underlay, netns, FIRST_ROUTER + place, routed)
      const parts = { netns, cable: router.cable, router, ...router.inside, directory }
      this.hosts.push(new LabHost(parts, options))
    } else {
      const number = FIRST_HOST + place
      const cable = this.underlay.attach(netns, number)
      const parts = { netns, cable, router: undefined, ...underlayAddresses(number), directory }
      this.hosts.push(new LabHost(parts, options))
    }
    return this.host(place)
  }

  /**
   * Listens to all that a host sends to and gets from the underlay. The cable's far end shows
   * nothing decrypted: what is there in clear was sent in clear.
   */
  capture(host: LabHost, ports?: KindOptions["ports"]): Capture {
    const overlay = this.network.subnets ?? OVERLAY_SUBNETS
    const options = ports === undefined ? { overlay } : { overlay, ports }
    const capture = new Capture(undefined, host.cable.port, options)
    this.#captures.push(capture)
    return capture
  }

  /**
   * Ends everything and takes away what the lab made.
   *
   * @throws AggregateError when something could not be ended, or is still there
   */
  async close(): Promise<void> {
    const errors: unknown[] = []
    const inodes = new Set<bigint>()
    const namespaces = [
      ...this.hosts.flatMap(({ netns, router, containers }) => [
        ...[...containers.values()].map((container) => container.netns),
        ...(router === undefined ? [] : [router.netns]),
        netns,
      ]),
      ...this.store.members.map(({ netns }) => netns),
    ]
    for (const { handle } of namespaces) inodes.add(handle.ino)
    const steps: (() => void | Promise<void>)[] = [
      ...this.#captures.map((capture) => () => void capture.stop()),
      ...this.hosts.map((host) => () => host.close()),
      () => this.store.stop(),
      ...namespaces.map((netns) => () => netns.close()),
      () => this.underlay.close(),
      () => rmSync(this.directory, { recursive: true, force: true }),
    ]
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        errors.push(error)
      }
    }
    const left = [...leftovers(this.#before), ...processesIn(inodes)]
    if (left.length > 0) errors.push(new Error(`left behind: ${left.join(", ")}`))
    if (errors.length > 0) throw new AggregateError(errors, `the lab did not close: ${errors}`)
  }

  #agentOptions(name: string): AgentOptions {
    const pskFile = join(this.directory, `${name}.psk`)
    writeFileSync(pskFile, `${LAB_PSK}\n`)
    chmodSync(pskFile, 0o600)
    const store = this.store.members.length === 0 ? "sqlite" : this.store.urls
    return {
      networks: overlayYaml(this.network),
      conf: overlayConf(this.network),
      settings: {
        createBridge: "always",
        quarantine: "1s",
        cluster: "lab",
        store,
        pskFile,
        ...this.#options.settings,
      },
    }
  }
}

/** The end of what a host's agent said. */
function tail(host: LabHost): string {
  try {
    return host.log.split("\n").slice(-20).join("\n")
  } catch {
    return "(no log)"
  }
}
