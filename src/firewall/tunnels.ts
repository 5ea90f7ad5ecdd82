/** What the sets of the tunnels' rules hold: how networks are carried, whose blocks are whose. */

import { type Family, type Prefix, parseAddress, parsePrefix } from "../core/address.ts"
import type { SetElement } from "../netlink/nftables/element.ts"
import { interfaceName, port } from "../netlink/nftables/expression.ts"
import { CountedElements, type PlacedElement } from "./counted_elements.ts"
import { elementKey } from "./element_key.ts"
import { intervalElements, prefixAfter } from "./intervals.ts"
import type { Contents } from "./layout.ts"
import { IPV4, IPV6 } from "./packet.ts"
import * as r from "./tunnel_rules.ts"

/** How a network's packets look outside. */
export interface NetworkEncapsulation {
  /** Canonical, those of the whole network. */
  readonly subnets: readonly string[]
  /** UDP port and network identifier. */
  readonly vxlan?: { readonly port: number; readonly vni: number } | undefined
  /** UDP ports of tunnels that check a key. */
  readonly authenticatedPorts?: readonly number[]
  /** IANA protocol numbers of tunnels that check a key. */
  readonly authenticatedProtocols?: readonly number[]
  /** Whether packets go as they are. */
  readonly plain?: boolean
}

/** What comes from another host; addresses and prefixes are canonical. */
export interface PeerSources {
  /** Its addresses outside. */
  readonly hosts: readonly string[]
  /** Whence packets of its blocks come: an address outside, or the name of a link. */
  readonly sources: readonly ({ readonly prefix: string } & (
    | { readonly outer: string }
    | { readonly link: string }
  ))[]
}

interface Network {
  encapsulation: NetworkEncapsulation | undefined
  blocks: readonly string[]
  /** Whether all its peers are known. */
  complete: boolean
}

const LAYOUTS = { 4: IPV4, 6: IPV6 } as const
const PLAIN_INTERVALS: ReadonlySet<string> = new Set(
  r.ALL_TUNNEL_SETS.filter(({ key, interval }) => interval === true && key.length === 1).map(
    ({ name }) => name,
  ),
)
const FAMILIES: readonly Family[] = [4, 6]
/** The owner of peers that an earlier agent knew. */
const KEPT = " kept"

/**
 * The desired contents of {@link r.ALL_TUNNEL_SETS}. What an earlier agent left there is kept until
 * all is known again, so that a restart neither cuts a peer off nor lets anybody else in.
 */
export class Tunnels {
  readonly #networks = new Map<string, Network>()
  readonly #peers = new CountedElements()
  #bridges: readonly string[] = []
  /** Of an earlier agent, of sets that are small. */
  #kept: Contents = new Map()
  #isSettled = false
  /** What was taken last, of sets that are small. */
  #told: Contents = new Map()

  /** Says how a network is carried; undefined takes it away, with its peers. */
  encapsulate(network: string, encapsulation: NetworkEncapsulation | undefined): void {
    if (encapsulation !== undefined) this.#network(network).encapsulation = encapsulation
    else {
      this.#networks.delete(network)
      this.#peers.forget(`${network} `)
    }
  }

  /** Says which blocks of a network are this host's. */
  own(network: string, blocks: readonly string[]): void {
    this.#network(network).blocks = blocks
  }

  /** Says what comes from a peer; undefined: nothing. */
  peer(network: string, hostId: string, peer: PeerSources | undefined): void {
    this.#peers.desired(`${network} ${hostId}`, peer === undefined ? [] : elementsOf(peer))
  }

  /** All peers of a network are known: nobody else's packets are taken from now on. */
  complete(network: string): void {
    this.#network(network).complete = true
  }

  /** Says which bridges have containers. */
  bridges(names: readonly string[]): void {
    this.#bridges = names
  }

  /** All is known that an earlier agent knew. */
  settle(): void {
    this.#isSettled = true
    this.#kept = new Map()
    this.#peers.desired(KEPT, [])
  }

  /** Takes in what the kernel has from an earlier agent. */
  keep(read: (set: string) => readonly SetElement[]): void {
    if (this.#isSettled) return
    const small = this.#small()
    const found = r.ALL_TUNNEL_SETS.map(({ name }) => [name, read(name)] as const)
    this.#kept = new Map(found.filter(([name]) => small.has(name)))
    this.#peers.desired(
      KEPT,
      found
        .filter(([name]) => !small.has(name))
        .flatMap(([name, elements]) => elements.map((one): PlacedElement => [name, one])),
    )
  }

