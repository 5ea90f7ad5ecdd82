import { cniNames } from "../../config/cni_config.ts"
import type { Netconf } from "../../config/netconf/netconf.ts"
import { contradicting, subnetsOfNetconf } from "../../config/netconf/subnets.ts"
import type { DriverKind, ForeignNetwork, Network, Subnet } from "../../config/network.ts"
import {
  familyOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { Allocator } from "../../ipam/allocator.ts"
import type { PoolSpec } from "../../ipam/pool.ts"
import type { StateDatabase } from "../state/state_database.ts"

/** A network that addresses are given from. */
export interface ManagedNetwork {
  /** Key of its addresses in the state database: the YAML's network name, else the netconf's name. */
  readonly name: string
  /** The names by which a CNI configuration reaches it. */
  readonly cniNames: ReadonlySet<string>
  readonly driver: DriverKind
  /** Whether its addresses come in blocks that this host leases: other hosts have others. */
  readonly leased: boolean
  readonly subnets: readonly Subnet[]
  readonly allocator: Allocator
  readonly macPrefix: string | undefined
  /** What the YAML says of it; undefined for a network that only a netconf names. */
  readonly configured: Network | undefined
}

/** What a network that only a netconf names is remembered by, across restarts. */
interface NetconfNetworkSpec {
  readonly subnets: readonly Subnet[]
}

/** What {@link Networks.configure} found. */
export interface Configured {
  /** About networks that could not be taken as they stand. */
  readonly remarks: readonly string[]
  /** Networks that have gone, and those that have their addresses now. */
  readonly renamed: ReadonlyMap<string, string>
}

/** What {@link Networks} works with. */
export interface NetworksOptions {
  readonly stateDatabase: StateDatabase
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** How long a released address rests, milliseconds. */
  readonly restMs: number
  /**
   * The parts of a configured network's subnets that this host may give addresses from; undefined:
   * all of it. Default: all of every network.
   */
  readonly leasedPools?: ((network: Network) => readonly PoolSpec[] | undefined) | undefined
  /** A network that has gone is called otherwise from now on; comes before its pools are asked for. */
  readonly onRenamed?: ((from: string, to: string) => void) | undefined
}

/**
 * All networks of this host: those of the YAML, and those that a runtime's own CNI configuration
 * brings along. No two may overlap.
 */
export class Networks {
  readonly #options: NetworksOptions
  readonly #byName = new Map<string, ManagedNetwork>()
  readonly #prefixes = new WeakMap<Subnet, Prefix>()
  /** Of the configurations read lately: the same one comes with each container. */
  readonly #subnets = new WeakMap<Netconf, readonly Subnet[]>()
  #foreign: readonly ForeignNetwork[] = []

  constructor(options: NetworksOptions) {
    this.#options = options
  }

  /** Every network, those of the YAML first. */
  all(): ManagedNetwork[] {
    return [...this.#byName.values()]
  }

  /** The networks of the YAML that hosts of another system have. */
  get foreign(): readonly ForeignNetwork[] {
    return this.#foreign
  }

  /** A network by its key. */
  get(name: string): ManagedNetwork | undefined {
    return this.#byName.get(name)
  }

  /**
   * Takes the networks of the YAML in, then those remembered from netconfs. A network whose subnets
   * are as before keeps its allocator. One that has gone from the YAML is dropped, also with
   * addresses in use: another one that holds these has them from now on. One of a netconf that
   * cannot be taken stays written down as long as it has any.
   *
   * @param foreign those that hosts of another system have. Default none
   */
  configure(networks: readonly Network[], foreign: readonly ForeignNetwork[] = []): Configured {
    this.#foreign = foreign
    const remarks: string[] = []
    const renamed = this.#handOver(networks)
    const before = new Map(this.#byName)
    for (const [from, to] of renamed) {
      const known = before.get(from)
      if (known !== undefined && !before.has(to)) before.set(to, known)
    }
    this.#byName.clear()
    for (const network of networks) {
      const leased = this.#options.leasedPools?.(network)
      this.#byName.set(network.name, {
        name: network.name,
        cniNames: cniNames(network),
        driver: network.driver,
        leased: leased !== undefined,
        subnets: network.subnets,
        allocator: this.#allocatorFor(network, before.get(network.name), leased),
        macPrefix: network.macPrefix,
        configured: network,
      })
    }
    for (const { name, spec } of this.#options.stateDatabase.networks()) {
      if (this.#byName.has(name)) continue
      try {
        const { subnets } = spec as unknown as NetconfNetworkSpec
        this.#refuseOverlap(name, subnets)
        this.#byName.set(name, this.#fromSubnets(name, subnets, before.get(name)))
      } catch (error) {
        if (this.#options.stateDatabase.leases(name).length === 0) {
          this.#options.stateDatabase.deleteNetwork(name)
          continue
        }
        remarks.push(`network ${name} of an earlier CNI configuration is left out: ${error}`)
      }
    }
    return { remarks, renamed }
  }

  /**
   * Gives addresses of networks that have gone to those that hold them now: no address is given
   * twice, whatever its network is called.
   */
  #handOver(networks: readonly Network[]): Map<string, string> {
    const { stateDatabase, onRenamed } = this.#options
    const renamed = new Map<string, string>()
    const there = new Set(networks.map(({ name }) => name))
    for (const pool of stateDatabase.pools()) {
      if (there.has(pool)) continue
      const addresses = [
        ...stateDatabase.leases(pool),
        ...stateDatabase.quarantined(pool).map(({ address }) => address),
      ]
      const heir = networks.find(({ subnets }) =>
        addresses.some((address) =>
          subnets.some((subnet) => prefixContains(this.#prefixOf(subnet), parseAddress(address))),
        ),
      )
      if (heir === undefined) continue
      stateDatabase.movePool(pool, heir.name)
      onRenamed?.(pool, heir.name)
      renamed.set(pool, heir.name)
    }
    return renamed
  }

  /**
   * The network that a CNI configuration means: by its name; else, when it brings subnets along, a
   * new network of that name; else the default network of the YAML.
   *
   * @throws LariatError `network-foreign`, `network-overlap`, `config-invalid` or `network-unknown`
   */
  forNetconf(conf: Netconf): ManagedNetwork {
    this.refuseForeign(conf.name)
    const wanted = this.#subnetsOf(conf)
    const named = this.#named(conf.name)
    if (named?.configured !== undefined) {
      const [other] = contradicting(wanted, named.subnets)
      if (other === undefined) return named
      throw new LariatError(
        `Cannot use the network ${conf.name}: its configuration says ${other.cidr}, the agent's says ${named.subnets.map(({ cidr }) => cidr).join(", ")}`,
        { code: "config-invalid", hint: "make bridgeSubnet and subnets say the same" },
      )
    }
    if (wanted.length === 0) {
      const fallback = named ?? this.all().find((network) => network.configured !== undefined)
      if (fallback !== undefined) return fallback
      throw new LariatError(
        `Cannot find addresses for the network ${conf.name}: neither its configuration nor the agent's names a subnet`,
        {
          code: "network-unknown",
          hint: "add bridgeSubnet to the CNI configuration, or give the agent the network's YAML",
        },
      )
    }
    if (named !== undefined) {
      if (sameSubnets(named.subnets, wanted)) return named
      if (named.allocator.stats().some((stat) => stat.used > 0)) {
        throw new LariatError(
          `Cannot change the subnets of the network ${conf.name} to ${wanted.map((subnet) => subnet.cidr).join(", ")}: addresses of ${named.subnets.map((subnet) => subnet.cidr).join(", ")} are in use`,
          { code: "config-invalid", hint: "detach its containers first, or choose a new name" },
        )
      }
    }
    refuseOwnOverlap(conf.name, wanted)
    this.#refuseOverlap(conf.name, wanted)
    const network = this.#fromSubnets(conf.name, wanted, named)
    this.#options.stateDatabase.putNetwork(conf.name, { subnets: wanted })
    this.#byName.set(conf.name, network)
    return network
  }

  /**
   * Refuses a network that is not for this host, by a name that a CNI configuration has.
   *
   * @throws LariatError `network-foreign`
   */
  refuseForeign(name: string): void {
    const found = this.#foreign.find(({ cniNames }) => cniNames.has(name))
    if (found === undefined) return
    throw new LariatError(
      `Cannot attach to the network ${name}: it ${found.why}, and this agent runs on Linux`,
      { code: "network-foreign", hint: "choose a network of this host: lariat status lists them" },
    )
  }

  /** The network that holds an address. */
  containing(address: {
    readonly family: 4 | 6
    readonly bytes: Uint8Array
  }): ManagedNetwork | undefined {
    return this.all().find((network) =>
      network.subnets.some((subnet) => prefixContains(this.#prefixOf(subnet), address)),
    )
  }

  /** Read once: DNS asks for the address of each reverse question. */
  #prefixOf(subnet: Subnet): Prefix {
    const known = this.#prefixes.get(subnet)
    if (known !== undefined) return known
    const prefix = parsePrefix(subnet.cidr)
    this.#prefixes.set(subnet, prefix)
    return prefix
  }

  #subnetsOf(conf: Netconf): readonly Subnet[] {
    const known = this.#subnets.get(conf)
    if (known !== undefined) return known
    const subnets = subnetsOf(conf)
    this.#subnets.set(conf, subnets)
    return subnets
  }

  #named(name: string): ManagedNetwork | undefined {
    return this.#byName.get(name) ?? this.all().find((network) => network.cniNames.has(name))
  }

  #fromSubnets(
    name: string,
    subnets: readonly Subnet[],
    before: ManagedNetwork | undefined,
  ): ManagedNetwork {
    return {
      name,
      cniNames: new Set([name]),
      driver: "none",
      leased: false,
      subnets,
      allocator: this.#allocatorFor({ name, subnets }, before),
      macPrefix: undefined,
      configured: undefined,
    }
  }

  #allocatorFor(
    { name, subnets }: { readonly name: string; readonly subnets: readonly Subnet[] },
    before: ManagedNetwork | undefined,
    leased?: readonly PoolSpec[],
  ): Allocator {
    if (before !== undefined && sameSubnets(before.subnets, subnets)) {
      before.allocator.rename(name)
      return before.allocator
    }
    const { stateDatabase, clock, restMs } = this.#options
    const ownerOf = (address: string) => {
      const owner = stateDatabase.findByAddress(address, allocator.network)
      return owner === undefined ? undefined : `container ${owner.containerId} (${owner.ifname})`
    }
    const pools = leased ?? subnets
    const allocator: Allocator = new Allocator({
      network: name,
      subnets: pools,
      families: subnets.map(({ cidr }) => familyOf(cidr)),
      restMs,
      clock,
      ownerOf,
    })
    allocator.restore(
      stateDatabase.leases(name),
      stateDatabase.quarantined(name),
      stateDatabase.cursors(name),
    )
    return allocator
  }

  /**
   * Forgets a network that only a netconf named and that nobody uses: a slip of the pen, or one that
   * was renamed, must not hold its subnet for ever.
   */
  #gaveWay({ name, configured, allocator }: ManagedNetwork): boolean {
    if (!this.#byName.has(name)) return true
    if (configured !== undefined || allocator.stats().some((stat) => stat.used > 0)) return false
    this.#byName.delete(name)
    this.#options.stateDatabase.deleteNetwork(name)
    return true
  }

  #refuseOverlap(name: string, subnets: readonly Subnet[]): void {
    for (const other of this.#byName.values()) {
      if (other.name === name) continue
      for (const theirs of other.subnets) {
        for (const ours of subnets) {
          if (!prefixesOverlap(parsePrefix(theirs.cidr), parsePrefix(ours.cidr))) continue
          if (this.#gaveWay(other)) continue
          throw new LariatError(
            `Cannot use ${ours.cidr} for the network ${name}: it overlaps ${theirs.cidr} of the network ${other.name}`,
            { code: "network-overlap", hint: "choose a subnet that no other network has" },
          )
        }
      }
    }
  }
}

