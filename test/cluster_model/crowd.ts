/** As many hosts as are wanted, with everything that real ones write to the store. */
import { randomBytes } from "node:crypto"
import { acknowledgementBody } from "../../src/cluster/keys/acknowledgement.ts"
import { announcementBody, type PublicGeneration } from "../../src/cluster/keys/announcement.ts"
import { publicValueOf } from "../../src/cluster/keys/key_agreement.ts"
import type { Keyspace } from "../../src/cluster/records/keyspace.ts"
import type { PreSharedKey } from "../../src/cluster/records/psk.ts"
import type { Write } from "../../src/cluster/store/store.ts"
import { TestHost } from "./test_host.ts"

/** Below the numbers of hosts that join by themselves: those begin at a random place. */
const FIRST_NUMBER = 256
const KEY_BYTES = 32

/** What a crowd is of. */
export interface CrowdOptions {
  readonly keys: Keyspace
  readonly psk: PreSharedKey
  readonly network: string
  readonly driver: "ipsec" | "vxlan"
  /** The block of the host of this index, a /24. */
  readonly blockOf: (index: number) => string
}

/** One host of a crowd: its identity is good, and so is every record of it. */
export class CrowdHost {
  readonly host: TestHost
  readonly block: string
  readonly generation: PublicGeneration
  readonly #options: CrowdOptions

  constructor(index: number, options: CrowdOptions) {
    const { keys, psk, network, blockOf } = options
    this.#options = options
    this.host = new TestHost(`crowd-${index}`, FIRST_NUMBER + index, keys, psk, network)
    this.block = blockOf(index)
    this.generation = {
      generation: 1,
      publicValue: publicValueOf(Uint8Array.from(randomBytes(KEY_BYTES))),
      nonce: Uint8Array.from(randomBytes(KEY_BYTES)),
    }
  }

  get underlay(): string {
    const { number } = this.host
    return `198.18.${number >> 8}.${number & 0xff}`
  }

  /** Its own address on the network: the last one of its block that may be given. */
  get overlay(): string {
    return this.block.replace(/\.0\/24$/, ".254")
  }

  /** What it writes when it comes, in the order in which a host does. */
  writes(): Write[] {
    const { host } = this
    const { keys } = host
    return [
      { key: keys.number(host.number), value: host.id },
      host.identityWrite(),
      host.claimWrite(this.block),
      this.recordWrite(),
      host.aliveWrite(),
      this.keysWrite(),
      this.ackWrite(0),
    ]
  }

  recordWrite(): Write {
    const { driver, network } = this.#options
    const { number } = this.host
    const mac = `0e:00:00:00:${hex(number >> 8)}:${hex(number & 0xff)}`
    const parameters: Record<string, string> = driver === "vxlan" ? { mac } : {}
    return this.host.recordWrite({
      underlay: [this.underlay],
      networks: { [network]: { driver, overlay: [this.overlay], parameters } },
    })
  }

  /** Its announcement. */
  keysWrite(): Write {
    const { host, generation } = this
    const key = host.keys.keys(host.id)
    const body = announcementBody({ era: 0, generations: [generation] })
    return { key, value: host.sign("keys", key, body) }
  }

  /** Its acknowledgement of all up to a revision. */
  ackWrite(revision: number): Write {
    const { host, generation } = this
    const key = host.keys.ack(host.id)
    const said = { era: 0, revision, generation: generation.generation, refused: [] }
    return { key, value: host.sign("ack", key, acknowledgementBody(said)) }
  }
}

/** Makes so many hosts: about a millisecond of processor each, with their records. */
export function crowd(count: number, options: CrowdOptions): CrowdHost[] {
  return Array.from({ length: count }, (_, index) => new CrowdHost(index, options))
}

/** The /24 with this number in 10.64.0.0/10. */
export function blockOfTen(index: number): string {
  return `10.${64 + (index >> 8)}.${index & 0xff}.0/24`
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0")
}
