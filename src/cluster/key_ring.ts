/**
 * The rekey state machine of one host: which associations it has with each other host, what it
 * publishes of its own keys, and what it acknowledges of others'. It does nothing itself: facts go
 * in, and {@link KeyRing.plan} says what is to be done.
 *
 * A rotation from generation x to x+1, as host A goes through it with each host B:
 *
 *     A  makes x+1 and its pairs with every B's newest y        inbound associations stand at A
 *     A  publishes [x, x+1], and acknowledges with x+1          B may send on (y, x+1)
 *     B  makes the pair, switches, acknowledges                 A may send on (x+1, y)
 *     A  switches; all live B past x, and a grace               nothing is sent on x any more
 *     A  publishes [x+1]                                        B drops x after a grace
 *     A  drops x after a grace
 *
 * No step waits for a time that something takes: a host sends on a pair only when the other side's
 * acknowledgement covers it, and takes a generation away only when every live host's
 * acknowledgement says that it acted on the one by which it could switch. Graces are for packets on
 * their way.
 *
 * The draft (draft-carrel-ipsecme-controller-ike) has the same order of public values, but learns
 * from the first packet on a new SPI that the other side has switched; there is no packet to learn
 * from where nobody sends, so here acknowledgements go through the store.
 */

import { type Acknowledgement, refuses } from "./acknowledgement.ts"
import type { Announcement, PublicGeneration } from "./announcement.ts"
import { PairKeys } from "./key_agreement.ts"
import { KeyedPair } from "./keyed_pair.ts"
import { type GenerationSource, type OwnGeneration, OwnGenerations } from "./own_generations.ts"
import { type PeerSettings, RingPeer, type Told } from "./ring_peer.ts"
import type { PeerAssociations, RingPlan, RotationState } from "./ring_plan.ts"
import { StoreView } from "./store_view.ts"

/** Packets are on their way for less than this; queues and reordering of bad links included. */
const GRACE_MS = 10_000
/** A live host that has not taken new keys after this long holds the others up no more. */
const PATIENCE_MS = 3_600_000

const OTHERS = { live: "use", withdrawn: "receive", none: "drop" } as const

/** What the ring needs. */
export interface KeyRingOptions extends GenerationSource {
  /** Of the cluster's PSK, see `PreSharedKey.ppk`; a copy is kept. */
  readonly ppk: Uint8Array
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** The highest generation ever reserved; default 0. */
  readonly lastGeneration?: number | undefined
  /**
   * The highest era that this host ever published, as it stored it; default that of `former`, or 0.
   */
  readonly era?: number | undefined
  /**
   * What a former process last meant to publish, as this host stored it, where the kernel still has
   * that process's associations; default none. After a reboot there is none.
   */
  readonly former?: Announcement | undefined
  /** How long packets may be on their way, milliseconds; default 10 s. */
  readonly graceMs?: number | undefined
  /** How long a live host may fail to take new keys, milliseconds; default 1 h. */
  readonly patienceMs?: number | undefined
}

/** A host that is no peer yet, or no more: what it said is kept for when it becomes one. */
interface Stranger {
  announcement: Told<Announcement> | undefined
  acknowledgement: Told<Acknowledgement> | undefined
  refused: boolean
}

export class KeyRing {
  readonly #hostId: string
  readonly #number: number
  readonly #ppk: Uint8Array
  readonly #clock: () => number
  readonly #graceMs: number
  readonly #patienceMs: number
  readonly #own: OwnGenerations
  readonly #store: StoreView
  readonly #peers = new Map<string, RingPeer>()
  readonly #strangers = new Map<string, Stranger>()
  /** An acknowledgement of at least this revision is due, and none of less may be given. */
  #due = 0
  #acknowledgedTime = Number.NEGATIVE_INFINITY
  #rotationWanted = false
  /** As last planned. */
  #former: OwnGenerations["former"]
  /** When the older generations are withdrawn; undefined while a host still needs them. */
  #withdrawAt: number | undefined = undefined
  /** Own generations that the store's announcement lists no more, and when they go. */
  readonly #dropOwnAt = new Map<number, number>()

