import type { HostIdentity } from "../../cluster/records/identity.ts"
import { sealIdentity } from "../../cluster/records/identity_record.ts"
import type { Keyspace } from "../../cluster/records/keyspace.ts"
import { type PinRows, Pins } from "../../cluster/records/pins.ts"
import type { PreSharedKey } from "../../cluster/records/psk.ts"
import { register } from "../../cluster/records/registration.ts"
import type { Store } from "../../cluster/store/store.ts"
import type { Signer } from "./signer.ts"
import type { ClusterState } from "./state/cluster_state.ts"

/** What an {@link Enrolment} works with. */
export interface EnrolmentOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly hostId: string
  readonly identity: HostIdentity
  readonly psk: PreSharedKey | undefined
  readonly memory: ClusterState
  readonly signer: Signer
  /** A host that was registered before could not make sure of it; it goes on with what it knows. */
  readonly onFailure: (error: unknown) => void
}

/** Who this host is to the cluster, and whom it knows: its number and identity, and the pins. */
export class Enrolment {
  /** This host's and those of all that it ever met. */
  readonly pins: Pins
  readonly #options: EnrolmentOptions

  /** @throws LariatError decode when the state directory is damaged */
  constructor(options: EnrolmentOptions) {
    this.#options = options
    const rows = options.memory.pins as PinRows | undefined
    this.pins = new Pins(rows ?? { pins: [], sequences: [] })
  }

  /** The host's number; undefined for one that was never registered. */
  get number(): number | undefined {
    return this.#options.memory.number
  }

  /**
   * The host's number: remembered, or agreed with the store.
   *
   * @throws LariatError as {@link register}, for a host that was never registered
   */
  async begin(): Promise<number> {
    const known = this.number
    const work = this.#register(known)
    if (known === undefined) {
      const number = await work
      this.#options.memory.number = number
      this.#pinSelf(number)
      return number
    }
    // The regular check registers it where it is missing.
    work.catch(this.#options.onFailure)
    this.#pinSelf(known)
    return known
  }

  /**
   * Writes down who is known, and registers a host again that the store does not know any more.
   *
   * @throws LariatError as {@link register}
   */
  async renew(): Promise<void> {
    this.savePins()
    if (this.number !== undefined) await this.#register(this.number)
  }

  /** Writes down who is known. Of containers there are many, and each says anew what it is. */
  savePins(): void {
    const { keys, memory } = this.#options
    const { pins, sequences } = this.pins.rows()
    const lasting = sequences.filter(({ key }) => keys.parse(key)?.kind !== "endpoint")
    memory.pins = { pins, sequences: lasting }
  }

  #register(number: number | undefined): Promise<number> {
    const { store, keys, hostId, identity, psk } = this.#options
    return register({ store, keys, hostId, identity, psk, number })
  }

  #pinSelf(number: number): void {
    const { keys, hostId, identity, psk, signer } = this.#options
    this.pins.take(hostId, { publicKey: identity.publicKey, number })
    const key = keys.identity(hostId)
    signer.stands(key, sealIdentity(identity, { key, hostId, psk, number }))
    signer.stands(keys.number(number), hostId)
  }
}
