/**
 * The work of one ipsec host with many peers, in a process of its own so that its memory is counted:
 * `make N FILE` writes what N hosts say, `run N FILE` takes it in and prints a {@link PeersReport}.
 *
 * What is real: directory, key ring, associations, policies, and the kernel's table of policies in a
 * namespace of its own. Not real: associations are encoded and not sent, so that it runs on kernels
 * without ESP.
 */
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import type { DirectoryPeer } from "../../src/cluster/directory/directory.ts"
import { parseAcknowledgement } from "../../src/cluster/keys/acknowledgement.ts"
import { parseAnnouncement } from "../../src/cluster/keys/announcement.ts"
import { KeyRing } from "../../src/cluster/keys/key_ring.ts"
import type { RingPlan } from "../../src/cluster/keys/ring_plan.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { parsePsk } from "../../src/cluster/records/psk.ts"
import type { Change, Entry } from "../../src/cluster/store/store.ts"
import {
  ifIdOf,
  peerPolicies,
  policyKey,
  reqidOf,
  samePolicy,
} from "../../src/drivers/ipsec/policies.ts"
import { SaPairs, type TunnelEndpoints } from "../../src/drivers/ipsec/sa_pairs.ts"
import { KernelTable, settle } from "../../src/drivers/kernel_table.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import type { MessageWriter } from "../../src/netlink/message.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import {
  deletePolicy,
  listPolicies,
  type Policy,
  replacePolicy,
} from "../../src/netlink/xfrm/policy.ts"
import { createNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { blockOfTen, crowd } from "../cluster_model/crowd.ts"
import { Observer } from "../cluster_model/observer.ts"
import { requireTestNetns } from "../netns/guard.ts"

/** Milliseconds of processor. */
export interface Spent {
  readonly user: number
  readonly system: number
}

/** What the run measured. */
export interface PeersReport {
  readonly stages: Readonly<Record<Stage, Spent>>
  readonly saPairs: number
  /** Of netlink messages that make associations. */
  readonly associationBytes: number
  /** Counted in the kernel. */
  readonly policies: number
  /** Resident after all of it, megabytes. */
  readonly memoryMb: number
  /** Resident with the records read and nothing done. */
  readonly beforeMb: number
}

/**
 * `open`: envelopes checked, hosts and blocks known. `block`: policies that block, before there are
 * keys. `agree`: pairs of keys. `inbound`: associations to receive on. `acks`: acknowledgements
 * opened, pairs chosen. `outbound`: associations to send on. `switch`: policies that send.
 */
export type Stage = "open" | "block" | "agree" | "inbound" | "acks" | "outbound" | "switch"

/** What the hosts say, and then acknowledge. */
interface Records {
  readonly entries: readonly Entry[]
  readonly acks: readonly Change[]
}

const SELF = "me"
const SELF_NUMBER = 60_000
const SELF_ADDRESS = "192.0.2.1"
const NETWORK = { name: "n", number: 3, cipher: "aes256gcm16" } as const
const SUBNETS = ["10.64.0.0/10", "fd00:42::/64"]
const KEYS = new Keyspace("default")
const PSK = parsePsk("the key of a model that is no secret, 64 bytes of it or more ...")
const MEGABYTE = 1024 * 1024

function make(count: number): Records {
  const hosts = crowd(count, {
    keys: KEYS,
    psk: PSK,
    network: NETWORK.name,
    driver: "ipsec",
    blockOf: blockOfTen,
  })
  let revision = 0
  const entries = hosts
    .flatMap((host) => host.writes())
    .map(({ key, value = "" }) => ({ key, value, revision: ++revision }))
  const published = ++revision
  const acks = hosts.map((host) => ({ ...host.ackWrite(published), revision: ++revision }))
  return { entries, acks }
}

/** Takes every association as a kernel does that refuses none. */
class EncodingSocket {
  messages = 0
  bytes = 0

  tryAll(batch: readonly MessageWriter[]) {
    return batch.map((writer) => {
      this.bytes += writer.finish(++this.messages).byteLength
      return { answers: [], error: undefined }
    })
  }

  dump(): never {
    throw new Error("nothing is read in this model")
  }
}

class Model {
  readonly stages: Partial<Record<Stage, Spent>> = {}
  readonly states = new EncodingSocket()
  readonly #ring = new KeyRing(SELF, SELF_NUMBER, {
    ppk: PSK.ppk(),
    clock: () => 0,
    random: (bytes) => Uint8Array.from(randomBytes(bytes)),
    reserve: () => undefined,
  })
  readonly #observer: Observer
  #changed: string[] = []
  #caughtUp = 0
  readonly #peers = new Map<string, DirectoryPeer>()
  readonly #ifId = ifIdOf(NETWORK.number)
  readonly #saPairs: SaPairs
  readonly #policies: KernelTable<Policy>

  constructor(xfrm: NetlinkSocket) {
    this.#policies = new KernelTable<Policy>(xfrm, {
      what: "policy",
      key: policyKey,
      same: samePolicy,
      add: replacePolicy,
      remove: deletePolicy,
      list: () => [],
    })
    this.#saPairs = new SaPairs(this.states, {
      network: NETWORK.number,
      cipher: NETWORK.cipher,
      ifId: this.#ifId,
      softPackets: 1n << 32n,
    })
    this.#observer = new Observer(KEYS, {
      psk: PSK,
      isBlock: () => true,
      listener: {
        hostChanged: (hostId) => this.#changed.push(hostId),
        hostGone: () => undefined,
        endpointPut: () => undefined,
        endpointRemoved: () => undefined,
        keysAnnounced: (hostId, body, revision) =>
          this.#ring.announced(hostId, parseAnnouncement(body), revision),
        keysAcknowledged: (hostId, body, revision) =>
          this.#ring.acked(hostId, parseAcknowledgement(body), revision),
        keysRefused: (hostId) => this.#ring.refuse(hostId),
        ownEndpoint: () => undefined,
        ownBlock: () => undefined,
        caughtUp: (revision) => {
          this.#caughtUp = revision
        },
        putBack: () => undefined,
      },
    })
  }

  run({ entries, acks }: Records, count: number): void {
    const { directory } = this.#observer
    const revision = entries.length
    this.#measure("open", () => directory.snapshot({ entries, revision }))
    this.#measure("block", () => {
      for (const hostId of this.#changed) {
        const peer = directory.peer(NETWORK.name, hostId)
        if (peer === undefined) throw new Error(`${hostId} is no peer`)
        this.#peers.set(hostId, peer)
        this.#setPolicies(peer, undefined)
      }
    })
    const first = this.#measure("agree", () => {
      for (const { hostId, number } of this.#peers.values()) {
        this.#ring.putPeer(hostId, { number, networks: [NETWORK] })
      }
      this.#ring.heard(this.#caughtUp)
      return this.#ring.plan()
    })
    this.#measure("inbound", () => this.#install(first))
    const { publish, acknowledge } = first
    if (publish === undefined || acknowledge === undefined) throw new Error("nothing is published")
    this.#ring.published(publish, revision + 1)
    this.#ring.acknowledged(acknowledge, revision + 1)
    const second = this.#measure("acks", () => {
      directory.changes(acks, revision + 1 + acks.length)
      this.#ring.heard(this.#caughtUp)
      return this.#ring.plan()
    })
    this.#measure("outbound", () => this.#install(second))
    this.#measure("switch", () => {
      for (const { hostId, networks } of second.changed) {
        const sent = networks[0]?.saPairs.find(({ send }) => send)
        const peer = this.#peers.get(hostId)
        if (sent === undefined || peer === undefined) throw new Error(`${hostId} gets no keys`)
        this.#setPolicies(peer, sent.outbound.spi)
      }
    })
    const [refusal] = this.#observer.messages
    if (refusal !== undefined) throw new Error(refusal)
    if (this.#peers.size !== count || this.states.messages !== 2 * count) {
      throw new Error(`${this.#peers.size} peers, ${this.states.messages} associations`)
    }
  }

  #measure<T>(stage: Stage, work: () => T): T {
    const before = process.cpuUsage()
    const result = work()
    const { user, system } = process.cpuUsage(before)
    this.stages[stage] = { user: user / 1000, system: system / 1000 }
    return result
  }

  #install({ changed }: RingPlan): void {
    for (const { hostId, networks } of changed) {
      const peer = this.#peers.get(hostId)
      const saPairs = networks[0]?.saPairs ?? []
      if (peer !== undefined) this.#saPairs.install(this.#routeOf(peer), saPairs)
    }
  }

  #routeOf({ number, underlay }: DirectoryPeer): TunnelEndpoints {
    const [remote = ""] = underlay
    const reqid = reqidOf(NETWORK.number, number)
    return { reqid, local: SELF_ADDRESS, remote, encapsulation: undefined }
  }

  /** As the driver does it: each peer by itself. */
  #setPolicies(peer: DirectoryPeer, spi: number | undefined): void {
    // A block of each family, as hosts of the default network have them.
    const prefixes = [...peer.blocks, `fd00:42::${peer.number.toString(16)}:0/112`]
    const tunnel = { ...this.#routeOf(peer), spi, prefixes }
    this.#policies.desired(peer.hostId, peerPolicies(tunnel, SUBNETS, this.#ifId))
    settle([this.#policies])
  }
}

function run(records: Records, count: number): PeersReport {
  const netns = createNetns()
  try {
    return withNetns(netns, () => {
      using xfrm = NetlinkSocket.open(NETLINK_XFRM)
      const beforeMb = process.memoryUsage().rss / MEGABYTE
      const model = new Model(xfrm)
      model.run(records, count)
      const memoryMb = process.memoryUsage().rss / MEGABYTE
      return {
        stages: model.stages as PeersReport["stages"],
        saPairs: model.states.messages,
        associationBytes: model.states.bytes,
        policies: listPolicies(xfrm).length,
        memoryMb,
        beforeMb,
      }
    })
  } finally {
    netns.close()
  }
}

if (import.meta.main) {
  requireTestNetns()
  const [verb, count = "", file = ""] = process.argv.slice(2)
  if (verb === "make") writeFileSync(file, JSON.stringify(make(Number(count))))
  else console.log(JSON.stringify(run(JSON.parse(readFileSync(file, "utf8")), Number(count))))
}