  /** What the sets are to hold; those whose elements did not change are the same lists. */
  contents(): Contents {
    const small = this.#smallWithKept()
    return new Map(
      r.ALL_TUNNEL_SETS.map(({ name }) => [name, small.get(name) ?? this.#peers.elements(name)]),
    )
  }

  /** What changed since the last call. */
  take(): { readonly gone: Contents; readonly come: Contents } {
    const { gone, come } = this.#peers.take()
    const now = this.#smallWithKept()
    const before = this.#told
    this.#told = now
    return { gone: new Map([...gone, ...before]), come: new Map([...come, ...now]) }
  }

  #smallWithKept(): Contents {
    return new Map(
      [...this.#small()].map(([set, elements]) => {
        const kept = this.#kept.get(set) ?? []
        if (kept.length === 0) return [set, elements]
        // Ends of intervals that come from two sides do not fit together.
        return [set, PLAIN_INTERVALS.has(set) ? kept : unique([...kept, ...elements])]
      }),
    )
  }

  /** The sets that hold no more than the configuration and this host's own blocks make. */
  #small(): Map<string, readonly SetElement[]> {
    const networks = [...this.#networks.values()]
    const encapsulations = networks.flatMap(({ encapsulation }) => encapsulation ?? [])
    const complete = networks.flatMap((one) => (one.complete ? (one.encapsulation ?? []) : []))
    const wanted = new Map<string, readonly SetElement[]>([
      [r.BRIDGES.name, keys(this.#bridges, interfaceName)],
      [r.TUNNEL_PORTS.name, keys(vxlans(encapsulations), (vxlan) => port(vxlan.port))],
      [
        r.AUTHENTICATED_PORTS.name,
        keys(
          encapsulations.flatMap(({ authenticatedPorts = [] }) => authenticatedPorts),
          port,
        ),
      ],
      [
        r.AUTHENTICATED_PROTOCOLS.name,
        keys(
          encapsulations.flatMap(({ authenticatedProtocols = [] }) => authenticatedProtocols),
          (protocol) => Uint8Array.of(protocol),
        ),
      ],
      [r.VNIS.name, keys(vxlans(complete), vniKey)],
    ])
    const owning = networks.filter(({ blocks }) => blocks.length > 0)
    const guarded = owning
      .flatMap(({ encapsulation }) => encapsulation?.subnets ?? [])
      .map(parsePrefix)
    const own = owning.flatMap(({ blocks }) => blocks).map(parsePrefix)
    const plain = complete.filter((encapsulation) => encapsulation.plain === true)
    const routed = plain.flatMap(({ subnets }) => subnets).map(parsePrefix)
    for (const family of FAMILIES) {
      const sets = r.TUNNEL_SETS[family]
      const ours = (prefix: Prefix) => prefix.family === family
      wanted.set(sets.guarded.name, intervalElements(guarded.filter(ours)))
      wanted.set(sets.own.name, intervalElements(own.filter(ours)))
      wanted.set(sets.plain.name, intervalElements(routed.filter(ours)))
    }
    return wanted
  }

  #network(name: string): Network {
    const known = this.#networks.get(name) ?? {
      encapsulation: undefined,
      blocks: [],
      complete: false,
    }
    this.#networks.set(name, known)
    return known
  }
}

function unique(elements: readonly SetElement[]): SetElement[] {
  return [...new Map(elements.map((element) => [elementKey(element), element])).values()]
}

function keys<T>(values: readonly T[], keyOf: (value: T) => Uint8Array): SetElement[] {
  return unique(values.map((value) => ({ key: keyOf(value) })))
}

function vxlans(encapsulations: readonly NetworkEncapsulation[]) {
  return encapsulations.flatMap(({ vxlan }) => vxlan ?? [])
}

/** A concatenation has each field padded to 4 bytes. */
function vniKey({ port: number, vni }: { readonly port: number; readonly vni: number }) {
  return Uint8Array.of(...port(number), 0, 0, vni >> 16, (vni >> 8) & 0xff, vni & 0xff, 0)
}

function elementsOf({ hosts, sources }: PeerSources): PlacedElement[] {
  const known = hosts.map((text): PlacedElement => {
    const { family, bytes } = parseAddress(text)
    return [r.TUNNEL_SETS[family].hosts.name, { key: bytes }]
  })
  const ways = sources.map((source): PlacedElement => {
    const inner = parsePrefix(source.prefix)
    if ("link" in source) {
      const { name } = r.TUNNEL_SETS[inner.family].routed
      return [name, prefixAfter(interfaceName(source.link), inner)]
    }
    const outer = parseAddress(source.outer)
    const { name } = r.peersSet(LAYOUTS[outer.family], LAYOUTS[inner.family])
    return [name, prefixAfter(outer.bytes, inner)]
  })
  return [...known, ...ways]
}
