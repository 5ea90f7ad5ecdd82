/** What the key ring knows of one other host: what it published, and the pairs with it. */

import { PeerRefusedError } from "../records/envelope.ts"
import { type Acknowledgement, refuses } from "./acknowledgement.ts"
import { type Announcement, type PublicGeneration, sameAnnouncement } from "./announcement.ts"
import type { KeyedNetwork } from "./key_agreement.ts"
import type { KeyedPair, SaPair } from "./keyed_pair.ts"
import type { OwnGenerations } from "./own_generations.ts"
import type { OtherSaPairs, PeerSaPairs } from "./ring_plan.ts"

/** Pairs held with one host: two honest hosts of four generations each make seven. */
const MAX_PAIRS = 8

/** Who another host is. */
export interface PeerSettings {
  /** Host number, from its pinned identity. */
  readonly number: number
  /** Networks that both hosts have with the ipsec driver. */
  readonly networks: readonly KeyedNetwork[]
}

/** What another host wrote, and the store's revision of it. */
export interface Told<T> {
  readonly value: T
  readonly revision: number
}

/** An own acknowledgement, as far as it lets peers send. */
interface OwnAcknowledgement {
  /** The newest own generation, which it is of. */
  readonly own: number
  readonly era: number
  /** Everything up to here was acted on. */
  readonly heard: number
  /** Where the acknowledgement itself stands. */
  readonly revision: number
}

/** The first own acknowledgement that lets a peer send on the newest generations of both. */
interface Permit {
  readonly own: number
  readonly peer: number
  readonly revision: number
}

/** One other host. Its fields are the ring's to write. */
export class RingPeer {
  readonly hostId: string
  settings: PeerSettings
  alive = true
  /** False where the driver could not install what was planned. */
  installed = true
  /** Whether its latest announcement was not taken. */
  refused = false
  /** The last one that was taken. */
  announcement: Announcement | undefined = undefined
  /** Revision at which its newest generation was first seen in its era. */
  newestRevision = 0
  acknowledgement: Told<Acknowledgement> | undefined = undefined
  permit: Permit | undefined = undefined
  /** Its generation whose public value gives no secret. */
  unusable: number | undefined = undefined
  /** Whether its associations changed since the last plan. */
  changed = true
  pairs: KeyedPair[] = []
  #announcedRevision = 0
  #sending: KeyedPair | undefined = undefined

  constructor(hostId: string, settings: PeerSettings) {
    this.hostId = hostId
    this.settings = settings
  }

  get newest(): PublicGeneration | undefined {
    return this.announcement?.generations.at(-1)
  }

