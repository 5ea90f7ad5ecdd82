import { sign } from "../../cluster/records/envelope.ts"
import type { HostIdentity } from "../../cluster/records/identity.ts"
import type { PreSharedKey } from "../../cluster/records/psk.ts"
import type { ClusterState } from "./state/cluster_state.ts"

/** Sequences that are written down as used at once: not each record is to cost a write. */
const RESERVED = 1000

/**
 * Signs this host's records. Their sequence grows for as long as the host has its state: after a
 * kill it goes on where it surely was not before.
 */
export class Signer {
  readonly #memory: ClusterState
  readonly #hostId: string
  readonly #identity: HostIdentity
  readonly #psk: PreSharedKey | undefined
  readonly #written = new Map<string, string>()
  #next: number
  #reserved: number

  constructor(
    memory: ClusterState,
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

  /** What is to stand in the store: what was signed last for each key, claims of blocks aside. */
  get written(): ReadonlyMap<string, string> {
    return this.#written
  }

  /** A record that was not signed here is to stand in the store, too. */
  stands(key: string, text: string): void {
    this.#written.set(key, text)
  }

  /** The record of a key is to be gone. */
  forget(key: string): void {
    this.#written.delete(key)
  }

  /** The envelope of a record for a key of the store. @throws LariatError config-invalid */
  sign(kind: string, key: string, body: unknown): string {
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
    const text = sign(kind, body, options)
    // Blocks are won and lost: no claim of one is written again just because it was written before.
    if (kind !== "block") this.#written.set(key, text)
    return text
  }
}
