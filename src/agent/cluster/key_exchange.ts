import { acknowledgementBody, parseAcknowledgement } from "../../cluster/keys/acknowledgement.ts"
import { announcementBody, parseAnnouncement } from "../../cluster/keys/announcement.ts"
import { KeyRing } from "../../cluster/keys/key_ring.ts"
import type { NetworkSaPairs, PeerSaPairs, RingPlan } from "../../cluster/keys/ring_plan.ts"
import type { Keyspace } from "../../cluster/records/keyspace.ts"
import type { PreSharedKey } from "../../cluster/records/psk.ts"
import type { Store } from "../../cluster/store/store.ts"
import type { KeyedDriver } from "../../drivers/keyed_driver.ts"
import type { KeyedNetwork } from "./overlays/overlay_networks.ts"
import type { RotationReport } from "./report.ts"
import type { Signer } from "./signer.ts"
import type { ClusterState } from "./state/cluster_state.ts"

/** What a {@link KeyExchange} works with. */
export interface KeyExchangeOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly hostId: string
  readonly number: number
  readonly bootId: string
  readonly psk: PreSharedKey
  readonly memory: ClusterState
  readonly signer: Signer
  readonly clock: () => number
  readonly random: (bytes: number) => Uint8Array
  readonly rekeyMs: number
  readonly drivers: () => readonly KeyedNetwork[]
  readonly nameOf: (hostId: string) => string
  /** The store's announcements and acknowledgements are all to be told again. */
  readonly relist: () => void
  readonly onFailure: (what: string, error: unknown) => void
}

/** Facts that come together are answered together, milliseconds. */
const SETTLE_MS = 20
/** After a failed write, milliseconds. */
const RETRY_MS = 1000
/** A timer may be a little early. */
const SLACK_MS = 5

/**
 * Joins the key ring with the store and the kernel: what other hosts announce goes in, what is to
 * be done comes out and is done, first in the kernel, then in the store.
 */
export class KeyExchange {
  readonly #options: KeyExchangeOptions
  readonly #ring: KeyRing
  readonly #rekey: ReturnType<typeof setInterval>
  #timer: ReturnType<typeof setTimeout> | undefined
  #due = Number.POSITIVE_INFINITY
  #writing = false
  /** Hosts whose associations are not all in the kernel. */
  readonly #missing = new Set<string>()
  #stopped = false

