/** A directory with everything that it told, and what it comes to. */
import { Directory, type DirectoryOptions } from "../../src/cluster/directory/directory.ts"
import { Refusals } from "../../src/cluster/directory/refusals.ts"
import type { EndpointRecord } from "../../src/cluster/records/endpoint_record.ts"
import { PeerRefusedError } from "../../src/cluster/records/envelope.ts"
import type { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { Pins } from "../../src/cluster/records/pins.ts"
import { parsePrefix } from "../../src/core/address.ts"
import { TestHost } from "./test_host.ts"

export const GRACE_MS = 1000
export const REUSE_MS = 1_000_000

export class Observer {
  readonly self: TestHost
  readonly pins = new Pins()
  readonly directory: Directory
  /** What was told, oldest first; emptied by {@link take}. */
  events: string[] = []
  /** Refused records: `kind check host`. */
  refused: string[] = []
  readonly messages: string[] = []
  readonly mine = new Set<string>()
  /** Containers that a listener has. */
  readonly containers = new Map<string, EndpointRecord>()
  /** Announcements are refused with this. */
  refuseKeys: string | undefined = undefined
  now = 0

  constructor(keys: Keyspace, change: Partial<DirectoryOptions> = {}) {
    this.self = new TestHost("me", 60_000, keys)
    this.pins.take("me", { publicKey: this.self.identity.publicKey, number: this.self.number })
    this.directory = new Directory({
      keys,
      selfId: "me",
      pins: this.pins,
      psk: undefined,
      refusals: new Refusals(({ hostId, kind, error }) => {
        this.refused.push(`${kind} ${error.check} ${hostId ?? "?"}`)
        this.messages.push(error.message)
      }),
      clock: () => this.now,
      graceMs: GRACE_MS,
      reuseMs: REUSE_MS,
      ownUnderlay: () => ["192.0.2.200"],
      isBlock: (network, block) => network === "n" && isBlock(block),
      isMine: (_network, block) => this.mine.has(block),
      listener: {
        hostChanged: (hostId) => this.events.push(`host ${hostId}`),
        hostGone: (hostId) => this.events.push(`gone ${hostId}`),
        endpointPut: (network, hostId, record) => {
          this.events.push(`put ${hostId} ${record.addresses.join()}`)
          this.containers.set(`${network} ${record.uuid}`, record)
        },
        endpointRemoved: (network, hostId, record) => {
          this.events.push(`removed ${hostId} ${record.addresses.join()}`)
          this.containers.delete(`${network} ${record.uuid}`)
        },
        keysAnnounced: (hostId, body, revision) => {
          if (this.refuseKeys !== undefined) throw new PeerRefusedError(this.refuseKeys, "no")
          this.events.push(`keys ${hostId} ${JSON.stringify(body)} ${revision}`)
        },
        keysAcknowledged: (hostId, body) =>
          this.events.push(`ack ${hostId} ${JSON.stringify(body)}`),
        keysRefused: (hostId) => this.events.push(`refused ${hostId}`),
        ownEndpoint: (key) => this.events.push(`own ${key.slice(keys.prefix.length)}`),
        ownBlock: (_network, block) => this.events.push(`own ${block}`),
        caughtUp: () => undefined,
        putBack: () => this.events.push("put back"),
      },
      ...change,
    })
  }

  /** What was told since it was asked before. */
  take(): string[] {
    const { events } = this
    this.events = []
    return events
  }

  takeRefused(): string[] {
    const { refused } = this
    this.refused = []
    return refused
  }

  /** All that is believed, in one order. */
  shape(): unknown {
    const hosts = [...this.directory.hosts()].sort((a, b) => (a.hostId < b.hostId ? -1 : 1))
    return hosts.map((host) => ({
      id: host.hostId,
      number: host.number,
      record: host.record,
      member: host.member,
      present: host.presentSince !== undefined,
      blocks: host.blocksOf("n"),
      endpoints: [...host.endpoints].sort(([a], [b]) => (a < b ? -1 : 1)),
      peer: this.directory.peer("n", host.hostId),
    }))
  }
}

function isBlock(block: string): boolean {
  try {
    const { family, length } = parsePrefix(block)
    return length === (family === 4 ? 24 : 112)
  } catch {
    return false
  }
}
