import { readFileSync } from "node:fs"
import { BlockLeases } from "../../cluster/block_lease.ts"
import { Directory } from "../../cluster/directory.ts"
import type { HostIdentity } from "../../cluster/identity.ts"
import { sealIdentity } from "../../cluster/identity_record.ts"
import { Keyspace, type ParsedKey } from "../../cluster/keyspace.ts"
import { networkNumber } from "../../cluster/network_number.ts"
import { type PinRows, Pins } from "../../cluster/pins.ts"
import type { PreSharedKey } from "../../cluster/psk.ts"
import { Refusals } from "../../cluster/refusals.ts"
import { register } from "../../cluster/registration.ts"
import type { Store, Subscription } from "../../cluster/store.ts"
import type { Network } from "../../config/network.ts"
import { IpsecDriver } from "../../drivers/ipsec/ipsec_driver.ts"
import { LariatError, messageOf } from "../../errors.ts"
import type { PoolSpec } from "../../ipam/pool.ts"
import { monotonicMs } from "../../sys/clock.ts"
import { takeDescriptors } from "../../sys/fd_store.ts"
import type { AgentContext } from "../context.ts"
import type { ManagedNetwork } from "../networks.ts"
import { BlockKeeper } from "./block_keeper.ts"
import type { ClusterPart } from "./cluster_part.ts"
import { clusterKey, ownIdentity } from "./credentials.ts"
import { openDriver } from "./driver_choice.ts"
import { Encapsulation } from "./encapsulation.ts"
import { EndpointPublisher } from "./endpoint_publisher.ts"
import { KeyExchange } from "./key_exchange.ts"
import { MemberMemory } from "./member_memory.ts"
import { ClusterMemory } from "./memory.ts"
import { Mesh } from "./mesh.ts"
import { Overlays } from "./overlays.ts"
import { OwnKeys } from "./own_keys.ts"
import { hostRecord, OwnRecord } from "./own_record.ts"
import { persist } from "./persist.ts"
import type { BlockReport, ClusterReport, PeerReport, RotationReport } from "./report.ts"
import { blockReports, clusterReport, peerReports } from "./reports.ts"
import { Sealer } from "./sealer.ts"
import { SingleFlight } from "./single_flight.ts"
import { StatisticsWatch } from "./statistics_watch.ts"
import { openStore } from "./store_connection.ts"
import { startWatching, type Watching } from "./watching.ts"

/** The host's identity, in the state directory. */
const IDENTITY_FILE = "identity.key"
/** The counters of the agent's network namespace. */
const STATISTICS = "/proc/net/xfrm_stat"
/** How often what needs the store is tried again, milliseconds. */
const RETRY_MS = 1000
/** How often silent hosts are looked for, milliseconds. */
const TICK_MS = 1000
/** How often blocks, pins and the host's own record are gone over, milliseconds. */
const TIDY_MS = 30_000
/**
 * How long nobody goes off the mesh after the store came back, milliseconds: a host notices within
 * three calls of 3 s and their waits.
 */
const RETURN_MS = 12_000

/** What a cluster is opened with, before anything of it runs. */
export type ClusterParts = Pick<
  AgentContext,
  "settings" | "host" | "bootId" | "journal" | "health" | "log" | "random"
>

/**
 * This host's part in a cluster: joins the store with the kernel. While the store is away what
 * stands goes on: addresses are given from the blocks that are held, and no route or key changes.
 */
export class Cluster implements ClusterPart {
  readonly #parts: ClusterParts
  readonly #keys: Keyspace
  readonly #memory: ClusterMemory
  readonly #identity: HostIdentity
  readonly #psk: PreSharedKey | undefined
  readonly #sealer: Sealer
  readonly #store: Store
  readonly #pins: Pins
  readonly #refusals: Refusals
  readonly #directory: Directory
  readonly #overlays: Overlays
  readonly #leases: BlockLeases
  readonly #blocks: BlockKeeper
  readonly #publisher: EndpointPublisher
  readonly #own: OwnRecord
  readonly #statistics: StatisticsWatch
  readonly #mesh: Mesh
  readonly #encapsulation: Encapsulation
  readonly #ownKeys: OwnKeys
  readonly #members: MemberMemory
  readonly #timers: ReturnType<typeof setInterval>[] = []
  #context: AgentContext | undefined
  #exchange: KeyExchange | undefined
  #watching: Watching | undefined
  /** What needs the store from time to time. */
  readonly #tidy = new SingleFlight(() => this.#tidyOnce())
  #subscription: Subscription | undefined
  #stopped = false