  /** @throws LariatError decode when the state directory is damaged */
  constructor(options: KeyExchangeOptions) {
    this.#options = options
    const { memory, psk, hostId, number, bootId } = options
    const announced = memory.announced
    const last = announced === undefined ? undefined : parseAnnouncement(announced.body)
    const ppk = psk.ppk()
    this.#ring = new KeyRing(hostId, number, {
      ppk,
      clock: options.clock,
      random: options.random,
      lastGeneration: memory.generation,
      era: last?.era,
      // After a reboot the kernel has none of the former associations.
      former: announced?.bootId === bootId ? last : undefined,
      reserve: (generation) => {
        memory.generation = generation
      },
    })
    ppk.fill(0)
    this.#rekey = setInterval(() => this.rotate(), options.rekeyMs)
    this.#wake(0)
  }

  /** Takes a host in, with the numbers of the networks that both have. */
  putPeer(hostId: string, number: number, networks: readonly number[]): void {
    const shared = this.#options
      .drivers()
      .filter((one) => networks.includes(one.number))
      .map((one) => ({ number: one.number, cipher: one.driver.cipher }))
    this.#ring.putPeer(hostId, { number, networks: shared })
    this.#wake(SETTLE_MS)
  }

  removePeer(hostId: string): void {
    this.#ring.removePeer(hostId)
    this.#wake(SETTLE_MS)
  }

  /** @throws PeerRefusedError when the announcement is not taken */
  announced(hostId: string, body: unknown, revision: number): void {
    this.#wake(SETTLE_MS)
    this.#ring.announced(hostId, body === undefined ? undefined : parseAnnouncement(body), revision)
  }

  /** @throws PeerRefusedError when it is none */
  acknowledged(hostId: string, body: unknown, revision: number): void {
    this.#wake(SETTLE_MS)
    this.#ring.acked(hostId, body === undefined ? undefined : parseAcknowledgement(body), revision)
  }

  refused(hostId: string): void {
    this.#ring.refuse(hostId)
    this.#wake(SETTLE_MS)
  }

  /** Everything up to a revision was told. */
  heard(revision: number): void {
    this.#ring.heard(revision)
    this.#wake(SETTLE_MS)
  }

  /** The store was put back from a snapshot. */
  restored(): void {
    this.#ring.restored()
    this.#wake(SETTLE_MS)
  }

  /** An own record does not stand in the store as it was written: it is written again. */
  overwritten(kind: "keys" | "ack", revision: number): void {
    if (kind === "keys") this.#ring.published(undefined, revision)
    else this.#ring.acknowledged(undefined, revision)
    this.#wake(0)
  }

  /** Makes new keys. */
  rotate(): void {
    this.#ring.rotate()
    this.#wake(0)
  }

  report(): RotationReport {
    const { generation, rotating, waitingFor } = this.#ring.rotation()
    return {
      generation,
      settled: !rotating,
      waitingFor: waitingFor.map((hostId) => this.#options.nameOf(hostId)),
    }
  }

  /** Ends; the kernel keeps its keys. */
  stop(): void {
    this.#stopped = true
    clearInterval(this.#rekey)
    clearTimeout(this.#timer)
    this.#ring.close()
  }

  #wake(ms: number): void {
    const at = this.#options.clock() + ms
    if (this.#stopped || at >= this.#due) return
    clearTimeout(this.#timer)
    this.#due = at
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY
      this.#work()
    }, ms)
  }

  #work(): void {
    if (this.#stopped) return
    try {
      let plan = this.#ring.plan()
      if (this.#apply(plan)) plan = this.#ring.plan()
      if (plan.problem !== undefined) this.#options.onFailure("make new keys", plan.problem)
      if (plan.relist) this.#options.relist()
      if (plan.wakeAt !== undefined) {
        this.#wake(Math.max(0, plan.wakeAt - this.#options.clock()) + SLACK_MS)
      }
      if (plan.publish !== undefined || plan.acknowledge !== undefined) void this.#write(plan)
    } catch (error) {
      this.#options.onFailure("exchange keys", error)
      this.#wake(RETRY_MS)
    }
  }

  /** @returns whether something turned out otherwise than the plan took it for: it is another now */
  #apply({ changed }: RingPlan): boolean {
    let failed = false
    const again = [...this.#missing].filter((id) => changed.every(({ hostId }) => hostId !== id))
    for (const hostId of again) {
      const peer = this.#ring.peer(hostId)
      if (peer === undefined) this.#missing.delete(hostId)
      // Others are waiting for this host's word on it.
      else if (this.#install(peer)) failed = true
    }
    for (const peer of changed) if (!this.#install(peer)) failed = true
    return failed
  }

  #install(peer: PeerSaPairs): boolean {
    let installed = true
    for (const network of peer.networks) {
      try {
        // What is not in the kernel must not be acknowledged.
        const done = this.#driverOf(network)?.setSaPairs(peer.hostId, {
          saPairs: network.saPairs,
          others: peer.others,
        })
        if (done !== true) installed = false
      } catch (error) {
        installed = false
        this.#options.onFailure(`install keys for ${this.#options.nameOf(peer.hostId)}`, error)
      }
    }
    this.#ring.setInstalled(peer.hostId, installed)
    if (installed) this.#missing.delete(peer.hostId)
    else {
      this.#missing.add(peer.hostId)
      this.#wake(RETRY_MS)
    }
    return installed
  }

  #driverOf({ number }: NetworkSaPairs): KeyedDriver | undefined {
    return this.#options.drivers().find((one) => one.number === number)?.driver
  }

  async #write({ publish, acknowledge }: RingPlan): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    const { store, keys, hostId, signer, memory, bootId } = this.#options
    const writes: { key: string; value: string }[] = []
    let wait = SETTLE_MS
    try {
      if (publish !== undefined) {
        const body = announcementBody(publish)
        // Before others can act on it: a next process must know what its peers send on.
        memory.announced = { bootId, body }
        const key = keys.keys(hostId)
        writes.push({ key, value: signer.sign("keys", key, body) })
      }
      if (acknowledge !== undefined) {
        const key = keys.ack(hostId)
        writes.push({ key, value: signer.sign("ack", key, acknowledgementBody(acknowledge)) })
      }
      const { revision } = await store.commit([], writes)
      if (this.#stopped) return
      if (publish !== undefined) this.#ring.published(publish, revision)
      if (acknowledge !== undefined) this.#ring.acknowledged(acknowledge, revision)
    } catch (error) {
      this.#options.onFailure("publish keys", error)
      wait = RETRY_MS
    } finally {
      this.#writing = false
    }
    this.#wake(wait)
  }
}
