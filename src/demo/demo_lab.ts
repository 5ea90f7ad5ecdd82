import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { PeerReport } from "../agent/cluster/report.ts"
import { writeSecret } from "../agent/cluster/secrets.ts"
import { askAgent } from "../agent/control/control_client.ts"
import { LariatError, runAllInTurn } from "../errors.ts"
import { type FetchServer, serveFetch } from "../sys/http/fetch_server.ts"
import { FrameTap } from "../sys/net/frame_tap.ts"
import { createNetns, type Netns, withNetns } from "../sys/netns/netns.ts"
import { after } from "../sys/timer.ts"
import { closing } from "./closing.ts"
import { DemoHost } from "./demo_host.ts"
import { makeSwitch, wireToSwitch } from "./demo_wiring.ts"
import { EtcdGateway } from "./etcd/gateway.ts"
import { untilInterrupted } from "./interruption.ts"

/** The made-up network between the hosts (RFC 5737). */
const NET = "203.0.113"
/** The way to the world, with the store. */
export const OUTSIDE_IP = `${NET}.1`
/** etcd's registered port. */
const STORE_PORT = 2379
/** Number of the first host's address. */
const FIRST_HOST = 11

const PSK_BYTES = 32
/** How long hosts may take to reach each other, milliseconds: an emulated machine is slow. */
const MEET_MS = 60_000
const POLL_MS = 20

/** A host of the lab, and its address between the hosts. */
export interface PlacedHost {
  readonly host: DemoHost
  readonly ip: string
  /** Its cable's end at the switch. */
  readonly port: string
}

/**
 * Hosts on one switch that is the outside to them, with a store beside it where there are several:
 * all of them network namespaces that exist only as open files of this process. Closing it leaves
 * nothing behind.
 */
export class DemoLab {
  readonly directory = mkdtempSync(join(tmpdir(), "lariat-demo-"))
  readonly storeUrl = `http://${OUTSIDE_IP}:${STORE_PORT}`
  readonly #hosts: PlacedHost[] = []
  readonly #gateway = new EtcdGateway(after)
  readonly #taps: FrameTap[] = []
  #underlay: Netns | undefined
  #server: FetchServer | undefined

  /**
   * Makes hosts, does the work until it is done or interrupted, and takes everything away.
   *
   * @returns how long the last took, milliseconds
   */
  static async during(count: number, work: (lab: DemoLab) => Promise<void>): Promise<number> {
    const lab = new DemoLab()
    let ended = 0
    await closing(
      async () => {
        lab.#build(count)
        await untilInterrupted(() => work(lab))
        ended = performance.now()
      },
      () => lab.#close(),
    )
    return performance.now() - ended
  }

  /** The hosts, in the order of their names. */
  get hosts(): readonly PlacedHost[] {
    return this.#hosts
  }

  /** Makes hosts and cables; nothing runs yet. @throws SystemError permission */
  #build(count: number): void {
    const middle = { netns: createNetns(), address: OUTSIDE_IP }
    this.#underlay = middle.netns
    makeSwitch(middle)
    for (let index = 0; index < count; index++) {
      const name = `host${index + 1}`
      const host = new DemoHost(name, join(this.directory, name))
      const placed = { host, ip: `${NET}.${FIRST_HOST + index}`, port: name }
      this.#hosts.push(placed)
      wireToSwitch({ netns: host.netns, address: placed.ip }, middle, placed.port)
    }
  }

  /** Begins to serve the store. @returns how long it took, milliseconds @throws LariatError io */
  startStore(): number {
    const started = performance.now()
    this.#server = withNetns(this.#between(), () =>
      serveFetch({ hostname: OUTSIDE_IP, port: STORE_PORT }, this.#gateway.fetch),
    )
    return performance.now() - started
  }

  /** Starts all agents with one pre-shared key. @returns how long each took, milliseconds */
  async startAgents(yaml: string): Promise<number[]> {
    const psk = crypto.getRandomValues(new Uint8Array(PSK_BYTES)).toHex()
    return await Promise.all(
      this.hosts.map(({ host, ip }) => {
        const pskFile = join(host.directory, "psk")
        writeSecret(pskFile, `${psk}\n`)
        return host.startAgent(yaml, {
          ...{ hostIp: ip, store: this.storeUrl, cluster: "demo", pskFile },
        })
      }),
    )
  }

  /** Waits until every host reaches every other. @throws LariatError io with the reasons */
  async meet(): Promise<number> {
    const started = performance.now()
    for (;;) {
      const missing = this.hosts.flatMap(({ host }) => this.#missing(host))
      if (missing.length === 0) return performance.now() - started
      if (performance.now() - started > MEET_MS) {
        throw new LariatError(`Cannot let the hosts meet: ${missing.join("; ")}`, {
          code: "io",
          hint: "LARIAT_LOG=debug lariat agent shows what an agent does",
        })
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  /** Listens to all that a host sends to and gets from the others. */
  listen({ port }: PlacedHost): FrameTap {
    const tap = withNetns(this.#between(), () => FrameTap.open(port))
    this.#taps.push(tap)
    return tap
  }

  /** Ends agents and store, gives the namespaces back, deletes the files. @throws TeardownError */
  async #close(): Promise<void> {
    // Together: each of them may take its time.
    const stops = await Promise.allSettled(this.#hosts.map(({ host }) => host.stopAgent()))
    await runAllInTurn("the demo", [
      ...stops.map((stop) => () => {
        if (stop.status === "rejected") throw stop.reason
      }),
      () => this.#gateway.close(),
      () => this.#server?.stop(),
      ...this.#taps.map((tap) => () => tap.close()),
      ...this.#hosts.map((each) => () => each.host.close()),
      () => this.#underlay?.close(),
      () => rmSync(this.directory, { recursive: true, force: true }),
    ])
  }

  #between(): Netns {
    if (this.#underlay !== undefined) return this.#underlay
    throw new LariatError("Cannot use the lab: it is not built", { code: "internal" })
  }

  /** What this host does not reach yet, in words. */
  #missing(host: DemoHost): string[] {
    const peers = askAgent("peers", host.socket) as PeerReport[]
    if (peers.length < this.hosts.length - 1) return [`${host.name} sees ${peers.length} others`]
    return peers.flatMap(({ name, paths }) => {
      const [path] = paths
      if (path?.state === "up") return []
      return [`${host.name} to ${name}: ${path?.reason ?? path?.state ?? "no path"}`]
    })
  }
}