function refuseOwnOverlap(name: string, subnets: readonly Subnet[]): void {
  for (const [index, { cidr }] of subnets.entries()) {
    const other = subnets
      .slice(0, index)
      .find((before) => prefixesOverlap(parsePrefix(before.cidr), parsePrefix(cidr)))
    if (other === undefined) continue
    throw new LariatError(
      `Cannot use ${cidr} for the network ${name}: it overlaps ${other.cidr} of the same network`,
      { code: "network-overlap", hint: "leave out one of the two" },
    )
  }
}

/** @throws LariatError `config-invalid` where one is no usable pool */
function subnetsOf(conf: Netconf): Subnet[] {
  return subnetsOfNetconf(conf).map(({ cidr, subnet, problems }) => {
    if (subnet !== undefined) return subnet
    const first = problems.find(({ severity }) => severity === "error")
    throw new LariatError(
      `Cannot use ${cidr} for the network ${conf.name}: ${first?.message ?? "it is no usable subnet"}`,
      { code: "config-invalid", hint: first?.hint },
    )
  })
}

function sameSubnets(a: readonly Subnet[], b: readonly Subnet[]): boolean {
  return (
    a.length === b.length &&
    a.every((subnet, index) => {
      const other = b[index]
      return (
        other !== undefined &&
        subnet.cidr === other.cidr &&
        subnet.gateway === other.gateway &&
        subnet.start === other.start &&
        subnet.end === other.end
      )
    })
  )
}
