import { existsSync } from "node:fs"
import type { AgentSettings } from "../../config/network.ts"
import { type Bridge, ensureBridge } from "../../endpoint/bridge.ts"
import type { Kernel } from "../../endpoint/kernel.ts"
import { answerForOthers } from "../../endpoint/proxy_arp.ts"
import { LariatError } from "../../errors.ts"
import { deleteLink } from "../../netlink/route/link.ts"
import { withNetns } from "../../sys/netns/netns.ts"
import type { BridgeRequest } from "./attach_request.ts"

/** The bridge that a dockerd makes for itself. */
const DOCKER_BRIDGE = "docker0"

/** Files that show that a Docker engine is installed and will want its own bridge. */
const DOCKER_SIGNS: readonly string[] = [
  "/usr/bin/dockerd",
  "/usr/sbin/dockerd",
  "/usr/local/bin/dockerd",
  "/lib/systemd/system/docker.socket",
  "/usr/lib/systemd/system/docker.socket",
  "/etc/systemd/system/docker.socket",
  "/var/run/docker.sock",
]

interface KnownBridge {
  readonly bridge: Bridge
  readonly addresses: ReadonlySet<string>
  /** Whether it answers ARP for other hosts' containers. */
  readonly answers: boolean
}

/**
 * The bridges that endpoints hang on, made on demand and remembered. Changes that others make to a
 * bridge are reported by the kernel's notifications; `forget` makes the next use look again.
 */
export class Bridges {
  readonly #kernel: Kernel
  readonly #policy: AgentSettings["createBridge"]
  readonly #exists: (path: string) => boolean
  readonly #known = new Map<string, KnownBridge>()

  /** A bridge that was deleted and is made again keeps its MAC: its containers remember it. */
  readonly #macs = new Map<string, string>()

  constructor(
    kernel: Kernel,
    policy: AgentSettings["createBridge"],
    options: { exists?: (path: string) => boolean } = {},
  ) {
    this.#kernel = kernel
    this.#policy = policy
    this.#exists = options.exists ?? existsSync
  }

  /**
   * Makes sure that the bridge is there, is up, and has these addresses beside those it had.
   *
   * @throws LariatError `busy` while a Docker engine has yet to make its docker0,
   *   `bridge-invalid` when the name belongs to something else or may not be made
   */
  ensure(request: BridgeRequest, addresses: readonly string[]): Bridge {
    const known = this.#known.get(request.name)
    const answers = request.proxyArp === true || known?.answers === true
    if (
      known !== undefined &&
      known.answers === answers &&
      addresses.every((address) => known.addresses.has(address))
    ) {
      return known.bridge
    }
    if (this.#kernel.link(request.name) === undefined) this.#mayCreate(request.name)
    const bridge = ensureBridge(this.#kernel, {
      name: request.name,
      mtu: request.mtu,
      promisc: request.promisc,
      mac: this.#macs.get(request.name),
      create: this.#policy !== "never",
      addresses,
    })
    if (answers) withNetns(this.#kernel.netns, () => answerForOthers(request.name))
    this.#macs.set(request.name, bridge.mac)
    this.#known.set(request.name, {
      bridge: { ...bridge, created: false, broughtUp: false, addedAddresses: [] },
      addresses: new Set([...(known?.addresses ?? []), ...addresses]),
      answers,
    })
    return bridge
  }

  /** Deletes a bridge that was made for an attach which then failed, if it still has no port. */
  takeBack({ index, created }: Bridge): void {
    if (!created || this.#kernel.links({ master: index }).length > 0) return
    this.forget(index)
    this.#kernel.apply([deleteLink(index)])
  }

  /**
   * Whether a remembered bridge is there no more; it is forgotten then. For those whose operation
   * failed before the kernel's notification came.
   */
  isStale(name: string): boolean {
    const known = this.#known.get(name)
    if (known === undefined || this.#kernel.link(name)?.index === known.bridge.index) return false
    return this.#known.delete(name)
  }

  /** Drops what is remembered of one bridge, or of all. */
  forget(index?: number): void {
    for (const [name, { bridge }] of this.#known) {
      if (index === undefined || bridge.index === index) this.#known.delete(name)
    }
  }

  /** Whether this link is one of the bridges in use. */
  isKnown(index: number): boolean {
    for (const { bridge } of this.#known.values()) if (bridge.index === index) return true
    return false
  }

  /**
   * If we made docker0 with 10.42.0.1 on it, a dockerd that starts later would take our subnet for
   * its own: where Docker is installed, its bridge is waited for.
   */
  #mayCreate(name: string): void {
    if (name !== DOCKER_BRIDGE || this.#policy !== "auto") return
    const sign = DOCKER_SIGNS.find(this.#exists)
    if (sign === undefined) return
    throw new LariatError(
      `Cannot use the bridge ${name}: Docker is installed (${sign}) and has not made it yet`,
      {
        code: "busy",
        hint: "start Docker, or set createBridge: always in agent.yml if Docker is never used here",
      },
    )
  }
}