  /**
   * Makes the first generation of this process.
   *
   * @param hostId of this host
   * @param number its host number, 1 to 65535
   * @throws what `options.reserve` throws
   */
  constructor(hostId: string, number: number, options: KeyRingOptions) {
    const { ppk, clock, lastGeneration = 0, former } = options
    this.#hostId = hostId
    this.#number = number
    this.#ppk = Uint8Array.from(ppk)
    this.#clock = clock
    this.#graceMs = options.graceMs ?? GRACE_MS
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS
    this.#own = new OwnGenerations(options, lastGeneration, former?.generations ?? [])
    this.#former = this.#own.former
    this.#store = new StoreView(Math.max(options.era ?? 0, former?.era ?? 0), () =>
      this.#forgetRevisions(),
    )
  }

  /**
   * Takes a host in, or what changed of it. Another number makes it another host.
   *
   * @throws PeerRefusedError where it was taken in, but not the announcement that waited for it
   */
  putPeer(hostId: string, settings: PeerSettings): void {
    const known = this.#peers.get(hostId)
    if (known !== undefined && known.settings.number === settings.number) {
      if (JSON.stringify(known.settings) === JSON.stringify(settings)) return
      known.settings = settings
      for (const pair of known.pairs) this.#setNetworks(known, pair)
      known.changed = true
      return
    }
    if (known !== undefined) this.removePeer(hostId)
    const peer = new RingPeer(hostId, settings)
    this.#peers.set(hostId, peer)
    const stranger = this.#strangers.get(hostId)
    this.#strangers.delete(hostId)
    if (stranger === undefined) return
    peer.acknowledgement = stranger.acknowledgement
    peer.refused = stranger.refused
    if (stranger.announcement === undefined) return
    this.#take(peer, stranger.announcement.value, stranger.announcement.revision)
    peer.refused = stranger.refused
  }

  /** Takes a host off: its associations go at once, and no key that it had comes back. */
  removePeer(hostId: string): void {
    const peer = this.#peers.get(hostId)
    if (peer === undefined) return
    for (const pair of peer.pairs) this.#own.get(pair.ownGeneration)?.burned.add(hostId)
    peer.dropAll()
    this.#peers.delete(hostId)
    const { announcement, newestRevision: revision, acknowledgement, refused } = peer
    const told = announcement && { value: announcement, revision }
    this.#strangers.set(hostId, { announcement: told, acknowledgement, refused })
  }

  /** Says whether a host lives: a dead one keeps its keys and holds nobody up. */
  setAlive(hostId: string, alive: boolean): void {
    const peer = this.#peers.get(hostId)
    if (peer !== undefined) peer.alive = alive
  }

  /**
   * Says whether what was planned for a host is in the kernel: if not, it is told to wait. Ask for
   * another plan after this, before anything is acknowledged.
   */
  setInstalled(hostId: string, installed: boolean): void {
    const peer = this.#peers.get(hostId)
    if (peer !== undefined) peer.installed = installed
  }

  /** Wants new keys: made in the next plan, or once the rotation before has come far enough. */
  rotate(): void {
    this.#rotationWanted = true
  }

  /**
   * A host's announcement, its envelope opened, at a revision of the store; the own one too, as the
   * watch tells it. One of a host that is no peer waits for {@link putPeer}, and is told so.
   * Undefined: there is none any more; the own one is published again, another host's keys stay.
   *
   * @throws PeerRefusedError `generation`, `public-value`: it was not taken, and is told so
   */
  announced(hostId: string, announcement: Announcement | undefined, revision: number): void {
    if (hostId === this.#hostId) {
      this.published(announcement, revision)
      return
    }
    if (announcement === undefined) return
    this.#store.hearEra(announcement.era)
    const peer = this.#peers.get(hostId)
    if (peer !== undefined) {
      this.#take(peer, announcement, revision)
      return
    }
    const stranger = this.#strange(hostId)
    stranger.announcement = { value: announcement, revision }
    stranger.refused = false
  }

  /**
   * A pinned host's announcement did not hold: a check of its envelope failed. Its pairs stay, and
   * it is told not to use newer ones. Not to be called for hosts without a pin: anybody who can
   * write to the store can make up those.
   */
  refuse(hostId: string): void {
    if (hostId === this.#hostId) return
    const peer = this.#peers.get(hostId) ?? this.#strange(hostId)
    peer.refused = true
  }

  /** A host that is no peer has no records in the store any more. */
  gone(hostId: string): void {
    this.#strangers.delete(hostId)
  }

  /**
   * A host's acknowledgement, its envelope opened, at a revision; the own one too, as the watch
   * tells it. Undefined: there is none.
   */
  acked(hostId: string, acknowledgement: Acknowledgement | undefined, revision: number): void {
    if (hostId === this.#hostId) {
      this.acknowledged(acknowledgement, revision)
      return
    }
    if (acknowledgement !== undefined) {
      this.#store.hearEra(acknowledgement.era)
      // Nobody has heard what comes later: it was made before the store was put back.
      if (acknowledgement.revision > revision) return
    }
    const peer = this.#peers.get(hostId) ?? this.#strange(hostId)
    peer.acknowledgement = acknowledgement && { value: acknowledgement, revision }
  }

  /**
   * Everything under `keys/` and `acks/` up to this revision was told, own records included. Where
   * the two are watched apart: the lower of both revisions.
   */
  heard(revision: number): void {
    this.#store.hear(revision)
  }

  /**
   * The store was put back from a snapshot: its revision is lower than one heard before, or an own
   * record is gone or older than one that is known to have been written, by a former process too.
   * Or the plan said `relist`. Called once, before all of what the store holds now is told.
   */
  restored(): void {
    this.#store.restored()
  }

  /** The own announcement, as the store took it or has it, at a revision. */
  published(announcement: Announcement | undefined, revision: number): void {
    if (announcement !== undefined) this.#store.hearEra(announcement.era)
    if (!this.#store.setPublished(announcement, revision) || announcement === undefined) return
    const newest = announcement.generations.at(-1)?.generation ?? 0
    if (newest > this.#own.newest.generation) {
      // Of a state of this host that was lost, or of another host that has its key: others know
      // the higher number and would refuse a lower one.
      this.#own.exceed(newest)
      this.#rotationWanted = true
    }
    if (announcement.era !== this.#store.era) return
    const now = this.#clock()
    this.#own.published(announcement.generations, revision, now)
    for (const { generation, live } of this.#own.held) {
      if (live || announcement.generations.some((each) => each.generation === generation)) continue
      if (!this.#dropOwnAt.has(generation)) this.#dropOwnAt.set(generation, now + this.#graceMs)
    }
  }

  /** The own acknowledgement, as the store took it or has it, at a revision. */
  acknowledged(acknowledgement: Acknowledgement | undefined, revision: number): void {
    if (acknowledgement !== undefined) this.#store.hearEra(acknowledgement.era)
    if (!this.#store.setAcknowledged(acknowledgement, revision)) return
    if (acknowledgement === undefined) return
    this.#acknowledgedTime = this.#clock()
    const { era } = this.#store
    const own = this.#own.newest.generation
    if (acknowledgement.era !== era || acknowledgement.generation !== own) return
    for (const peer of this.#peers.values()) {
      if (refuses(acknowledgement, peer.hostId)) continue
      peer.permitted({ own, era, heard: acknowledgement.revision, revision })
    }
  }

  /** What is to be done now. */
  plan(): RingPlan {
    const now = this.#clock()
    this.#store.beginEra()
    let problem = this.#makeWanted()
    let wakeAt = this.#dropOwn(now)
    for (const peer of this.#peers.values()) {
      try {
        this.#pair(peer)
      } catch (error) {
        peer.refused = true
        problem ??= error
      }
      peer.confirm(this.#hostId, this.#store.era, this.#own)
      if (peer.choose(this.#own)) {
        const by = peer.acknowledgementOf(this.#store.era)
        this.#due = Math.max(this.#due, by?.revision ?? 0)
      }
      wakeAt = earlier(wakeAt, peer.dropDue(now))
    }
    wakeAt = earlier(wakeAt, this.#withdraw(now))

    const changed: PeerAssociations[] = []
    for (const peer of this.#peers.values()) {
      if (!peer.changed) continue
      peer.changed = false
      changed.push(this.#associationsOf(peer))
    }
    const acknowledge = this.#acknowledgement(now)
    if (acknowledge === undefined && this.#isWaitedFor()) {
      wakeAt = earlier(wakeAt, this.#acknowledgedTime + this.#graceMs)
    }
    const { relist } = this.#store
    return { changed, publish: this.#announcement(), acknowledge, relist, wakeAt, problem }
  }

  /** Everything that is to be in the kernel for a host, for its repair; undefined for no peer. */
  peer(hostId: string): PeerAssociations | undefined {
    const peer = this.#peers.get(hostId)
    return peer && this.#associationsOf(peer)
  }

  /** How the rotation stands, for people. */
  rotation(): RotationState {
    const live = this.#own.live.map(({ generation }) => generation)
    const rotating = live.length > 1 || this.#rotationWanted
    const waitingFor = rotating
      ? [...this.#peers.values()].filter((peer) => this.#needsOld(peer)).map(({ hostId }) => hostId)
      : []
    return { generation: this.#own.newest.generation, live, rotating, waitingFor }
  }

  /** Overwrites every key and secret; the ring is of no use after. The kernel keeps its own. */
  close(): void {
    for (const peer of this.#peers.values()) peer.dropAll()
    this.#peers.clear()
    for (const { generation } of [...this.#own.held]) this.#own.drop(generation)
    this.#ppk.fill(0)
  }

  #strange(hostId: string): Stranger {
    const known = this.#strangers.get(hostId)
    if (known !== undefined) return known
    const stranger = { announcement: undefined, acknowledgement: undefined, refused: false }
    this.#strangers.set(hostId, stranger)
    return stranger
  }

  #take(peer: RingPeer, announcement: Announcement, revision: number): void {
    peer.refused = true
    if (peer.take(announcement, revision, this.#clock() + this.#graceMs)) {
      this.#due = Math.max(this.#due, revision)
    }
    this.#pair(peer)
    peer.refused = false
  }

  /** Makes the pair of the newest generations of both where there is none. */
  #pair(peer: RingPeer): void {
    const own = this.#own.newest
    const theirs = peer.newest
    if (theirs === undefined || own.privateValue === undefined) return
    if (theirs.generation === peer.unusable) return
    if (peer.hasPair(own.generation, theirs.generation)) return
    if (own.burned.has(peer.hostId)) {
      this.#rotationWanted = true
      return
    }
    peer.unusable = theirs.generation
    const secret = new PairKeys(
      { hostId: this.#hostId, number: this.#number, generation: own },
      own.privateValue,
      { hostId: peer.hostId, number: peer.settings.number, generation: theirs },
      this.#ppk,
    )
    peer.unusable = undefined
    const pair = new KeyedPair(own.generation, theirs.generation, secret)
    peer.addPair(pair)
    this.#setNetworks(peer, pair)
  }

  #setNetworks(peer: RingPeer, pair: KeyedPair): void {
    const complete = pair.setNetworks(peer.settings.networks)
    const newest = pair.ownGeneration === this.#own.newest.generation
    if (!complete && newest) this.#rotationWanted = true
  }

  #forgetRevisions(): void {
    this.#own.forgetRevisions()
    this.#withdrawAt = undefined
    this.#due = 0
    for (const peer of this.#peers.values()) peer.forgetRevisions()
    for (const stranger of this.#strangers.values()) {
      const { announcement } = stranger
      if (announcement !== undefined) stranger.announcement = { ...announcement, revision: 0 }
    }
  }

  /** Makes the generation that is wanted, once the one before has been published. */
  #makeWanted(): unknown {
    if (!this.#rotationWanted || this.#own.newest.publishedTime === undefined) return undefined
    try {
      if (this.#own.rotate()) {
        this.#rotationWanted = false
        this.#withdrawAt = undefined
      }
      return undefined
    } catch (error) {
      return error
    }
  }

  /** Drops own generations whose grace is over, with their pairs. @returns when the next one is */
  #dropOwn(now: number): number | undefined {
    let next: number | undefined
    for (const [generation, at] of this.#dropOwnAt) {
      for (const peer of this.#peers.values()) {
        for (const pair of peer.pairs) if (pair.ownGeneration === generation) pair.dropAt ??= at
      }
      if (at > now) {
        next = earlier(next, at)
        continue
      }
      this.#own.drop(generation)
      this.#dropOwnAt.delete(generation)
      this.#formerChanged()
    }
    return next
  }

  /** Withdraws old generations once nobody needs them. @returns when something of it is next */
  #withdraw(now: number): number | undefined {
    const { newest } = this.#own
    if (this.#own.live.length < 2 || newest.publishedAt === undefined) return undefined
    const patienceEnds = (newest.publishedTime ?? now) + this.#patienceMs
    const needed =
      now < patienceEnds && [...this.#peers.values()].some((peer) => this.#needsOld(peer))
    if (needed) {
      this.#withdrawAt = undefined
      return patienceEnds
    }
    this.#withdrawAt ??= now + this.#graceMs
    if (now < this.#withdrawAt) return this.#withdrawAt
    this.#withdrawAt = undefined
    this.#own.withdrawOld()
    this.#formerChanged()
    for (const peer of this.#peers.values()) peer.choose(this.#own)
    return undefined
  }

  /** Where a former process's associations stand otherwise, all plans do. */
  #formerChanged(): void {
    if (this.#former === this.#own.former) return
    this.#former = this.#own.former
    for (const peer of this.#peers.values()) peer.changed = true
  }

  #needsOld(peer: RingPeer): boolean {
    return peer.alive && !peer.isPast(this.#hostId, this.#store.era, this.#own)
  }

  #announcement(): Announcement | undefined {
    const { era, heard } = this.#store
    if (heard === undefined) return undefined
    const wanted = { era, generations: this.#own.live.map(publicPart) }
    if (this.#store.isPublished(wanted)) return undefined
    this.#own.offer(heard)
    return wanted
  }

  #acknowledgement(now: number): Acknowledgement | undefined {
    const { era, heard, relist, acknowledged } = this.#store
    // Where an announcement was told ahead of its time, pairs were made with it and not with the one
    // before: an acknowledgement of a revision between the two would say what is not so.
    if (heard === undefined || relist || heard < this.#due) return undefined
    const generation = this.#own.newest.generation
    const wanted = { era, revision: heard, generation, refused: this.#refusedHosts() }
    const last = acknowledged?.value
    if (last === undefined || !this.#store.isAcknowledged(wanted)) return wanted
    const due = this.#due > last.revision
    const again = this.#isWaitedFor() && now >= this.#acknowledgedTime + this.#graceMs
    return due || again ? wanted : undefined
  }

  /**
   * Whether a host waits for others and said so after this one's last acknowledgement. It is told
   * again then, no oftener than once per grace: it may have missed why this one had nothing to say.
   */
  #isWaitedFor(): boolean {
    const { heard, acknowledged } = this.#store
    const revision = acknowledged?.value?.revision
    if (revision === undefined || heard === undefined || revision >= heard) return false
    return [...this.#peers.values()].some((peer) => peer.waitsSince(revision))
  }

  #refusedHosts(): string[] {
    const peers = [...this.#peers.values()].filter((peer) => peer.refused || !peer.installed)
    const strangers = [...this.#strangers].filter(
      ([, { announcement, refused }]) => announcement !== undefined || refused,
    )
    return [...peers.map(({ hostId }) => hostId), ...strangers.map(([hostId]) => hostId)].sort()
  }

  #associationsOf(peer: RingPeer): PeerAssociations {
    const networks = peer.settings.networks.map((network) => ({
      ...network,
      associations: peer.associations(network.number),
    }))
    return { hostId: peer.hostId, networks, others: OTHERS[this.#own.former] }
  }
}

function publicPart({ generation, publicValue, nonce }: OwnGeneration): PublicGeneration {
  return { generation, publicValue, nonce }
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined) return other
  return other === undefined ? one : Math.min(one, other)
}
