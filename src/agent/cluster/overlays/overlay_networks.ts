import type { Keyspace } from "../../../cluster/records/keyspace.ts"
import { networkNumber } from "../../../cluster/records/network_number.ts"
import type { Store } from "../../../cluster/store/store.ts"
import type { Network } from "../../../config/network.ts"
import type { Driver } from "../../../drivers/driver.ts"
import type { KeyedDriver } from "../../../drivers/keyed_driver.ts"
import type { ManagedNetwork } from "../../networks/networks.ts"
import type { ClusterState } from "../state/cluster_state.ts"
import type { Overlays } from "./overlays.ts"
import type { Retries } from "./retries.ts"

/** One network that keys are made for. */
export interface KeyedNetwork {
  readonly number: number
  readonly driver: KeyedDriver
}

/** What {@link OverlayNetworks} work with. */
export interface OverlayNetworksOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly memory: ClusterState
  readonly overlays: Overlays
  readonly retries: Retries
  /** All networks of this host, as they are now. */
  readonly networks: () => readonly ManagedNetwork[]
  /** Opens a network's driver, by its number in the cluster. @throws LariatError */
  readonly open: (network: Network, number: number) => Driver
  /** A network has its driver, which knows of nothing yet. */
  readonly onOpened: (network: string) => void
  /** A network was taken away. */
  readonly onGone: (network: string) => void
  /** Takes away what an earlier process left of networks that are not among these. */
  readonly sweep: (networks: ReadonlySet<string>) => void
}

/** The networks that reach other hosts: their numbers in the cluster, and their drivers. */
export class OverlayNetworks {
  readonly #options: OverlayNetworksOptions
  readonly #opening = new Map<string, Promise<void>>()
  /** Networks whose driver {@link OverlayNetworksOptions.onOpened} took in. */
  readonly #told = new Set<string>()
  #closed = false

  constructor(options: OverlayNetworksOptions) {
    this.#options = options
  }

  /** As they are configured. */
  all(): Network[] {
    return this.#options
      .networks()
      .flatMap(({ leased, configured }) => (leased && configured !== undefined ? [configured] : []))
  }

  /** Those that keys are made for. */
  keyed(): KeyedNetwork[] {
    return this.#options.overlays.all().flatMap(({ network, driver: { keyed } }) => {
      const number = this.#options.memory.networkNumber(network)
      return keyed === undefined || number === undefined ? [] : [{ number, driver: keyed }]
    })
  }

  /**
   * Opens the drivers of networks that have none, and closes those of networks that are gone.
   * Resolves when each was tried; what failed is tried again by {@link Retries}.
   */
  async open(): Promise<void> {
    const { overlays, retries, onGone, sweep } = this.#options
    const wanted = new Set(this.all().map(({ name }) => name))
    for (const { network } of overlays.all()) {
      if (wanted.has(network)) continue
      overlays.remove(network)
      this.#told.delete(network)
      onGone(network)
    }
    sweep(wanted)
    for (const network of retries.failing("open")) {
      if (!wanted.has(network)) retries.held(network, "open")
    }
    for (const network of wanted) await this.#openOnce(network)
  }

  /** Opens nothing any more. */
  close(): void {
    this.#closed = true
  }

  /** One attempt at a time for each network: who asks meanwhile waits for the same one. */
  #openOnce(network: string): Promise<void> {
    const running = this.#opening.get(network)
    if (running !== undefined) return running
    const opening = this.#open(network).finally(() => this.#opening.delete(network))
    this.#opening.set(network, opening)
    return opening
  }

  /** Never rejects. */
  async #open(network: string): Promise<void> {
    const { store, keys, memory, overlays, retries, open, onOpened } = this.#options
    try {
      const before = this.#find(network)
      if (before === undefined) return
      if (!overlays.adjust(before)) {
        const number =
          memory.networkNumber(network) ?? (await networkNumber(store, keys.networks, network))
        // It may have gone meanwhile.
        const configured = this.#find(network)
        if (configured === undefined) return
        memory.putNetworkNumber(network, number)
        overlays.add({ network, driver: open(configured, number), configured })
      }
      if (this.#told.has(network)) return
      retries.held(network, "open")
      onOpened(network)
      this.#told.add(network)
    } catch (error) {
      retries.failed(network, "open", error, () => void this.#openOnce(network))
    }
  }

  /** As it is configured now, while it is to be opened. */
  #find(network: string): Network | undefined {
    return this.#closed ? undefined : this.all().find(({ name }) => name === network)
  }
}