  private constructor(parts: ClusterParts, store: Store, psk: PreSharedKey | undefined) {
    const { settings, host, journal, health, log, random } = parts
    this.#parts = parts
    this.#store = store
    this.#psk = psk
    this.#keys = new Keyspace(settings.cluster.name)
    this.#memory = new ClusterMemory(journal, settings.cluster.name)
    this.#identity = ownIdentity(`${settings.stateDir}/${IDENTITY_FILE}`, random)
    this.#sealer = new Sealer(this.#memory, host.uuid, { identity: this.#identity, psk })
    this.#pins = new Pins((this.#memory.pins as PinRows | undefined) ?? { pins: [], sequences: [] })
    this.#refusals = new Refusals(({ error }) => log.warn("refused: {why}", { why: error.message }))
    this.#overlays = new Overlays(health)
    this.#publisher = new EndpointPublisher({
      store,
      keys: this.#keys,
      sealer: this.#sealer,
      isShared: (network, address) =>
        this.#context?.networks.get(network)?.leased === true &&
        !this.#blocks.lost.covers(network, address),
      onFailure: (error) =>
        log.info("containers are not told of yet: {why}", { why: messageOf(error) }),
    })
    this.#statistics = new StatisticsWatch(health, () => readFileSync(STATISTICS, "utf8"))
    this.#own = new OwnRecord(store, this.#keys, host.uuid, this.#sealer)
    this.#encapsulation = new Encapsulation({
      hostId: host.uuid,
      underlay: () => host.addresses,
      psk,
      health,
      log,
      clock: monotonicMs,
      random,
      kept: takeDescriptors(),
      drivers: () => this.#overlays.all(),
      onSettled: (hostId) => this.#mesh.hostChanged(hostId),
      onParameters: () => this.#publish(),
    })
    this.#mesh = new Mesh({
      hostId: host.uuid,
      psk,
      memory: this.#memory,
      overlays: this.#overlays,
      publisher: this.#publisher,
      log,
      directory: () => this.#directory,
      context: () => this.#context,
      networks: () => this.#carried(),
      exchange: () => this.#exchange,
      watching: () => this.#watching,
      encapsulation: () => this.#encapsulation,
      nameOf: (hostId) => this.#nameOf(hostId),
      onOwnBlock: () => void this.#tidy.run(),
      onPutBack: () => {
        this.#leases.doubt()
        this.#own.forget()
        void this.#tidy.run()
      },
    })
    this.#members = new MemberMemory(this.#memory, parts.bootId)
    const { hostTimeoutMs, blockReuseMs, allowHosts } = settings.cluster
    this.#directory = new Directory({
      keys: this.#keys,
      selfId: host.uuid,
      pins: this.#pins,
      psk,
      refusals: this.#refusals,
      clock: monotonicMs,
      graceMs: hostTimeoutMs / 2,
      returnMs: RETURN_MS,
      reuseMs: blockReuseMs,
      later: (go) => void setImmediate(go),
      allow: allowHosts,
      former: (hostId) => this.#members.former(hostId),
      ownUnderlay: () => host.addresses,
      isBlock: (network, block) => this.#blocks.isBlock(network, block),
      isMine: (network, block) => this.#blocks.isHeld(network, block),
      listener: this.#mesh,
    })
    this.#ownKeys = new OwnKeys({
      keys: this.#keys,
      next: this.#directory,
      written: () => this.#sealer.written,
      putBack: (key, parsed, revision) => this.#putBack(key, parsed, revision),
      clock: monotonicMs,
      after: (ms, call) => {
        const timer = setTimeout(call, ms)
        return { cancel: () => clearTimeout(timer) }
      },
    })
    this.#leases = new BlockLeases({
      store,
      keys: this.#keys,
      hostId: host.uuid,
      seal: (key, state, reason) => this.#sealer.seal("block", key, { state, ...reason }),
      isMine: (network, block) => this.#blocks.isHeld(network, block),
      holderOf: (network, block) => this.#directory.holderOf(network, block)?.hostId,
      mayTakeOver: (network, block, hostId) => this.#directory.mayTakeOver(network, block, hostId),
      clock: monotonicMs,
    })
    this.#blocks = new BlockKeeper({
      memory: this.#memory,
      journal,
      health,
      leases: () => this.#leases,
      allocatorOf: (network) => this.#context?.networks.get(network)?.allocator,
      onChange: (network) => this.#selfChanged(network),
      onLost: (left) => void this.#publisher.withdraw(left),
      nameOf: (hostId) => this.#nameOf(hostId),
    })
  }

  /**
   * Opens the store and the secrets. Nothing runs yet.
   *
   * @throws LariatError `config-invalid`, `permission`, `io`: a secret or a setting cannot be used
   */
  static open(parts: ClusterParts): Cluster {
    const { settings, log } = parts
    const psk = clusterKey(settings.cluster.pskFile, settings.cluster.name)
    const store = openStore(settings.store, settings.cluster, (error) =>
      log.info("the store: {why}", { why: messageOf(error) }),
    )
    return new Cluster(parts, store, psk)
  }

  /** The pools that this host may give addresses of; undefined for a network of this host alone. */
  pools(network: Network): readonly PoolSpec[] | undefined {
    return network.driver === "none" ? undefined : this.#blocks.pools(network)
  }

  /** Begins: what the store is needed for is tried until it answers. */
  start(context: AgentContext): void {
    this.#context = context
    // Before anything waits for the store: what comes in UDP is lost while nobody has the port.
    this.#encapsulation.configure(this.#carried())
    for (const network of this.#carried()) this.#blocks.overlay(network.name)
    context.index.onChange((before, after) => {
      this.#publisher.changed(before, after)
      // A block may have gone with it.
      if (before && !after && this.#blocks.lost.touches(before)) void this.#tidy.run()
    })
    for (const row of context.index.attached()) this.#publisher.changed(undefined, row)
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS))
    this.#timers.push(setInterval(() => void this.#tidy.run(), TIDY_MS))
    this.#store.onHealth((health) => this.#storeChanged(health.reachable))
    this.#run().catch((error) => this.#failed(error))
  }

  /** The configuration changed. */
  configure(): void {
    this.#encapsulation.configure(this.#carried())
    void this.#openNetworks()
  }

  /** Makes sure that an attach finds addresses. @throws LariatError */
  async roomFor(network: ManagedNetwork, requested: readonly string[]): Promise<void> {
    if (network.leased) await this.#blocks.roomFor(network.name, requested)
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
    return clusterReport({
      name: this.#parts.settings.cluster.name,
      number: this.#memory.number,
      health: this.#store.health(),
      peers: this.peers(),
      rotation: this.#exchange?.report(),
    })
  }

  peers(): PeerReport[] {
    return peerReports(this.#directory, this.#overlays, this.#watching, this.#pins)
  }

  blocks(): BlockReport[] {
    return blockReports({
      networks: this.#carried(),
      managed: this.#context?.networks,
      blocks: this.#blocks,
      directory: this.#directory,
      host: this.#parts.host,
    })
  }

  /** Compares the drivers with the kernel. */
  repair(): void {
    this.#overlays.repair()
    if (this.#keyedDrivers().length > 0) this.#statistics.check()
  }

  /** Ends; the data path stays, and other hosts wait a while for this one to come back. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) clearInterval(timer)
    this.#publisher.stop()
    this.#ownKeys.stop()
    await this.#watching?.stop()
    await this.#encapsulation.stop()
    this.#exchange?.stop()
    this.#directory.close()
    this.#savePins()
    // The data path stays up: others are not to take this host off while its agent is upgraded.
    await this.#store.close({ stay: true })
    this.#overlays.close()
    this.#psk?.wipe()
  }

  async #run(): Promise<void> {
    const number = await this.#until("register this host", () => this.#register())
    if (number === undefined) return
    await this.#until("number the networks", async () => {
      await this.#openNetworks()
      return true
    })
    if (this.#stopped || this.#context === undefined) return
    this.#encapsulation.begin(number)
    this.#startExchange(number)
    this.#watching = startWatching({
      context: this.#context,
      overlays: this.#overlays,
      directory: this.#directory,
      networks: () => this.#carried(),
      selfOverlay: (network) => this.#blocks.overlay(network),
      rotate: () => this.#exchange?.rotate(),
      moved: (event) => this.#encapsulation.moved(event),
    })
    this.#subscription = this.#store.watch(this.#keys.prefix, this.#ownKeys)
    const { hostTimeoutMs } = this.#parts.settings.cluster
    const { uuid, name } = this.#parts.host
    this.#store.present(this.#keys.alive(uuid), name, { ttlMs: hostTimeoutMs / 2 })
    await this.#tidy.run()
  }

  #tick(): void {
    this.#leases.beat()
    this.#directory.tick()
    // Before that, not all that are on the mesh have been heard of.
    if (this.#mesh.isCaughtUp) this.#members.save(this.#directory.hosts())
  }

  /** The host's number: remembered, or agreed with the store. */
  async #register(): Promise<number> {
    const known = this.#memory.number
    const { host } = this.#parts
    const work = register({
      store: this.#store,
      keys: this.#keys,
      hostId: host.uuid,
      identity: this.#identity,
      psk: this.#psk,
      number: known,
    })
    if (known !== undefined) {
      // It goes on with what it knows; the regular check registers it where it is missing.
      work.catch((error) => this.#parts.log.info("{why}", { why: messageOf(error) }))
      this.#pinSelf(known)
      return known
    }
    const number = await work
    this.#memory.number = number
    this.#pinSelf(number)
    return number
  }

  #pinSelf(number: number): void {
    const { uuid } = this.#parts.host
    this.#pins.take(uuid, { publicKey: this.#identity.publicKey, number })
    const key = this.#keys.identity(uuid)
    const place = { key, hostId: uuid, psk: this.#psk, number }
    this.#sealer.stands(key, sealIdentity(this.#identity, place))
    this.#sealer.stands(this.#keys.number(number), uuid)
  }

  /** An own record does not stand in the store as it was written. */
  #putBack(key: string, { kind }: ParsedKey, revision: number): void {
    this.#parts.log.warn("{key} was not as this host wrote it, and is written again", { key })
    if (kind === "keys" || kind === "ack") this.#exchange?.overwritten(kind, revision)
    else if (kind === "endpoint") this.#publisher.rewrite(key)
    else {
      if (kind === "host") this.#own.forget()
      void this.#tidy.run()
    }
  }

  /** Opens the drivers of networks that have none, and closes those of networks that are gone. */
  async #openNetworks(): Promise<void> {
    const context = this.#context
    if (context === undefined) return
    const wanted = this.#carried()
    for (const { network } of this.#overlays.all()) {
      if (!wanted.some(({ name }) => name === network)) this.#overlays.remove(network)
    }
    for (const network of wanted) {
      const { name } = network
      if (this.#overlays.adjust(network)) continue
      const number =
        this.#memory.networkNumber(name) ??
        (await networkNumber(this.#store, this.#keys.networks, name))
      this.#memory.putNetworkNumber(name, number)
      this.#openNetwork(network, number)
    }
  }

  #openNetwork(network: Network, number: number): void {
    const [{ health }, { name }] = [this.#parts, network]
    try {
      const opened = openDriver(network, number, {
        hasKey: this.#psk !== undefined,
        underlayMtu: this.#context?.underlay.mtu ?? 1500,
        random: this.#parts.random,
        onLost: (hostId, why) => {
          health.repaired(`network ${name}: new keys with ${this.#nameOf(hostId)}: ${why}`)
          this.#exchange?.rotate()
        },
        onWorn: () => this.#exchange?.rotate(),
      })
      this.#overlays.add({ network: name, driver: opened, configured: network })
      health.clear(`overlay/${name}`)
      this.#selfChanged(name)
      if (this.#mesh.isCaughtUp) {
        for (const { hostId } of this.#directory.hosts()) this.#mesh.hostChanged(hostId)
        this.#overlays.completed(name)
      }
    } catch (error) {
      const hint = error instanceof LariatError ? error.hint : undefined
      health.raise(`overlay/${name}`, { severity: "error", what: messageOf(error), hint })
    }
  }

  #startExchange(number: number): void {
    if (this.#psk === undefined || this.#keyedDrivers().length === 0) return
    const { host, bootId, settings, random, log } = this.#parts
    this.#exchange = new KeyExchange({
      store: this.#store,
      keys: this.#keys,
      hostId: host.uuid,
      number,
      bootId,
      psk: this.#psk,
      memory: this.#memory,
      sealer: this.#sealer,
      clock: monotonicMs,
      random,
      rekeyMs: settings.cluster.rekeyMs,
      drivers: () => this.#keyedDrivers(),
      nameOf: (hostId) => this.#nameOf(hostId),
      relist: () => this.#relist(),
      onFailure: (what, error) =>
        log.info("cannot {what} now: {why}", { what, why: messageOf(error) }),
    })
  }

  /** This host's part in a network changed: blocks, or own addresses. */
  #selfChanged(network: string): void {
    const { host } = this.#parts
    const overlay = this.#overlays.get(network)
    if (overlay === undefined) return
    this.#overlays.prepare(network, {
      hostId: host.uuid,
      underlay: host.addresses,
      overlay: this.#blocks.overlay(network),
      blocks: this.#blocks.held(network),
    })
    // Peers that were met before this host had an address to probe them from.
    for (const { hostId } of this.#directory.hosts()) {
      const peer = this.#directory.peer(network, hostId)
      if (peer !== undefined) this.#watching?.set(network, peer)
    }
    void this.#publish()
  }

  #record() {
    const more = (network: string) => this.#encapsulation.parameters(network)
    return hostRecord(this.#parts, this.#overlays, this.#blocks, more)
  }

  async #publish(): Promise<void> {
    try {
      if (!this.#stopped) await this.#own.publish(this.#record())
    } catch (error) {
      this.#parts.log.info("this host is not told of yet: {why}", { why: messageOf(error) })
    }
  }

  /** Whatever fails is tried again. */
  async #tidyOnce(): Promise<void> {
    this.#savePins()
    if (this.#stopped || !this.#store.health().reachable) return
    const { host, log } = this.#parts
    try {
      const number = this.#memory.number
      if (number !== undefined) {
        const common = { store: this.#store, keys: this.#keys, hostId: host.uuid }
        await register({ ...common, identity: this.#identity, psk: this.#psk, number })
      }
      await this.#openNetworks()
      for (const { name } of this.#carried()) await this.#blocks.confirm(name)
      await this.#own.publish(this.#record())
      this.#parts.health.clear("cluster")
    } catch (error) {
      log.info("the regular check of the cluster: {why}", { why: messageOf(error) })
      if (error instanceof LariatError && error.code !== "store-away") {
        this.#parts.health.raise("cluster", {
          severity: "error",
          what: error.message,
          hint: error.hint,
        })
      }
    }
  }

  #storeChanged(reachable: boolean): void {
    const { health } = this.#parts
    // Nobody is silent who could not be heard.
    this.#directory.storeReachable(reachable)
    if (!reachable) {
      const { endpoint, reason } = this.#store.health()
      health.raise("store", {
        severity: "warning",
        what: `the store at ${endpoint} does not answer: ${reason ?? "no reason known"}`,
        hint: "containers go on; new hosts, blocks and keys wait until it is back",
      })
      return
    }
    health.clear("store")
    this.#leases.doubt()
    void this.#tidy.run()
  }

  /** Everything is told again: a watch that begins anew lists first. */
  #relist(): void {
    this.#exchange?.restored()
    this.#directory.retellKeys()
    this.#subscription?.close()
    this.#subscription = this.#store.watch(this.#keys.prefix, this.#ownKeys)
  }

  #failed(error: unknown): void {
    const hint = error instanceof LariatError ? error.hint : undefined
    this.#parts.health.raise("cluster", { severity: "error", what: messageOf(error), hint })
  }

  /** Tries until it works, and says why it does not yet; undefined when the agent stops meanwhile. */
  #until<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    const onFailure = (error: unknown) => {
      const said = `cannot ${what} yet: ${messageOf(error)}`
      const hint = error instanceof LariatError ? error.hint : undefined
      this.#parts.health.raise("cluster", { severity: "warning", what: said, hint })
      this.#parts.log.info("{said}", { said })
    }
    return persist(work, { retryMs: RETRY_MS, isOver: () => this.#stopped, onFailure })
  }

  #savePins(): void {
    const { pins, sequences } = this.#pins.rows()
    const lasting = sequences.filter(({ key }) => this.#keys.parse(key)?.kind !== "endpoint")
    this.#memory.pins = { pins, sequences: lasting }
  }

  /** Configured networks that reach other hosts. */
  #carried(): Network[] {
    return (this.#context?.networks.all() ?? []).flatMap(({ leased, configured }) =>
      leased && configured !== undefined ? [configured] : [],
    )
  }

  #keyedDrivers() {
    return this.#overlays.all().flatMap(({ network, driver }) => {
      const number = this.#memory.networkNumber(network)
      if (!(driver instanceof IpsecDriver) || number === undefined) return []
      return [{ number, cipher: driver.cipher, driver }]
    })
  }

  #needExchange(): KeyExchange {
    if (this.#exchange !== undefined) return this.#exchange
    throw new LariatError("Cannot speak of keys: no network of this host is carried by ipsec", {
      code: "config-invalid",
      hint: "wireguard makes its own keys every two minutes; vxlan and routed have none",
    })
  }

  #nameOf(hostId: string): string {
    if (hostId === this.#parts.host.uuid) return this.#parts.host.name
    return this.#directory.host(hostId)?.record?.name ?? hostId
  }
}
