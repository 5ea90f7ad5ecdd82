import type { Network, Subnet } from "../../config/network.ts"
import type { PeerGate } from "../../drivers/peer_gate.ts"
import { LariatError, messageOf } from "../../errors.ts"
import type { Dropped } from "../../firewall/dropped.ts"
import { Firewall } from "../../firewall/firewall.ts"
import type { ForwardPass } from "../../firewall/forward_pass.ts"
import { LIMIT_NAMES, type ServiceLimits } from "../../firewall/limits.ts"
import type { FirewallState, HostNat } from "../../firewall/state.ts"
import { GUARD_NAMES } from "../../firewall/tunnel_rules.ts"
import { type NetworkEncapsulation, Tunnels } from "../../firewall/tunnels.ts"
import type { Health } from "../health.ts"
import type { DropReport, GuardReport, LimitReport } from "../report.ts"
import type { EndpointRow } from "../state/rows.ts"
import { bridgeConfs } from "./bridge_confs.ts"
import { prefixesOf, specOf } from "./endpoint_spec.ts"
import { GuardedPorts } from "./guarded_ports.ts"
import type { LegacyKeeper } from "./legacy_keeper.ts"
import type { ManagedNetwork } from "./networks.ts"

const PROBLEM = "firewall"
const LIMITS_PROBLEM = "firewall/limits"
const GUARD_PROBLEM = "firewall/anti-spoofing"
const PASS_PROBLEM = "firewall/forward"

/** The kernel's side of the firewall; {@link Firewall} in the agent. */
export type FirewallTable = Pick<
  Firewall,
  | "ensure"
  | "follow"
  | "addMasquerade"
  | "removeMasquerade"
  | "guard"
  | "canGuard"
  | "forged"
  | "differences"
  | "lacking"
  | "dropped"
  | "close"
>

/** What lets traffic pass other firewalls; {@link ForwardPass} in the agent. */
export type ForeignPass = Pick<ForwardPass, "ensure" | "close">

/** How the kernel's side is opened. */
export interface FirewallKeeperOptions {
  readonly open?: () => FirewallTable
  readonly openPass?: (() => ForeignPass) | undefined
  readonly legacy?: Pick<LegacyKeeper, "sync"> | undefined
}

/**
 * Keeps the agent's nft table as networks and endpoints want it. On a kernel without nf_tables the
 * agent still attaches what needs no masquerading, and `status` says what is missing.
 */
export class FirewallKeeper {
  readonly #health: Health
  readonly #open: () => FirewallTable
  readonly #openPass: FirewallKeeperOptions["openPass"]
  readonly #legacy: FirewallKeeperOptions["legacy"]
  #pass: ForeignPass | undefined
  #limits: ServiceLimits | undefined
  #table: FirewallTable | undefined
  #configured: readonly HostNat[] = []
  #overlay: readonly string[] = []
  #clamp: readonly string[] = []
  /** hostNat of networks that only a netconf names, by subnet and bridge. */
  readonly #learned = new Map<string, HostNat>()
  readonly #masquerade = new Set<string>()
  readonly #guarded = new GuardedPorts()
  readonly #tunnels = new Tunnels()
  #bridges = ""
  /** Whether the table was set up once: from then on a difference is somebody else's doing. */
  #isSet = false

  /**
   * @param options.open opens the kernel's side; default the real one
   * @param options.openPass opens what lets traffic pass other firewalls; default nothing does
   * @param options.legacy lets it pass those of legacy tables; default nothing does
   */
  constructor(
    health: Health,
    { open = () => Firewall.open(), openPass, legacy }: FirewallKeeperOptions = {},
  ) {
    this.#health = health
    this.#open = open
    this.#openPass = openPass
    this.#legacy = legacy
  }

  /**
   * Takes in what the YAML says; the table follows with the next {@link sync}.
   *
   * @param limits what one source may ask of the host's services; default anything
   */
  configure(networks: readonly Network[], limits?: ServiceLimits): void {
    this.#configured = networks.flatMap(hostNatOf)
    this.#limits = limits
  }

  /** Takes in what an attached endpoint needs; the table follows with the next {@link sync}. */
  restore(row: EndpointRow): void {
    const { hostNat, masquerade } = specOf(row)
    this.#guarded.add(row)
    for (const one of hostNat) this.#learned.set(key(one), one)
    if (masquerade) for (const address of prefixesOf(row)) this.#masquerade.add(address)
  }

  /** Takes in what the attached endpoints need, and forgets what none does any more. */
  relearn(rows: readonly EndpointRow[]): void {
    this.#learned.clear()
    this.#masquerade.clear()
    this.#guarded.clear()
    for (const row of rows) this.restore(row)
  }

