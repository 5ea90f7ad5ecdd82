/** Who is there and what is whose, as far as it was verified: states and what follows from them. */

import type { EndpointRecord } from "../records/endpoint_record.ts"
import type { DirectoryListener } from "./events.ts"
import type { KnownHost } from "./known_host.ts"

/** An underlay address that two hosts say to have. */
export interface UnderlayConflict {
  readonly address: string
  /** The other one; undefined for this host itself. */
  readonly owner: string | undefined
}

/** The verified state of the other hosts. Nothing is held twice: not a block, not an address. */
export class DirectoryModel {
  readonly hosts = new Map<string, KnownHost>()
  /** Hosts of which something changed that nobody was told of yet. */
  readonly changed = new Set<string>()
  /** Blocks, as places, that somebody gave up and that were not offered to others yet. */
  readonly freedBlocks = new Set<string>()
  /** Members that wait for an underlay address of their own. */
  readonly displaced = new Set<KnownHost>()
  /** By network and block. */
  readonly #holders = new Map<string, string>()
  /** By network and address. */
  readonly #owners = new Map<string, string>()
  /** By network and address, what stands in the store of hosts that lost the block meanwhile. */
  readonly #stranded = new Map<
    string,
    { readonly hostId: string; readonly record: EndpointRecord }
  >()
  /** By underlay address, the member that is reached there. */
  readonly #reached = new Map<string, string>()
  /** By host, the underlay addresses that it was given. */
  readonly #underlay = new Map<string, readonly string[]>()
  readonly #listener: Pick<DirectoryListener, "endpointPut" | "endpointRemoved">
  readonly #ownUnderlay: () => readonly string[]

  constructor(
    listener: Pick<DirectoryListener, "endpointPut" | "endpointRemoved">,
    ownUnderlay: () => readonly string[],
  ) {
    this.#listener = listener
    this.#ownUnderlay = ownUnderlay
  }

  /** The host that holds a block. */
  holderOf(network: string, block: string): KnownHost | undefined {
    return this.hosts.get(this.#holders.get(placeOf(network, block)) ?? "")
  }

  add(host: KnownHost): void {
    this.hosts.set(host.hostId, host)
    this.changed.add(host.hostId)
  }

  /** Forgets a host with all that it has. */
  delete(host: KnownHost): void {
    for (const [network, blocks] of host.blocks) {
      for (const block of [...blocks]) this.unhold(network, block)
    }
    this.retire(host)
    for (const [place, { hostId }] of this.#stranded) {
      if (hostId === host.hostId) this.#stranded.delete(place)
    }
    this.hosts.delete(host.hostId)
    this.changed.delete(host.hostId)
  }

  /**
   * Gives a member the underlay addresses of its record, where nobody else has them. To be called
   * when it becomes a member, and with each record.
   */
  admit(host: KnownHost): UnderlayConflict | undefined {
    this.changed.add(host.hostId)
    this.retire(host)
    if (!host.member || host.record === undefined) return undefined
    const { underlay } = host.record
    const address = underlay.find((one) => this.#reached.has(one) || this.#isOwn(one))
    if (address !== undefined) {
      this.displaced.add(host)
      return { address, owner: this.#reached.get(address) }
    }
    host.reachable = true
    this.#underlay.set(host.hostId, underlay)
    for (const one of underlay) this.#reached.set(one, host.hostId)
    return undefined
  }

  /** Takes a host's underlay addresses back: they are free for others. */
  retire(host: KnownHost): void {
    this.displaced.delete(host)
    host.reachable = false
    for (const address of this.#underlay.get(host.hostId) ?? []) this.#reached.delete(address)
    this.#underlay.delete(host.hostId)
  }

  hold(host: KnownHost, network: string, block: string): void {
    this.unhold(network, block)
    this.#holders.set(placeOf(network, block), host.hostId)
    host.addBlock(network, block)
    this.changed.add(host.hostId)
    for (const [place, { hostId, record }] of this.#stranded) {
      const [itsNetwork, address] = splitPlace(place)
      if (hostId !== host.hostId || itsNetwork !== network) continue
      if (host.holdsAll(network, record)) this.putEndpoint(host, network, address, record)
    }
  }

  /** Takes a block from who holds it, with the containers in it. */
  unhold(network: string, block: string): void {
    const host = this.holderOf(network, block)
    if (host === undefined) return
    const place = placeOf(network, block)
    this.#holders.delete(place)
    this.freedBlocks.add(place)
    host.deleteBlock(network, block)
    for (const [one, record] of [...host.endpoints]) {
      const [itsNetwork, address] = splitPlace(one)
      if (itsNetwork !== network || host.holdsAll(network, record)) continue
      this.removeEndpoint(network, address)
      // Its record still stands, and holds again once the host has its block back.
      this.#stranded.set(one, { hostId: host.hostId, record })
    }
    this.changed.add(host.hostId)
  }

  putEndpoint(host: KnownHost, network: string, address: string, record: EndpointRecord): void {
    const place = placeOf(network, address)
    this.#stranded.delete(place)
    const before = host.endpoints.get(place)
    // Another container with the address: the one before it is gone.
    if (this.#owners.get(place) !== host.hostId || !isSameEndpoint(before, record)) {
      this.removeEndpoint(network, address)
    }
    this.#owners.set(place, host.hostId)
    host.endpoints.set(place, record)
    this.#listener.endpointPut(network, host.hostId, record)
  }

  removeEndpoint(network: string, address: string): void {
    const place = placeOf(network, address)
    this.#stranded.delete(place)
    const host = this.hosts.get(this.#owners.get(place) ?? "")
    const record = host?.endpoints.get(place)
    if (host === undefined || record === undefined) return
    host.endpoints.delete(place)
    this.#owners.delete(place)
    const others = record.addresses.some((other) =>
      isSameEndpoint(host.endpoints.get(placeOf(network, other)), record),
    )
    if (!others) this.#listener.endpointRemoved(network, host.hostId, record)
  }

  #isOwn(address: string): boolean {
    return this.#ownUnderlay().includes(address)
  }
}

/** Whether both are of one attachment of one container; it may have changed. */
function isSameEndpoint(one: EndpointRecord | undefined, other: EndpointRecord): boolean {
  return one?.uuid === other.uuid && one.createIndex === other.createIndex
}

/** A network and a block or address of it, as one text. */
function placeOf(network: string, blockOrAddress: string): string {
  return `${network} ${blockOrAddress}`
}

/** Only the network's name may hold blanks. */
export function splitPlace(place: string): [network: string, blockOrAddress: string] {
  const blank = place.lastIndexOf(" ")
  return [place.slice(0, blank), place.slice(blank + 1)]
}
