import { LariatError } from "../../../errors.ts"
import type { StateDatabase } from "../../state/state_database.ts"

/** What this host announced of its keys, and in which life of the kernel. */
export interface RememberedAnnouncement {
  readonly bootId: string
  readonly body: unknown
}

/** The hosts on the mesh, in one life of the kernel. */
export interface RememberedMembers {
  readonly bootId: string
  /** By id, since when a host is silent, monotonic milliseconds; null where it is not. */
  readonly hosts: Readonly<Record<string, number | null>>
}

/** A block that another host keeps, and in which containers of this one have addresses. */
export interface LostBlock {
  readonly block: string
  readonly holder: string
}

/**
 * What this host remembers of its cluster, so that it goes on while the store is away: in the
 * state database, one value each.
 */
export class ClusterState {
  readonly #stateDatabase: StateDatabase
  readonly #cluster: string

  constructor(stateDatabase: StateDatabase, cluster: string) {
    this.#stateDatabase = stateDatabase
    this.#cluster = cluster
  }

  /** The host's number; undefined for one that was never registered. */
  get number(): number | undefined {
    return this.#get<number>("number")
  }

  set number(number: number) {
    this.#put("number", number)
  }

  /** A network's number in the cluster. */
  networkNumber(network: string): number | undefined {
    return this.#get<number>(`network-number/${network}`)
  }

  putNetworkNumber(network: string, number: number): void {
    this.#put(`network-number/${network}`, number)
  }

  /** Blocks of a network that this host holds, the first one leased first. */
  blocks(network: string): readonly string[] {
    return this.#get<string[]>(`blocks/${network}`) ?? []
  }

  putBlocks(network: string, blocks: readonly string[]): void {
    this.#put(`blocks/${network}`, blocks)
  }

  /** Of the blocks that it holds, those that another host keeps. */
  lostBlocks(network: string): readonly LostBlock[] {
    return this.#get<LostBlock[]>(`lost/${network}`) ?? []
  }

  putLostBlocks(network: string, blocks: readonly LostBlock[]): void {
    this.#put(`lost/${network}`, blocks)
  }

  /** This host's own addresses on a network. */
  overlay(network: string): readonly string[] {
    return this.#get<string[]>(`overlay/${network}`) ?? []
  }

  putOverlay(network: string, addresses: readonly string[]): void {
    this.#put(`overlay/${network}`, addresses)
  }

  /** What is remembered of the blocks of a network is that of another name from now on. */
  rename(from: string, to: string): void {
    for (const kind of ["blocks", "lost", "overlay"]) {
      this.#put(`${kind}/${to}`, this.#get(`${kind}/${from}`) ?? [])
      this.#put(`${kind}/${from}`, [])
    }
  }

  /** Which hosts were on the mesh last. */
  get members(): RememberedMembers | undefined {
    return this.#get<RememberedMembers>("members")
  }

  set members(members: RememberedMembers) {
    this.#put("members", members)
  }

  /** The highest generation of keys that was ever reserved. */
  get generation(): number {
    return this.#get<number>("generation") ?? 0
  }

  set generation(generation: number) {
    this.#put("generation", generation)
  }

  /** What was last announced. */
  get announced(): RememberedAnnouncement | undefined {
    return this.#get<RememberedAnnouncement>("announced")
  }

  set announced(announced: RememberedAnnouncement) {
    this.#put("announced", announced)
  }

  /** Sequences below this may have been used. */
  get sequence(): number {
    return this.#get<number>("sequence") ?? 0
  }

  set sequence(sequence: number) {
    this.#put("sequence", sequence)
  }

  /** Rows of the pins, as they export themselves. */
  get pins(): unknown {
    return this.#get("pins")
  }

  set pins(rows: object) {
    this.#put("pins", rows)
  }

  #get<T>(key: string): T | undefined {
    const text = this.#stateDatabase.meta(this.#key(key))
    if (text === undefined) return undefined
    try {
      return JSON.parse(text) as T
    } catch (cause) {
      throw new LariatError(`Cannot read what this host remembers of its cluster (${key})`, {
        code: "decode",
        hint: "the state directory is damaged; put it back from a backup, or remove it",
        cause,
      })
    }
  }

  #put(key: string, value: unknown): void {
    this.#stateDatabase.putMeta(this.#key(key), JSON.stringify(value))
  }

  #key(key: string): string {
    return `cluster/${this.#cluster}/${key}`
  }
}