  /**
   * Makes the table what it should be, in one transaction; nothing happens when it is. A flush by
   * somebody else is mended here.
   */
  sync(networks: readonly ManagedNetwork[]): void {
    const cidrsOf = (some: readonly ManagedNetwork[]) =>
      some.flatMap(({ subnets }) => subnets.map(({ cidr }) => cidr))
    this.#overlay = cidrsOf(networks)
    this.#clamp = cidrsOf(networks.filter(({ leased }) => leased))
    this.#try((table) => {
      const drift = this.#isSet ? table.differences() : []
      table.ensure(this.#state())
      this.#isSet = true
      if (drift.length > 0) {
        this.#health.repaired(`the firewall's nft table was put back: ${drift.join("; ")}`)
      }
    })
    this.#passOthers()
  }

  /** Says which bridges have containers. */
  bridges(names: readonly string[]): void {
    const text = names.join()
    if (text === this.#bridges) return
    this.#bridges = text
    this.#tunnels.bridges(names)
    this.#follow()
  }

  /** Says how a network is carried between hosts; undefined takes it away, with its peers. */
  encapsulate(network: string, encapsulation: NetworkEncapsulation | undefined): void {
    this.#tunnels.encapsulate(network, encapsulation)
    this.#follow()
  }

  /** What a network's driver tells of its peers before it speaks to them. */
  gate(network: string): PeerGate {
    return {
      own: (blocks) => this.#tunnels.own(network, blocks),
      desired: (hostId, peer) => this.#tunnels.peer(network, hostId, peer),
      complete: () => this.#tunnels.complete(network),
      remove: () => this.encapsulate(network, undefined),
      settle: () => this.#follow(),
    }
  }

  /** Every host is known that an earlier agent may have known. */
  settled(): void {
    this.#tunnels.settle()
    this.#follow()
  }

  /** Takes a network in that a netconf brings along: its subnets, and what it needs of hostNat. */
  addNetwork(subnets: readonly Pick<Subnet, "cidr">[], entries: readonly HostNat[]): void {
    const known = new Set([...this.#configured, ...this.#learned.values()].map(key))
    const fresh = entries.filter((entry) => !known.has(key(entry)))
    const beyond = subnets.map(({ cidr }) => cidr).filter((cidr) => !this.#overlay.includes(cidr))
    if (fresh.length + beyond.length === 0) return
    for (const entry of fresh) this.#learned.set(key(entry), entry)
    this.#overlay = [...this.#overlay, ...beyond]
    this.#try((table) => table.ensure(this.#state()))
    if (beyond.length > 0) this.#passOthers()
  }

  /**
   * Masquerades addresses (with prefix length) towards everything outside their subnet.
   *
   * @throws LariatError `kernel-unsupported` without nf_tables, `kernel`
   */
  addMasquerade(addresses: readonly string[]): void {
    if (this.#table === undefined) {
      throw new LariatError("Cannot masquerade (ipMasq): this kernel has no usable nf_tables", {
        code: "kernel-unsupported",
        hint: "load the nf_tables and nft_masq modules, or set ipMasq to false",
      })
    }
    this.#table.addMasquerade(...addresses)
    for (const address of addresses) this.#masquerade.add(address)
  }

  /** Takes {@link addMasquerade} back; addresses that have none are left alone. */
  removeMasquerade(addresses: readonly string[]): void {
    for (const address of addresses) this.#masquerade.delete(address)
    this.#table?.removeMasquerade(...addresses)
  }

  /**
   * Has an attached port send under its own addresses alone, if it is to; nothing happens on a
   * kernel that cannot, and `status` says so.
   *
   * @throws NetlinkError
   */
  guard(row: EndpointRow): void {
    const ports = this.#guarded.add(row)
    if (ports.length > 0) this.#table?.guard(ports)
  }

  /**
   * Takes {@link guard} back.
   *
   * @param index number of the host's end; it may be gone
   * @throws NetlinkError
   */
  unguard(index: number): void {
    const left = this.#guarded.delete(index)
    if (left !== undefined) this.#table?.guard(left, { gone: index })
  }

  /** What is missing for an endpoint with these masqueraded addresses, one sentence each. */
  differences(masqueraded: readonly string[]): string[] {
    const missing = masqueraded.filter((address) => !this.#masquerade.has(address))
    return [
      ...missing.map((address) => `${address} is not masqueraded`),
      ...(this.#table?.differences() ?? []),
    ]
  }

  /** What each limit of the host's services is, and what it dropped; 0 where it is not held. */
  limits(): LimitReport[] {
    const values = this.#limits?.values
    if (values === undefined || this.#table === undefined) return []
    const dropped = this.#dropped()
    const lacking = this.#table.lacking()
    return LIMIT_NAMES.map((name) => ({
      name,
      limit: lacking.includes(name) ? 0 : values[name],
      dropped: dropped?.[name] ?? 0,
    }))
  }

  /** How many ports send under their own addresses alone, and the frames that had others. */
  guarded(): GuardReport {
    const isOn = this.#table?.canGuard === true
    return { ports: isOn ? this.#guarded.size : 0, dropped: this.#forged() }
  }

  #forged(): GuardReport["dropped"] {
    try {
      return this.#table?.forged() ?? {}
    } catch {
      // As with limits.
      return {}
    }
  }

  /** What was dropped that is nobody's to send. */
  guards(): DropReport[] {
    const dropped = this.#dropped()
    if (dropped === undefined) return []
    return GUARD_NAMES.map((name) => ({ name, dropped: dropped[name] }))
  }

  /** Before the table is set up it comes with it. */
  #follow(): void {
    if (this.#isSet) this.#try((table) => table.follow())
  }

  #dropped(): Dropped | undefined {
    try {
      return this.#table?.dropped()
    } catch {
      // The regular check says what is wrong with the table.
      return undefined
    }
  }

  close(): void {
    this.#table?.close()
    this.#pass?.close()
  }

  #state(): FirewallState {
    return {
      hostNat: [...this.#configured, ...this.#learned.values()],
      overlay: this.#overlay,
      masquerade: [...this.#masquerade],
      // What goes to other hosts may meet a narrower path than the container knows.
      clamp: this.#clamp,
      guarded: this.#guarded.all(),
      tunnels: this.#tunnels,
      limits: this.#limits,
    }
  }

  /** Runs a change of the table; a failure becomes a problem of `status`, not of the caller. */
  #try(change: (table: FirewallTable) => void): void {
    try {
      this.#table ??= this.#open()
      change(this.#table)
      this.#health.clear(PROBLEM)
      this.#tellLimits(this.#table.lacking())
      this.#tellGuard(this.#table.canGuard)
    } catch (error) {
      this.#health.raise(PROBLEM, {
        severity: "error",
        what: `containers cannot reach the world under the host's address, and nothing keeps others out of tunnels: ${messageOf(error)}`,
        hint: error instanceof LariatError ? error.hint : undefined,
      })
    }
  }

  /** Another firewall may have come, or been loaded anew, at any time. */
  #passOthers(): void {
    void this.#legacy?.sync(this.#overlay)
    // Without nf_tables there is a problem of status already.
    if (this.#table === undefined) return
    try {
      this.#pass ??= this.#openPass?.()
      for (const what of this.#pass?.ensure(this.#overlay) ?? []) this.#health.repaired(what)
      this.#health.clear(PASS_PROBLEM)
    } catch (error) {
      this.#health.raise(PASS_PROBLEM, {
        severity: "warning",
        what: `containers may not pass another firewall's FORWARD: ${messageOf(error)}`,
        hint: "let their subnets pass there; it is tried again every few seconds",
      })
    }
  }

  #tellGuard(canGuard: boolean): void {
    if (canGuard) {
      this.#health.clear(GUARD_PROBLEM)
      return
    }
    this.#health.raise(GUARD_PROBLEM, {
      severity: "warning",
      what: "containers can send under each other's addresses: this kernel has no nf_tables for bridges",
      hint: "load the nft_meta_bridge module (NF_TABLES_BRIDGE) and restart the agent",
    })
  }

  #tellLimits(lacking: readonly string[]): void {
    if (lacking.length === 0) {
      this.#health.clear(LIMITS_PROBLEM)
      return
    }
    this.#health.raise(LIMITS_PROBLEM, {
      severity: "warning",
      what: `this kernel cannot hold the limits of metadata and DNS: ${lacking.join(", ")}`,
      hint: "load the nft_limit and nft_connlimit modules and restart the agent, or set them to 0",
    })
  }
}

/** hostNat of a configured network: its first bridge configuration that says so. */
function hostNatOf(network: Network): HostNat[] {
  const found = bridgeConfs(network).find(({ conf }) => conf.hostNat)
  if (found === undefined) return []
  return network.subnets.map(({ cidr }) => ({ subnet: cidr, bridge: found.conf.bridge }))
}

function key({ subnet, bridge }: HostNat): string {
  return `${subnet} ${bridge}`
}