  /**
   * Takes an announcement in. Generations that it lists no more go after a grace.
   *
   * @returns whether it has to be acknowledged: its newest generation is new, or its era, or it was
   *   written once more as it was, by a host that does not know that it was written before
   * @throws PeerRefusedError `generation` where it goes back, or says something else of a known one
   */
  take(announcement: Announcement, revision: number, dropAt: number): boolean {
    this.#check(announcement)
    const before = this.newest?.generation
    const eraBefore = this.announcement?.era
    const again =
      this.announcement !== undefined &&
      this.#announcedRevision !== revision &&
      sameAnnouncement(this.announcement, announcement)
    this.announcement = announcement
    this.#announcedRevision = revision
    const news = this.newest?.generation !== before || announcement.era !== eraBefore
    if (news) {
      this.newestRevision = revision
      this.permit = undefined
    }
    for (const pair of this.pairs) {
      if (!this.#lists(pair.peerGeneration)) pair.dropAt ??= dropAt
    }
    return news || again
  }

  /** Revisions mean something else now. What its acknowledgement says is of another era by itself. */
  forgetRevisions(): void {
    this.newestRevision = 0
    this.#announcedRevision = 0
    this.permit = undefined
  }

  /** Adds a pair; those whose SPIs it takes, and the oldest of too many, go at once. */
  addPair(pair: KeyedPair): void {
    for (const old of [...this.pairs]) {
      if (old.collides(pair.ownGeneration, pair.peerGeneration)) this.#remove(old)
    }
    this.pairs.push(pair)
    while (this.pairs.length > MAX_PAIRS) {
      const oldest = this.pairs.find((each) => each !== this.#sending)
      if (oldest === undefined) break
      this.#remove(oldest)
    }
    this.changed = true
  }

  hasPair(ownGeneration: number, peerGeneration: number): boolean {
    return this.pairs.some(
      (pair) => pair.ownGeneration === ownGeneration && pair.peerGeneration === peerGeneration,
    )
  }

  /** Its acknowledgement, where it is of an era. */
  acknowledgementOf(era: number): Told<Acknowledgement> | undefined {
    return this.acknowledgement?.value.era === era ? this.acknowledgement : undefined
  }

  /** Notes the first own acknowledgement by which the peer may send on the newest of both. */
  permitted(acknowledgement: OwnAcknowledgement): void {
    const { own, era, heard, revision } = acknowledgement
    const peer = this.newest?.generation
    if (peer === undefined || this.announcement?.era !== era || this.newestRevision > heard) return
    if (this.permit?.own === own && this.permit.peer === peer) return
    this.permit = { own, peer, revision }
  }

  /**
   * Marks the pairs that the peer's acknowledgement says stand on its side. It means the pair of its
   * newest generation then and the newest own one that it had seen then, and no other.
   */
  confirm(selfId: string, era: number, own: OwnGenerations): void {
    const acknowledgement = this.acknowledgementOf(era)?.value
    if (acknowledgement === undefined || refuses(acknowledgement, selfId)) return
    const seen = own.newestPublishedAt(acknowledgement.revision)
    for (const pair of this.pairs) {
      if (
        pair.ownGeneration === seen?.generation &&
        pair.peerGeneration === acknowledgement.generation
      ) {
        pair.confirmed = true
      }
    }
  }

  /** Chooses the pair to send on: the newest confirmed one in force. @returns whether it changed */
  choose(own: OwnGenerations): boolean {
    const best = this.pairs.findLast(
      (pair) => pair.confirmed && pair.dropAt === undefined && own.isLive(pair.ownGeneration),
    )
    if (best === this.#sending) return false
    this.#sending = best
    this.changed = true
    return true
  }

  /**
   * Whether nothing is sent in either direction on any own generation but the newest. The peer has
   * said that it acted on everything up to the own acknowledgement by which it could switch, and so
   * that its side of the newest pair stands: by the same word this host has switched.
   */
  isPast(selfId: string, era: number, own: OwnGenerations): boolean {
    const { newest } = own
    const peerNewest = this.newest
    // A former process may have had associations with it that it still sends on.
    if (peerNewest === undefined) return own.former !== "live"
    const { permit } = this
    const acknowledgement = this.acknowledgementOf(era)?.value
    return (
      acknowledgement !== undefined &&
      permit !== undefined &&
      newest.publishedAt !== undefined &&
      permit.own === newest.generation &&
      permit.peer === peerNewest.generation &&
      acknowledgement.generation === peerNewest.generation &&
      acknowledgement.revision >= Math.max(permit.revision, newest.publishedAt) &&
      !refuses(acknowledgement, selfId)
    )
  }

  /** Whether it waits for others to act on its keys, and wrote to say so after a revision. */
  waitsSince(revision: number): boolean {
    return (
      this.announcement !== undefined &&
      this.announcement.generations.length > 1 &&
      (this.acknowledgement?.revision ?? 0) > revision
    )
  }

  /** Drops the pairs whose grace is over. @returns when the next one is */
  dropDue(now: number): number | undefined {
    let next: number | undefined
    for (const pair of [...this.pairs]) {
      if (pair.dropAt === undefined) continue
      if (pair.dropAt <= now) this.#remove(pair)
      else next = Math.min(next ?? pair.dropAt, pair.dropAt)
    }
    return next
  }

  dropAll(): void {
    for (const pair of [...this.pairs]) this.#remove(pair)
  }

  /** The associations on a network, newest first. */
  saPairs(network: number): SaPair[] {
    return this.pairs.toReversed().flatMap((pair) => {
      const saPair = pair.saPair(network, pair === this.#sending)
      return saPair === undefined ? [] : [saPair]
    })
  }

  /** All that is to be in the kernel. @param others what becomes of what a former process made */
  planned(others: OtherSaPairs): PeerSaPairs {
    const networks = this.settings.networks.map((network) => ({
      ...network,
      saPairs: this.saPairs(network.number),
    }))
    return { hostId: this.hostId, networks, others }
  }

  #check(announcement: Announcement): void {
    const known = this.announcement?.generations ?? []
    const newest = announcement.generations.at(-1)?.generation ?? 0
    const newestKnown = known.at(-1)?.generation ?? 0
    if (newest < newestKnown) {
      throw this.#refusal(`generation ${newest} comes after ${newestKnown}`)
    }
    for (const generation of announcement.generations) {
      const same = known.find((each) => each.generation === generation.generation)
      if (same !== undefined && !samePublic(same, generation)) {
        throw this.#refusal(`generation ${generation.generation} has other values than before`)
      }
    }
  }

  #lists(generation: number): boolean {
    return this.announcement?.generations.some((each) => each.generation === generation) === true
  }

  #remove(pair: KeyedPair): void {
    pair.wipe()
    this.pairs = this.pairs.filter((each) => each !== pair)
    if (this.#sending === pair) this.#sending = undefined
    this.changed = true
  }

  #refusal(why: string): PeerRefusedError {
    return new PeerRefusedError(
      "generation",
      `Cannot take the announcement of host ${this.hostId}: generation: ${why}`,
      { hint: "if its state was put back from a backup, it makes newer keys by itself" },
    )
  }
}

function samePublic(one: PublicGeneration, other: PublicGeneration): boolean {
  return (
    Buffer.compare(one.publicValue, other.publicValue) === 0 &&
    Buffer.compare(one.nonce, other.nonce) === 0
  )
}
