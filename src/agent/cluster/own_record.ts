import { type HostRecord, hostBody } from "../../cluster/records/host_record.ts"
import type { Keyspace } from "../../cluster/records/keyspace.ts"
import type { Store } from "../../cluster/store/store.ts"
import type { AgentContext } from "../context.ts"
import type { HostIdentity } from "../state/identity.ts"
import type { BlockKeeper } from "./blocks/block_keeper.ts"
import type { Overlay } from "./overlays/overlays.ts"
import type { Signer } from "./signer.ts"

/** What this host says of itself in the store. */
export class OwnRecord {
  readonly #store: Store
  readonly #keys: Keyspace
  readonly #hostId: string
  readonly #signer: Signer
  /** As it was published last; empty when it is to be published again. */
  #published = ""

  constructor(store: Store, keys: Keyspace, hostId: string, signer: Signer) {
    this.#store = store
    this.#keys = keys
    this.#hostId = hostId
    this.#signer = signer
  }

  /** The store may not have it any more. */
  forget(): void {
    this.#published = ""
  }

  /** Publishes it, where it is not what was published before. @throws LariatError `store-away` */
  async publish(record: HostRecord): Promise<void> {
    const text = JSON.stringify(record)
    if (text === this.#published) return
    this.#published = text
    try {
      const key = this.#keys.host(this.#hostId)
      await this.#store.commit(
        [],
        [{ key, value: this.#signer.sign("host", key, hostBody(record)) }],
      )
    } catch (error) {
      this.#published = ""
      throw error
    }
  }
}

/**
 * What there is to say of this host now.
 *
 * @param more what is to be known of a network beside its driver's own parameters
 */
export function hostRecord(
  { host, settings }: { readonly host: HostIdentity } & Pick<AgentContext, "settings">,
  overlays: { all(): readonly Pick<Overlay, "network" | "driver">[] },
  blocks: Pick<BlockKeeper, "overlay">,
  more: (network: string) => Readonly<Record<string, string>>,
): HostRecord {
  const networks = overlays.all().map(({ network, driver }) => {
    const parameters = { ...driver.parameters, ...more(network) }
    return [network, { driver: driver.kind, overlay: blocks.overlay(network), parameters }] as const
  })
  return {
    name: host.name,
    underlay: host.addresses,
    labels: settings.hostLabels,
    networks: Object.fromEntries(networks),
  }
}
