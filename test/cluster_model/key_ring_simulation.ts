/**
 * Hosts with key rings, kernels and a store between them, for the model test: deliveries late and
 * out of step, processes killed, machines rebooted, the store put back from a snapshot. It checks
 * after each event that no packet could have been lost and no key was used twice.
 */

import {
  type Acknowledgement,
  acknowledgementBody,
  parseAcknowledgement,
} from "../../src/cluster/keys/acknowledgement.ts"
import {
  type Announcement,
  announcementBody,
  parseAnnouncement,
} from "../../src/cluster/keys/announcement.ts"
import { KeyRing } from "../../src/cluster/keys/key_ring.ts"
import type { PeerSaPairs, RingPlan } from "../../src/cluster/keys/ring_plan.ts"
import { PeerRefusedError } from "../../src/cluster/records/envelope.ts"
import { decodeSpi } from "./decode_spi.ts"

export const GRACE_MS = 10_000
const NETWORKS = [
  { number: 0, cipher: "aes256gcm16" },
  { number: 3, cipher: "aes128-sha256" },
] as const
const PREFIXES = ["keys/", "acks/"] as const
type Prefix = (typeof PREFIXES)[number]

interface SimRecord {
  readonly sequence: number
  readonly body: string
  readonly revision: number
}

interface SimChange {
  readonly key: string
  readonly record: SimRecord
}

/** The shared store: records, a log of changes by revision, and snapshots that it can go back to. */
class SimStore {
  revision = 0
  /** Grows when it is put back; a watch that comes back notices. */
  incarnation = 0
  records = new Map<string, SimRecord>()
  changes: SimChange[] = []
  #snapshot = { revision: 0, records: new Map<string, SimRecord>() }

  commit(writes: readonly { key: string; sequence: number; body: string }[]): number {
    this.revision++
    for (const { key, sequence, body } of writes) {
      const record = { sequence, body, revision: this.revision }
      this.records.set(key, record)
      this.changes.push({ key, record })
    }
    return this.revision
  }

  snapshot(): void {
    this.#snapshot = { revision: this.revision, records: new Map(this.records) }
  }

  restore(): void {
    this.incarnation++
    this.revision = this.#snapshot.revision
    this.records = new Map(this.#snapshot.records)
    this.changes = this.changes.filter(({ record }) => record.revision <= this.revision)
  }
}

/** The associations that a host's kernel has with one other, by SPI. */
interface SimKernel {
  readonly inbound: Map<number, string>
  readonly outbound: Map<number, string>
  /** Per network, the SPI that is sent on. */
  readonly sending: Map<number, number>
}

interface Write {
  readonly announcement: Announcement | undefined
  readonly acknowledgement: Acknowledgement | undefined
  sequence: number
  /** Where it was written; undefined while it is on its way. */
  revision: number | undefined
}

interface SimHost {
  readonly id: string
  readonly number: number
  ring: KeyRing
  kernel: Map<string, SimKernel>
  /** What survives a restart. */
  readonly disk: {
    generation: number
    former: Announcement | undefined
    era: number
    sequence: number
    /** Sequence of the last announcement that is known to have been written. */
    written: number
    readonly seen: Map<string, number>
  }
  readonly peers: Set<string>
  readonly cursors: Record<Prefix, number>
  listed: boolean
  /** Of the store, as the host's watch last met it. */
  incarnation: number
  write: Write | undefined
  readonly usedUp: Set<string>
  writes: number
}

export class Simulation {
  now = 0
  readonly hosts: readonly SimHost[]
  readonly store = new SimStore()
  #seed = 1
  /** Per direction and SPI and key: when a packet was last sent on it. */
  readonly #sent = new Map<
    string,
    { from: string; to: string; spi: number; key: string; at: number }
  >()
  /** Receiver's generations up to which packets from a host may be lost: `to from` → generation. */
  readonly #excused = new Map<string, number>()
  readonly #dead = new Set<string>()

  constructor(count: number) {
    this.hosts = Array.from({ length: count }, (_, n) => {
      const host: SimHost = {
        id: `h${n}`,
        number: n + 1,
        ring: undefined as unknown as KeyRing,
        kernel: new Map(),
        disk: {
          generation: 0,
          former: undefined,
          era: 0,
          sequence: 0,
          written: 0,
          seen: new Map(),
        },
        peers: new Set(),
        cursors: { "keys/": 0, "acks/": 0 },
        listed: false,
        incarnation: 0,
        write: undefined,
        usedUp: new Set(),
        writes: 0,
      }
      host.ring = this.#ring(host)
      return host
    })
    for (const host of this.hosts) {
      for (const other of this.hosts) if (other !== host) this.put(host, other)
    }
  }

