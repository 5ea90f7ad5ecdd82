import { type Prefix, parseAddress, parsePrefix, prefixContains } from "../../core/address.ts"
import type { EndpointRecord } from "../records/endpoint_record.ts"
import type { HostRecord } from "../records/host_record.ts"

/** What is known of one other host. */
export class KnownHost {
  readonly hostId: string
  /** Its place among all hosts, pinned. */
  readonly number: number
  /** What it says of itself, verified; undefined until then, and for one that is not let in. */
  record: HostRecord | undefined
  /** Since when its presence stands in the store, monotonic milliseconds. */
  presentSince: number | undefined
  /** Since when it does not, monotonic milliseconds; undefined while it does. */
  absentSince: number | undefined
  /** Whether it is on the mesh: it was present, and is not silent for too long. */
  member = false
  /** Whether its underlay addresses are its own alone: no other member or this host has one. */
  reachable = false
  /** By network. */
  readonly blocks = new Map<string, Set<string>>()
  /** By network and address. */
  readonly endpoints = new Map<string, EndpointRecord>()
  readonly #prefixes = new Map<string, readonly Prefix[]>()

  /** @param now since when it is silent as far as this host can tell */
  constructor(hostId: string, number: number, now: number) {
    this.hostId = hostId
    this.number = number
    this.absentSince = now
  }

  /** Lets time stand still: so many milliseconds did not count. */
  postpone(ms: number): void {
    if (this.presentSince !== undefined) this.presentSince += ms
    if (this.absentSince !== undefined) this.absentSince += ms
  }

  blocksOf(network: string): readonly string[] {
    return [...(this.blocks.get(network) ?? [])].sort()
  }

  addBlock(network: string, block: string): void {
    const blocks = this.blocks.get(network) ?? new Set()
    this.blocks.set(network, blocks.add(block))
    this.#prefixes.set(network, [...blocks].map(parsePrefix))
  }

  deleteBlock(network: string, block: string): void {
    const blocks = this.blocks.get(network)
    if (blocks?.delete(block) !== true) return
    if (blocks.size === 0) this.blocks.delete(network)
    this.#prefixes.set(network, [...blocks].map(parsePrefix))
  }

  /** Whether an address is in a block that it holds. @param address canonical */
  holds(network: string, address: string): boolean {
    const parsed = parseAddress(address)
    return this.#prefixes.get(network)?.some((block) => prefixContains(block, parsed)) ?? false
  }

  /** Whether all addresses of a container are in blocks that it holds. */
  holdsAll(network: string, { addresses }: EndpointRecord): boolean {
    return addresses.every((address) => this.holds(network, address))
  }
}
