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
import { Acknowledger } from "./acknowledger.ts"
import type { Announcement } from "./announcement.ts"
import { type GenerationSource, OwnGenerations } from "./own_generations.ts"
import { Pairing } from "./pairing.ts"
import { PendingPeers } from "./pending_peers.ts"
import { type PeerSettings, RingPeer } from "./ring_peer.ts"
import type { PeerSaPairs, RingPlan, RotationState } from "./ring_plan.ts"
import { Rollover } from "./rollover.ts"
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

export class KeyRing {
  readonly #hostId: string
  readonly #clock: () => number
  readonly #graceMs: number
  readonly #own: OwnGenerations
  readonly #rollover: Rollover
  readonly #pairing: Pairing
  readonly #acknowledger: Acknowledger
  readonly #store: StoreView
  readonly #peers = new Map<string, RingPeer>()
  readonly #pendingPeers = new PendingPeers()
  /** As last planned. */
  #former: OwnGenerations["former"]

  /**
   * Makes the first generation of this process.
   *
   * @param hostId of this host
   * @param number its host number, 1 to 65535
   * @throws what `options.reserve` throws
   */
  constructor(hostId: string, number: number, options: KeyRingOptions) {
    const { ppk, clock, lastGeneration = 0, former, era = 0 } = options
    const { graceMs = GRACE_MS, patienceMs = PATIENCE_MS } = options
    this.#hostId = hostId
    this.#clock = clock
    this.#graceMs = graceMs
    this.#own = new OwnGenerations(options, lastGeneration, former?.generations ?? [])
    this.#rollover = new Rollover(this.#own, { graceMs, patienceMs })
    const onSpent = () => this.#rollover.want()
    this.#pairing = new Pairing({ hostId, number, ppk, own: this.#own, onSpent })
    this.#former = this.#own.former
    const forget = () => this.#forgetRevisions()
    this.#store = new StoreView(Math.max(era, former?.era ?? 0), forget)
    this.#acknowledger = new Acknowledger(this.#store, graceMs)
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
      this.#pairing.setNetworks(known)
      known.changed = true
      return
    }
    if (known !== undefined) this.removePeer(hostId)
    const peer = new RingPeer(hostId, settings)
    this.#peers.set(hostId, peer)
    const stranger = this.#pendingPeers.take(hostId)
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
    for (const pair of peer.pairs) this.#own.get(pair.ownGeneration)?.used.add(hostId)
    peer.dropAll()
    this.#peers.delete(hostId)
    const { announcement, newestRevision: revision, acknowledgement, refused } = peer
    const told = announcement && { value: announcement, revision }
    this.#pendingPeers.put(hostId, { announcement: told, acknowledgement, refused })
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
    this.#rollover.want()
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
    const stranger = this.#pendingPeers.of(hostId)
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
    const peer = this.#peers.get(hostId) ?? this.#pendingPeers.of(hostId)
    peer.refused = true
  }

  /** A host that is no peer has no records in the store any more. */
  gone(hostId: string): void {
    this.#pendingPeers.take(hostId)
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
    const peer = this.#peers.get(hostId) ?? this.#pendingPeers.of(hostId)
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
      this.#rollover.want()
    }
    if (announcement.era !== this.#store.era) return
    const now = this.#clock()
    this.#own.published(announcement.generations, revision, now)
    this.#rollover.published(announcement.generations, now)
  }

  /** The own acknowledgement, as the store took it or has it, at a revision. */
  acknowledged(acknowledgement: Acknowledgement | undefined, revision: number): void {
    if (acknowledgement !== undefined) this.#store.hearEra(acknowledgement.era)
    if (!this.#store.setAcknowledged(acknowledgement, revision)) return
    if (acknowledgement === undefined) return
    this.#acknowledger.wrote(this.#clock())
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
    let problem = this.#rollover.make()
    let wakeAt = this.#dropOwn(now)
    const peers = [...this.#peers.values()]
    for (const peer of peers) {
      try {
        this.#pairing.pair(peer)
      } catch (error) {
        peer.refused = true
        problem ??= error
      }
      peer.confirm(this.#hostId, this.#store.era, this.#own)
      if (peer.choose(this.#own)) {
        const by = peer.acknowledgementOf(this.#store.era)
        this.#acknowledger.owe(by?.revision ?? 0)
      }
      wakeAt = earlier(wakeAt, peer.dropDue(now))
    }
    wakeAt = earlier(wakeAt, this.#withdraw(now))

    // Where a former process's associations stand otherwise, all plans do.
    const anew = this.#former !== this.#own.former
    this.#former = this.#own.former
    const changed = peers.filter((peer) => peer.changed || anew)
    for (const peer of changed) peer.changed = false
    const told = this.#acknowledger.next(now, {
      generation: this.#own.newest.generation,
      refused: this.#refusedHosts(),
      isWaitedFor: (revision) => peers.some((peer) => peer.waitsSince(revision)),
    })
    return {
      changed: changed.map((peer) => this.#associationsOf(peer)),
      publish: this.#announcement(),
      acknowledge: told.acknowledge,
      relist: this.#store.relist,
      wakeAt: earlier(wakeAt, told.wakeAt),
      problem,
    }
  }

  /** Everything that is to be in the kernel for a host, for its repair; undefined for no peer. */
  peer(hostId: string): PeerSaPairs | undefined {
    const peer = this.#peers.get(hostId)
    return peer && this.#associationsOf(peer)
  }

  /** How the rotation stands, for people. */
  rotation(): RotationState {
    const live = this.#own.live.map(({ generation }) => generation)
    const rotating = live.length > 1 || this.#rollover.wanted
    const waitingFor = rotating ? this.#waitingFor() : []
    return { generation: this.#own.newest.generation, live, rotating, waitingFor }
  }

  /** Overwrites every key and secret; the ring is of no use after. The kernel keeps its own. */
  close(): void {
    for (const peer of this.#peers.values()) peer.dropAll()
    this.#peers.clear()
    for (const { generation } of [...this.#own.held]) this.#own.drop(generation)
    this.#pairing.close()
  }

  #take(peer: RingPeer, announcement: Announcement, revision: number): void {
    peer.refused = true
    if (peer.take(announcement, revision, this.#clock() + this.#graceMs)) {
      this.#acknowledger.owe(revision)
    }
    this.#pairing.pair(peer)
    peer.refused = false
  }

  #forgetRevisions(): void {
    this.#own.forgetRevisions()
    this.#rollover.forgetRevisions()
    this.#pendingPeers.forgetRevisions()
    this.#acknowledger.forgetRevisions()
    for (const peer of this.#peers.values()) peer.forgetRevisions()
  }

  /** Drops own generations whose grace is over, with their pairs. @returns when the next one is */
  #dropOwn(now: number): number | undefined {
    for (const [generation, at] of this.#rollover.leaving) {
      for (const peer of this.#peers.values()) {
        for (const pair of peer.pairs) if (pair.ownGeneration === generation) pair.dropAt ??= at
      }
    }
    return this.#rollover.drop(now)
  }

  /** Withdraws old generations once nobody needs them. @returns when something of it is next */
  #withdraw(now: number): number | undefined {
    const before = this.#own.live.length
    const isNeeded = () => this.#waitingFor().length > 0
    const next = this.#rollover.withdraw(now, isNeeded)
    if (this.#own.live.length === before) return next
    for (const peer of this.#peers.values()) peer.choose(this.#own)
    return next
  }

  /** Live hosts that may still send on, or need, what is not the newest generation. */
  #waitingFor(): string[] {
    return [...this.#peers.values()].flatMap((peer) => {
      const past = peer.isPast(this.#hostId, this.#store.era, this.#own)
      return peer.alive && !past ? [peer.hostId] : []
    })
  }

  #announcement(): Announcement | undefined {
    const { era, heard } = this.#store
    if (heard === undefined) return undefined
    const wanted = { era, generations: this.#own.listed }
    if (this.#store.isPublished(wanted)) return undefined
    this.#own.offer(heard)
    return wanted
  }

  #refusedHosts(): string[] {
    const peers = [...this.#peers.values()].filter((peer) => peer.refused || !peer.installed)
    return [...peers.map(({ hostId }) => hostId), ...this.#pendingPeers.refused()].sort()
  }

  #associationsOf(peer: RingPeer): PeerSaPairs {
    return peer.planned(OTHERS[this.#own.former])
  }
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined) return other
  return other === undefined ? one : Math.min(one, other)
}