  host(index: number): SimHost {
    const host = this.hosts[index % this.hosts.length]
    if (host === undefined) throw new Error("no hosts")
    return host
  }

  put(host: SimHost, other: SimHost): void {
    host.peers.add(other.id)
    host.ring.putPeer(other.id, { number: other.number, networks: NETWORKS })
  }

  remove(host: SimHost, other: SimHost): void {
    if (!host.peers.delete(other.id)) return
    host.ring.removePeer(other.id)
    for (const [direction, keys] of this.#keysOf(host, other.id)) {
      for (const [spi, key] of keys) host.usedUp.add(`${direction} ${other.id} ${spi} ${key}`)
    }
    host.kernel.delete(other.id)
    this.#excuse(other, host)
  }

  setAlive(host: SimHost, other: SimHost, alive: boolean): void {
    const name = `${host.id} ${other.id}`
    if (!alive) this.#dead.add(name)
    else if (this.#dead.delete(name)) this.#excuse(other, host)
    host.ring.setAlive(other.id, alive)
  }

  /**
   * The watch of one prefix tells the host up to some changes more: each, or of each key the last.
   */
  deliver(host: SimHost, prefix: Prefix, most: number, last = false): void {
    const { cursors } = host
    if (!host.listed || host.incarnation !== this.store.incarnation) {
      this.list(host)
      return
    }
    const changes = this.store.changes.filter(
      ({ key, record }) => key.startsWith(prefix) && record.revision > cursors[prefix],
    )
    const told = changes.slice(0, most)
    for (const [n, { key, record }] of told.entries()) {
      if (last && told.slice(n + 1).some((later) => later.key === key)) continue
      this.#tell(host, key, record)
    }
    const next = changes[most]?.record.revision
    cursors[prefix] = next === undefined ? this.store.revision : next - 1
    host.ring.heard(Math.min(...Object.values(cursors)))
  }

  /** The host hears everything, acts, writes, and hears that it wrote. */
  round(host: SimHost): void {
    for (const prefix of PREFIXES) this.deliver(host, prefix, 1000, true)
    this.step(host)
    this.land(host)
    this.respond(host, false)
  }

  list(host: SimHost): void {
    const own = this.store.records.get(`keys/${host.id}`)?.sequence ?? 0
    if (host.listed || own < host.disk.written) host.ring.restored()
    host.listed = true
    host.incarnation = this.store.incarnation
    const { revision } = this.store
    for (const [key, record] of this.store.records) this.#tell(host, key, record)
    if (!this.store.records.has(`keys/${host.id}`)) {
      host.ring.announced(host.id, undefined, revision)
    }
    if (!this.store.records.has(`acks/${host.id}`)) host.ring.acked(host.id, undefined, revision)
    for (const prefix of PREFIXES) host.cursors[prefix] = this.store.revision
    host.ring.heard(this.store.revision)
  }

  /** What an agent does now and then: are the own records what was written last? */
  audit(host: SimHost): void {
    const own = this.store.records.get(`keys/${host.id}`)?.sequence ?? 0
    if (host.write === undefined && own < host.disk.written) this.list(host)
  }

  /** One round of the agent: the kernel first, then what is published. */
  step(host: SimHost): void {
    let plan = host.ring.plan()
    if (plan.problem !== undefined) throw plan.problem
    this.#apply(host, plan)
    if (plan.relist) {
      this.list(host)
      plan = host.ring.plan()
      this.#apply(host, plan)
    }
    const { publish, acknowledge } = plan
    if (host.write !== undefined || (publish === undefined && acknowledge === undefined)) return
    if (publish !== undefined) {
      host.disk.former = publish
      host.disk.era = publish.era
    }
    host.write = {
      announcement: publish,
      acknowledgement: acknowledge,
      sequence: 0,
      revision: undefined,
    }
  }

  /** The host's write reaches the store. */
  land(host: SimHost): void {
    const { write } = host
    if (write === undefined || write.revision !== undefined) return
    const { announcement, acknowledgement } = write
    const writes = []
    const sequence = ++host.disk.sequence
    write.sequence = sequence
    if (announcement !== undefined) {
      const body = JSON.stringify(announcementBody(announcement))
      writes.push({ key: `keys/${host.id}`, sequence, body })
    }
    if (acknowledgement !== undefined) {
      const body = JSON.stringify(acknowledgementBody(acknowledgement))
      writes.push({ key: `acks/${host.id}`, sequence, body })
    }
    write.revision = this.store.commit(writes)
    host.writes++
  }

  /** The host hears what became of its write, or never does. */
  respond(host: SimHost, lost: boolean): void {
    const { write } = host
    if (write === undefined) return
    host.write = undefined
    // A write that did not land yet and whose answer is lost is lost itself here.
    if (lost || write.revision === undefined) return
    // The answer of a store that was put back since says nothing.
    const stands = this.store.changes.some(({ record }) => record.revision === write.revision)
    if (!stands || this.store.revision < write.revision) return
    if (host.incarnation !== this.store.incarnation) return
    if (write.announcement) host.disk.written = write.sequence
    if (write.announcement) host.ring.published(write.announcement, write.revision)
    if (write.acknowledgement) host.ring.acknowledged(write.acknowledgement, write.revision)
  }

  /** The process is killed and starts again; with the machine, its kernel forgets everything. */
  restart(host: SimHost, reboot: boolean): void {
    // With more the oldest is taken out of force early, which is documented to cost packets.
    if (!reboot && (host.disk.former?.generations.length ?? 0) > 3) return
    if (reboot) {
      for (const other of this.hosts) {
        for (const [direction, keys] of this.#keysOf(host, other.id)) {
          for (const [spi, key] of keys) host.usedUp.add(`${direction} ${other.id} ${spi} ${key}`)
        }
        if (other !== host) this.#excuse(other, host)
      }
      host.kernel = new Map()
      host.disk.former = undefined
    }
    host.ring.close()
    host.write = undefined
    host.listed = false
    for (const prefix of PREFIXES) host.cursors[prefix] = 0
    host.ring = this.#ring(host)
    for (const other of this.hosts) {
      if (!host.peers.has(other.id)) continue
      this.put(host, other)
      if (this.#dead.has(`${host.id} ${other.id}`)) host.ring.setAlive(other.id, false)
    }
  }

  /**
   * The store is put back, once all hosts have met it as it was put back before: where one has not,
   * and all records of the era that began then are lost, the same number is given to two eras.
   */
  restore(): void {
    const met = this.hosts.every(({ incarnation }) => incarnation === this.store.incarnation)
    if (met) this.store.restore()
  }

  /** Sends packets on everything, and looks whether all that are on their way would be taken. */
  check(): void {
    for (const host of this.hosts) {
      for (const [to, kernel] of host.kernel) {
        for (const spi of kernel.sending.values()) {
          const key = kernel.outbound.get(spi)
          if (key === undefined) throw new Error(`${host.id} sends to ${to} on no association`)
          const sent = { from: host.id, to, spi, key, at: this.now }
          this.#sent.set(`${host.id} ${to} ${spi} ${key}`, sent)
        }
      }
      const { live } = host.ring.rotation()
      if (live.length > 4) throw new Error(`${host.id} has ${live.length} generations`)
    }
    for (const [name, { from, to, spi, key, at }] of this.#sent) {
      if (this.now - at >= GRACE_MS) {
        this.#sent.delete(name)
        continue
      }
      if (this.#isExcused(from, to, spi)) continue
      const receiver = this.hosts.find(({ id }) => id === to)
      const there = receiver?.kernel.get(from)?.inbound.get(spi)
      if (there !== key) {
        const what = there === undefined ? "has no association" : "has another key"
        throw new Error(`${from} sent to ${to} on ${spi.toString(16)} at ${at}, and it ${what}`)
      }
    }
  }

  /** Everything works from here on: who is gone is back, and time goes by. */
  settle(): void {
    for (const host of this.hosts) {
      for (const other of this.hosts) {
        if (other === host) continue
        if (!host.peers.has(other.id)) this.put(host, other)
        this.setAlive(host, other, true)
      }
    }
    let quiet = 0
    for (let round = 0; quiet < 8; round++) {
      if (round > 200) throw new Error(`they do not come to rest: ${this.describe()}`)
      this.now += GRACE_MS / 2
      const before = this.store.revision
      for (const host of this.hosts) {
        this.audit(host)
        for (const prefix of PREFIXES) this.deliver(host, prefix, 1000)
        this.step(host)
        this.check()
        this.land(host)
        this.respond(host, false)
        this.check()
      }
      quiet = this.store.revision === before ? quiet + 1 : 0
    }
  }

  describe(): string {
    return JSON.stringify(this.hosts.map(({ id, ring }) => ({ id, ...ring.rotation() })))
  }

  #ring(host: SimHost): KeyRing {
    return new KeyRing(host.id, host.number, {
      ppk: new Uint8Array(32).fill(9),
      clock: () => this.now,
      random: (bytes) => this.#random(bytes),
      reserve: (generation) => {
        if (generation <= host.disk.generation) throw new Error("the counter went back")
        host.disk.generation = generation
      },
      lastGeneration: host.disk.generation,
      former: host.disk.former,
      era: host.disk.era,
      graceMs: GRACE_MS,
      patienceMs: 1e12,
    })
  }

  #random(bytes: number): Uint8Array {
    const result = new Uint8Array(bytes)
    new DataView(result.buffer).setUint32(0, this.#seed++)
    return result.fill(7, 4)
  }

  #tell(host: SimHost, key: string, record: SimRecord): void {
    const from = key.slice("keys/".length)
    const seen = host.disk.seen.get(key) ?? 0
    const { sequence, body, revision } = record
    if (sequence < seen) {
      if (key.startsWith("keys/")) host.ring.refuse(from)
      return
    }
    host.disk.seen.set(key, sequence)
    try {
      const json: unknown = JSON.parse(body)
      if (key.startsWith("keys/")) host.ring.announced(from, parseAnnouncement(json), revision)
      else host.ring.acked(from, parseAcknowledgement(json), revision)
    } catch (error) {
      if (!(error instanceof PeerRefusedError)) throw error
    }
  }

  #apply(host: SimHost, plan: RingPlan): void {
    for (const peer of plan.changed) this.#install(host, peer)
  }

