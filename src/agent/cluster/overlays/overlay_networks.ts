import type { Keyspace } from "../../../cluster/records/keyspace.ts"
import { networkNumber } from "../../../cluster/records/network_number.ts"
import type { Store } from "../../../cluster/store/store.ts"
import type { Network } from "../../../config/network.ts"
import type { Driver } from "../../../drivers/driver.ts"
import type { KeyedDriver } from "../../../drivers/keyed_driver.ts"
import { LariatError, messageOf } from "../../../errors.ts"
import type { Health } from "../../health.ts"
import type { ManagedNetwork } from "../../networks/networks.ts"
import type { ClusterState } from "../state/cluster_state.ts"
import type { Overlays } from "./overlays.ts"

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
  readonly health: Health
  /** All networks of this host, as they are now. */
  readonly networks: () => readonly ManagedNetwork[]
  /** Opens a network's driver, by its number in the cluster. @throws LariatError */
  readonly open: (network: Network, number: number) => Driver
  /** A network has its driver, which knows of nothing yet. */
  readonly onOpened: (network: string) => void
}

/** The networks that reach other hosts: their numbers in the cluster, and their drivers. */
export class OverlayNetworks {
  readonly #options: OverlayNetworksOptions

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
   * Opens the drivers of networks that have none, and closes those of networks that are gone. One
   * that cannot be opened is a problem of the agent's status.
   *
   * @throws LariatError `store-away` where a network has no number yet
   */
  async open(): Promise<void> {
    const { store, keys, memory, overlays } = this.#options
    const wanted = this.all()
    for (const { network } of overlays.all()) {
      if (!wanted.some(({ name }) => name === network)) overlays.remove(network)
    }
    for (const network of wanted) {
      const { name } = network
      if (overlays.adjust(network)) continue
      const number = memory.networkNumber(name) ?? (await networkNumber(store, keys.networks, name))
      memory.putNetworkNumber(name, number)
      this.#openOne(network, number)
    }
  }

  #openOne(network: Network, number: number): void {
    const { overlays, health, open, onOpened } = this.#options
    const { name } = network
    try {
      overlays.add({ network: name, driver: open(network, number), configured: network })
      health.clear(`overlay/${name}`)
      onOpened(name)
    } catch (error) {
      const hint = error instanceof LariatError ? error.hint : undefined
      health.raise(`overlay/${name}`, { severity: "error", what: messageOf(error), hint })
    }
  }
}
