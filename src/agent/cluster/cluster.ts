import type { PreSharedKey } from "../../cluster/records/psk.ts"
import type { Store } from "../../cluster/store/store.ts"
import type { Network } from "../../config/network.ts"
import { LariatError, messageOf } from "../../errors.ts"
import type { PoolSpec } from "../../ipam/pool.ts"
import type { AgentContext } from "../context.ts"
import type { ManagedNetwork } from "../networks/networks.ts"
import type { ClusterPart } from "./cluster_part.ts"
import { type ClusterDependencies, Composition } from "./composition.ts"
import { clusterKey } from "./credentials.ts"
import type { KeyExchange } from "./key_exchange.ts"
import type { BlockReport, ClusterReport, PeerReport, RotationReport } from "./report.ts"
import { blockReports, clusterReport, peerReports } from "./reports.ts"
import { persist } from "./state/persist.ts"
import { openStore } from "./store_connection.ts"

/** How often what needs the store is tried again, milliseconds. */
const RETRY_MS = 1000
/** How often silent hosts are looked for, milliseconds. */
const TICK_MS = 1000
/** How often blocks, pins and the host's own record are gone over, milliseconds. */
const TIDY_MS = 30_000

/**
 * This host's part in a cluster: joins the store with the kernel. While the store is away what
 * stands goes on: addresses are given from the blocks that are held, and no route or key changes.
 */
export class Cluster implements ClusterPart {
  readonly #dependencies: ClusterDependencies
  readonly #all: Composition
  readonly #timers: ReturnType<typeof setInterval>[] = []

  private constructor(
    dependencies: ClusterDependencies,
    store: Store,
    psk: PreSharedKey | undefined,
  ) {
    this.#dependencies = dependencies
    this.#all = new Composition(dependencies, store, psk)
  }

  /**
   * Opens the store and the secrets. Nothing runs yet.
   *
   * @throws LariatError `config-invalid`, `permission`, `io`: a secret or a setting cannot be used
   */
  static open(dependencies: ClusterDependencies): Cluster {
    const { settings, log } = dependencies
    const psk = clusterKey(settings.cluster.pskFile, settings.cluster.name)
    const store = openStore(settings.store, settings.cluster, (error) =>
      log.info("the store: {why}", { why: messageOf(error) }),
    )
    return new Cluster(dependencies, store, psk)
  }

  /** The pools that this host may give addresses of; undefined for a network of this host alone. */
  pools(network: Network): readonly PoolSpec[] | undefined {
    return network.driver === "none" ? undefined : this.#all.blocks.pools(network)
  }

  /** A network is called otherwise from now on: the blocks that this host holds are of that name. */
  renamed(from: string, to: string): void {
    this.#all.blocks.rename(from, to)
  }

