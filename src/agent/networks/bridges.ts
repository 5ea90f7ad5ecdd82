import { existsSync } from "node:fs"
import type { AgentSettings } from "../../config/network.ts"
import { type Bridge, ensureBridge } from "../../endpoint/bridge.ts"
import { BRIDGE_GROUP, LIVE_GROUP } from "../../endpoint/host_link.ts"
import type { Kernel } from "../../endpoint/kernel.ts"
import { answerForOthers } from "../../endpoint/proxy_arp.ts"
import { leadsOutside, shieldLink } from "../../endpoint/shield.ts"
import { LariatError } from "../../errors.ts"
import { deleteAddress } from "../../netlink/route/addr.ts"
import { deleteLink } from "../../netlink/route/link.ts"
import { withNetns } from "../../sys/netns/netns.ts"
import type { BridgeRequest } from "./attach_request.ts"
import type { BridgeClaims } from "./bridge_claims.ts"

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
  /** Whether it is this host's own way to a router too. */
  leadsOutside: boolean
}

/**
 * The bridges that endpoints hang on, made on demand and remembered. Changes that others make to a
 * bridge are reported by the kernel's notifications; `forget` makes the next use look again.
 */
export class Bridges {
  readonly #kernel: Kernel
  readonly #policy: AgentSettings["createBridge"]
  readonly #claims: BridgeClaims
  readonly #exists: (path: string) => boolean
  readonly #known = new Map<string, KnownBridge>()

  /** A bridge that was deleted and is made again keeps its MAC: its containers remember it. */
  readonly #macs = new Map<string, string>()

  constructor(
    kernel: Kernel,
    policy: AgentSettings["createBridge"],
    claims: BridgeClaims,
    options: { exists?: (path: string) => boolean } = {},
  ) {
    this.#kernel = kernel
    this.#policy = policy
    this.#claims = claims
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
    this.#claims.add(request.name, { made: bridge.created, addresses: bridge.addedAddresses })
    const isOutside = leadsOutside(this.#kernel, bridge.index)
    this.#shield(bridge, isOutside)
    if (answers) withNetns(this.#kernel.netns, () => answerForOthers(request.name))
    this.#macs.set(request.name, bridge.mac)
    this.#known.set(request.name, {
      bridge: { ...bridge, created: false, broughtUp: false, addedAddresses: [] },
      addresses: new Set([...(known?.addresses ?? []), ...addresses]),
      answers,
      leadsOutside: isOutside,
    })
    return bridge
  }

  /**
   * Turns off, on the bridges in use, what a container could move the host by.
   *
   * @returns what somebody had turned on, one sentence each
   * @throws SystemError; NetlinkError
   */
  shield(): string[] {
    return [...this.#known.values()].flatMap((known) => {
      const { bridge } = known
      known.leadsOutside = leadsOutside(this.#kernel, bridge.index)
      return this.#shield(bridge, known.leadsOutside).map((setting) => {
        return `${bridge.name}: ${setting} turned off: a container could move the host by it`
      })
    })
  }

  /** One of others that leads to a router of the host's keeps what the host may live by. */
  #shield({ name, index }: Bridge, isOutside: boolean): string[] {
    if (isOutside && !this.#claims.isMade(name)) return []
    return shieldLink(this.#kernel, { name, index })
  }

  /** The bridges in use by which containers come, and nobody else. */
  ofContainers(): string[] {
    const own = [...this.#known].filter(([, known]) => !known.leadsOutside)
    return own.map(([name]) => name).toSorted()
  }

  /** Deletes a bridge that was made for an attach which then failed, if it still has no port. */
  takeBack({ index, name, created }: Bridge): void {
    if (!created || this.#kernel.links({ master: index }).length > 0) return
    this.forget(index)
    this.#kernel.apply([deleteLink(index)])
    this.#claims.put(name, { made: false, addresses: [] })
  }

  /** A bridge that is made in place of another one has its MAC: their containers remember it. */
  inherit(from: string, to: string): void {
    const mac = this.#kernel.link(from)?.mac ?? this.#macs.get(from)
    if (mac !== undefined && this.#kernel.link(to) === undefined) this.#macs.set(to, mac)
  }

  /**
   * Takes back what was put on bridges and nobody names any more: addresses, and bridges that were
   * made here and have no port. A bridge with a port of ours is left as it is.
   *
   * @param isWanted whether an address, with prefix length, or the bridge itself, is still named
   * @returns what was done, one sentence each
   * @throws NetlinkError
   */
  retire(isWanted: (bridge: string, address?: string) => boolean): string[] {
    const done: string[] = []
    // Those that a lost state directory knew of.
    for (const { name } of this.#kernel.links({ group: BRIDGE_GROUP })) {
      if (!this.#claims.has(name)) this.#claims.add(name, { made: true, addresses: [] })
    }
    for (const [name, { made, addresses }] of this.#claims.all()) {
      const link = this.#kernel.link(name)
      const ports = link === undefined ? [] : this.#kernel.links({ master: link.index })
      const kept = addresses.filter((address) => isWanted(name, address))
      const isIdle = kept.length === 0 && !isWanted(name)
      if (ports.some(({ group }) => group === LIVE_GROUP)) continue
      if (kept.length === addresses.length && !isIdle) continue
      if (link !== undefined && made && isIdle && ports.length === 0) {
        this.forget(link.index)
        this.#kernel.apply([deleteLink(link.index)])
        done.push(`the bridge ${name} was deleted: no network names it any more`)
      } else if (link !== undefined) {
        this.forget(link.index)
        const stale = addresses.filter((address) => !kept.includes(address))
        this.#kernel.tryAll(stale.map((address) => deleteAddress(link.index, address)))
        done.push(`${stale.join(", ")} of ${name} taken back: no network names it any more`)
      }
      this.#claims.put(name, { made: made && !isIdle, addresses: kept })
    }
    return done
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

  /** Whether a bridge in use has that address, given without prefix length. */
  has(name: string, address: string): boolean {
    const addresses = this.#known.get(name)?.bridge.addresses ?? []
    return addresses.some((one) => one.split("/")[0] === address)
  }

  /** The link of a bridge, also one that nothing hangs on yet. */
  indexOf(name: string): number | undefined {
    return this.#known.get(name)?.bridge.index ?? this.#kernel.link(name)?.index
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