  #install(host: SimHost, peer: PeerSaPairs): void {
    const empty: SimKernel = { inbound: new Map(), outbound: new Map(), sending: new Map() }
    const kernel = host.kernel.get(peer.hostId) ?? empty
    host.kernel.set(peer.hostId, kernel)
    const wanted = { inbound: new Map<number, string>(), outbound: new Map<number, string>() }
    for (const { number, saPairs } of peer.networks) {
      if (saPairs.length > 8) throw new Error("too many associations")
      const sending = saPairs.filter(({ send }) => send)
      if (sending.length > 1) throw new Error("sends on two associations")
      for (const { inbound, outbound } of saPairs) {
        wanted.inbound.set(inbound.spi, Buffer.from(inbound.key).toString("hex"))
        wanted.outbound.set(outbound.spi, Buffer.from(outbound.key).toString("hex"))
      }
      const spi = sending[0]?.outbound.spi
      if (spi !== undefined) kernel.sending.set(number, spi)
      else if (peer.others !== "use") kernel.sending.delete(number)
    }
    for (const direction of ["inbound", "outbound"] as const) {
      const have = kernel[direction]
      for (const [spi, key] of have) {
        const next = wanted[direction].get(spi)
        const stays =
          peer.others === "use" || (peer.others === "receive" && direction === "inbound")
        if (next === key || (next === undefined && stays)) continue
        have.delete(spi)
        host.usedUp.add(`${direction} ${peer.hostId} ${spi} ${key}`)
      }
      for (const [spi, key] of wanted[direction]) {
        if (have.has(spi)) continue
        if (/^0+$/.test(key)) throw new Error("a key that was wiped is planned")
        if (host.usedUp.has(`${direction} ${peer.hostId} ${spi} ${key}`)) {
          throw new Error(`${host.id} installs ${direction} ${spi.toString(16)} a second time`)
        }
        have.set(spi, key)
      }
    }
  }

  #keysOf(host: SimHost, peer: string): [string, Map<number, string>][] {
    const kernel = host.kernel.get(peer)
    return kernel === undefined
      ? []
      : [
          ["inbound", kernel.inbound],
          ["outbound", kernel.outbound],
        ]
  }

  /** Packets of one host to another may be lost on the receiver's generations so far. */
  #excuse(from: SimHost, to: SimHost): void {
    this.#excused.set(`${to.id} ${from.id}`, to.disk.generation)
  }

  #isExcused(from: string, to: string, spi: number): boolean {
    if (this.#dead.has(`${to} ${from}`)) return true
    const generation = decodeSpi(spi)?.receiverGeneration ?? 0
    return generation <= (this.#excused.get(`${to} ${from}`) ?? 0)
  }
}