  /** Begins: what the store is needed for is tried until it answers. */
  start(context: AgentContext): void {
    const { encapsulation, networks, blocks, publisher, enrolment, tidy, store } = this.#all
    this.#all.context = context
    // Before anything waits for the store: what comes in UDP is lost while nobody has the port.
    encapsulation.configure(networks.all())
    for (const { name } of networks.all()) {
      blocks.lookForStrange(name)
      blocks.overlay(name)
    }
    context.index.onChange((before, after) => {
      publisher.changed(before, after)
      // A block may have gone with it.
      if (before && !after && blocks.isStranded(before)) void tidy.run()
    })
    for (const row of context.index.attached()) publisher.changed(undefined, row)
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS))
    this.#timers.push(
      setInterval(() => {
        // Also while the store is away.
        enrolment.savePins()
        void tidy.run()
      }, TIDY_MS),
    )
    store.onHealth((health) => this.#storeChanged(health.reachable))
    this.#run().catch((error) => this.#failed(error))
  }

  /** The configuration changed. */
  configure(): void {
    this.#all.encapsulation.configure(this.#all.networks.all())
    this.#all.tellEncapsulations()
    void this.#all.networks.open()
    void this.#all.tidy.run()
  }

  /** This host is reached elsewhere: its drivers send from there, and other hosts are told. */
  moved(): void {
    const { networks, exchange, store } = this.#all
    store.reconnect()
    for (const { name } of networks.all()) this.#all.selfChanged(name)
    // Security associations name both ends.
    exchange?.rotate()
  }

  /** Makes sure that an attach finds addresses. @throws LariatError */
  async roomFor(network: ManagedNetwork, requested: readonly string[]): Promise<void> {
    if (network.leased) await this.#all.blocks.roomFor(network.name, requested)
  }

  /** Makes new keys. @throws LariatError `config-invalid` without a network that has keys */
  rotate(): RotationReport {
    const exchange = this.#needExchange()
    exchange.rotate()
    const report = exchange.report()
    return { ...report, settled: false }
  }

  /** How the keys stand. @throws LariatError `config-invalid` without a network that has keys */
  rotation(): RotationReport {
    return this.#needExchange().report()
  }

  report(): ClusterReport {
    const { enrolment, store, exchange } = this.#all
    return clusterReport({
      name: this.#dependencies.settings.cluster.name,
      number: enrolment.number,
      health: store.health(),
      peers: this.peers(),
      rotation: exchange?.report(),
    })
  }

  peers(): PeerReport[] {
    const { directory, overlays, watching, enrolment } = this.#all
    return peerReports(directory, overlays, watching, enrolment.pins)
  }

  blocks(): BlockReport[] {
    const { networks, context, blocks, directory } = this.#all
    const managed = context?.networks
    const { host } = this.#dependencies
    return blockReports({ networks: networks.all(), managed, blocks, directory, host })
  }

  /** Compares the drivers with the kernel. */
  repair(): void {
    const { overlays, networks, statistics } = this.#all
    overlays.repair()
    // The way to other hosts may carry packets of another size.
    for (const { name } of networks.all()) this.#all.probePeers(name)
    if (networks.keyed().length > 0) statistics.check()
  }

  /** Ends; the data path stays, and other hosts wait a while for this one to come back. */
  async stop(): Promise<void> {
    const all = this.#all
    all.stopped = true
    for (const timer of this.#timers) clearInterval(timer)
    all.networks.close()
    all.retries.close()
    all.publisher.stop()
    all.watch.stop()
    await all.watching?.stop()
    await all.encapsulation.stop()
    all.exchangeStart.stop()
    all.directory.close()
    all.enrolment.savePins()
    // The data path stays up: others are not to take this host off while its agent is upgraded.
    await all.store.close({ stay: true })
    all.overlays.close()
    all.psk?.wipe()
  }

  async #run(): Promise<void> {
    const all = this.#all
    const number = await this.#until("register this host", () => all.enrolment.begin())
    if (number === undefined) return
    await all.networks.open()
    if (all.stopped || all.context === undefined) return
    all.encapsulation.begin(number)
    all.exchangeStart.numbered(number)
    all.beginPeerMonitoring(all.context)
    all.watch.begin()
    all.exchangeStart.listening()
    await all.tidy.run()
  }

  #tick(): void {
    const { leases, directory, mesh, members } = this.#all
    leases.tick()
    directory.tick()
    // Before that, not all that are on the mesh have been heard of.
    if (mesh.isCaughtUp) members.save(directory.hosts())
  }

  #storeChanged(reachable: boolean): void {
    const { health } = this.#dependencies
    const { directory, store, leases, networks, tidy } = this.#all
    // Nobody is silent who could not be heard.
    directory.storeReachable(reachable)
    if (!reachable) {
      const { endpoint, reason } = store.health()
      health.raise("store", {
        severity: "warning",
        what: `the store at ${endpoint} does not answer: ${reason ?? "no reason known"}`,
        hint: "containers go on; new hosts, blocks and keys wait until it is back",
      })
      return
    }
    health.clear("store")
    leases.invalidate()
    void networks.open()
    void tidy.run()
  }

  #failed(error: unknown): void {
    const hint = error instanceof LariatError ? error.hint : undefined
    this.#dependencies.health.raise("cluster", { severity: "error", what: messageOf(error), hint })
  }

  /** Tries until it works, and says why it does not yet; undefined when the agent stops meanwhile. */
  #until<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    const onFailure = (error: unknown) => {
      const said = `cannot ${what} yet: ${messageOf(error)}`
      const hint = error instanceof LariatError ? error.hint : undefined
      this.#dependencies.health.raise("cluster", { severity: "warning", what: said, hint })
      this.#dependencies.log.info("{said}", { said })
    }
    return persist(work, { retryMs: RETRY_MS, isOver: () => this.#all.stopped, onFailure })
  }

  #needExchange(): KeyExchange {
    if (this.#all.exchange !== undefined) return this.#all.exchange
    throw new LariatError("Cannot speak of keys: no network of this host is carried by ipsec", {
      code: "config-invalid",
      hint: "wireguard makes its own keys every two minutes; vxlan and routed have none",
    })
  }
}
