/** A host that writes what it is told to: for tests of those who read it. */
import type { BlockClaim, ClaimReason } from "../../src/cluster/records/block_claim.ts"
import { type EndpointRecord, endpointBody } from "../../src/cluster/records/endpoint_record.ts"
import { sign } from "../../src/cluster/records/envelope.ts"
import { type HostRecord, hostBody } from "../../src/cluster/records/host_record.ts"
import { HostIdentity } from "../../src/cluster/records/identity.ts"
import { sealIdentity } from "../../src/cluster/records/identity_record.ts"
import type { Keyspace } from "../../src/cluster/records/keyspace.ts"
import type { PreSharedKey } from "../../src/cluster/records/psk.ts"
import type { Write } from "../../src/cluster/store/store.ts"

export class TestHost {
  readonly id: string
  readonly number: number
  readonly identity: HostIdentity
  readonly keys: Keyspace
  readonly psk: PreSharedKey | undefined
  /** Of its blocks and containers. */
  readonly network: string
  sequence = 0

  constructor(id: string, number: number, keys: Keyspace, psk?: PreSharedKey, network = "n") {
    this.network = network
    this.id = id
    this.number = number
    this.keys = keys
    this.psk = psk
    this.identity = HostIdentity.create((bytes) => {
      const seed = new Uint8Array(bytes)
      new DataView(seed.buffer).setUint32(0, number)
      Buffer.from(id).copy(seed, 4)
      return seed
    })
  }

  get name(): string {
    return `name-${this.id}`
  }

  get underlay(): string {
    return `192.0.${this.number >> 8}.${this.number & 0xff}`
  }

  sign(kind: string, key: string, body: unknown): string {
    const { id: hostId, identity, psk } = this
    return sign(kind, body, { key, hostId, sequence: this.sequence++, identity, psk })
  }

  claimText(key: string, state: BlockClaim["state"], reason: ClaimReason = {}): string {
    return this.sign("block", key, { state, ...reason })
  }

  identityWrite(number = this.number): Write {
    const key = this.keys.identity(this.id)
    const place = { key, hostId: this.id, psk: this.psk, number }
    return { key, value: sealIdentity(this.identity, place) }
  }

  aliveWrite(): Write {
    return { key: this.keys.alive(this.id), value: this.name }
  }

  recordWrite(change: Partial<HostRecord> = {}): Write {
    const key = this.keys.host(this.id)
    const record: HostRecord = {
      name: this.name,
      underlay: [this.underlay],
      labels: {},
      networks: { [this.network]: { driver: "ipsec", overlay: [], parameters: {} } },
      ...change,
    }
    return { key, value: this.sign("host", key, hostBody(record)) }
  }

  /** Everything by which a host is on the mesh. */
  join(): Write[] {
    return [this.identityWrite(), this.recordWrite(), this.aliveWrite()]
  }

  claimWrite(block: string, state: BlockClaim["state"] = "held", reason: ClaimReason = {}): Write {
    const key = this.keys.block(this.network, block)
    return { key, value: this.claimText(key, state, reason) }
  }

  endpointWrite(address: string, change: Partial<EndpointRecord> = {}): Write {
    const key = this.keys.endpoint(this.network, address)
    const record: EndpointRecord = {
      uuid: `uuid ${this.id} ${address}`,
      containerId: `c-${address}`,
      name: `web-${address}`,
      addresses: [address],
      mac: undefined,
      labels: {},
      createIndex: 1,
      ...change,
    }
    return { key, value: this.sign("endpoint", key, endpointBody(record)) }
  }
}
