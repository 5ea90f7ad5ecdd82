import { seal } from "../../cluster/envelope.ts"
import type { HostIdentity } from "../../cluster/identity.ts"
import type { PreSharedKey } from "../../cluster/psk.ts"
import type { ClusterMemory } from "./memory.ts"

/** Sequences that are written down as used at once: not each record is to cost a write. */
const RESERVED = 1000

/**
 * Signs this host's records. Their sequence grows for as long as the host has its state: after a
 * kill it goes on where it surely was not before.
 */
export class Sealer {
  readonly #memory: ClusterMemory
  readonly #hostId: string
  readonly #identity: HostIdentity
  readonly #psk: PreSharedKey | undefined
  #next: number
  #reserved: number

  constructor(
    memory: ClusterMemory,
    hostId: string,
    { identity, psk }: { readonly identity: HostIdentity; readonly psk: PreSharedKey | undefined },
  ) {
    this.#memory = memory
    this.#hostId = hostId
    this.#identity = identity
    this.#psk = psk
    this.#next = memory.sequence + 1
    this.#reserved = memory.sequence
  }

  /** The envelope of a record for a key of the store. @throws LariatError config-invalid */
  seal(kind: string, key: string, body: unknown): string {
    const sequence = this.#next++
    if (sequence > this.#reserved) {
      this.#reserved = sequence + RESERVED
      this.#memory.sequence = this.#reserved
    }
    const options = {
      key,
      hostId: this.#hostId,
      sequence,
      identity: this.#identity,
      psk: this.#psk,
    }
    return seal(kind, body, options)
  }
}
