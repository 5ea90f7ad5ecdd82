import { readFileSync } from "node:fs"
import { BlockLeases } from "../../cluster/blocks/block_lease.ts"
import { Directory } from "../../cluster/directory/directory.ts"
import { Refusals } from "../../cluster/directory/refusals.ts"
import { Keyspace, type ParsedKey } from "../../cluster/records/keyspace.ts"
import type { PreSharedKey } from "../../cluster/records/psk.ts"
import type { Store } from "../../cluster/store/store.ts"
import type { Network } from "../../config/network.ts"
import { messageOf } from "../../errors.ts"
import { monotonicMs } from "../../sys/clock.ts"
import { takeDescriptors } from "../../sys/fd_store.ts"
import type { AgentContext } from "../context.ts"
import type { HostIdentity } from "../state/identity.ts"
import { BlockKeeper } from "./blocks/block_keeper.ts"
import { ownIdentity } from "./credentials.ts"
import { DirectoryReconciler } from "./directory_reconciler.ts"
import { EndpointPublisher } from "./endpoint_publisher.ts"
import { Enrolment } from "./enrolment.ts"
import { KeyExchange } from "./key_exchange.ts"
import { KeyExchangeStart } from "./key_exchange_start.ts"
import { type DriverDependencies, encapsulationOf, openDriver } from "./overlays/driver_choice.ts"
import { OverlayNetworks } from "./overlays/overlay_networks.ts"
import { Overlays } from "./overlays/overlays.ts"
import { Retries } from "./overlays/retries.ts"
import { removeStrayDevices } from "./overlays/stray_devices.ts"
import { hostRecord, OwnRecord } from "./own_record.ts"
import { type PeerMonitoring, startPeerMonitoring } from "./probes/peer_monitoring.ts"
import { StatisticsWatch } from "./probes/statistics_watch.ts"
import { RegularCheck } from "./regular_check.ts"
import { Signer } from "./signer.ts"
import { ClusterState } from "./state/cluster_state.ts"
import { MemberState } from "./state/member_state.ts"
import { StoreWatch } from "./store_watch.ts"
import { Encapsulation } from "./transport/encapsulation.ts"

/** The host's identity, in the state directory. */
const IDENTITY_FILE = "identity.key"
/** The counters of the agent's network namespace. */
const STATISTICS = "/proc/net/xfrm_stat"
/**
 * How long nobody goes off the mesh after the store came back, milliseconds: a host notices within
 * three calls of 3 s and their waits.
 */
const RETURN_MS = 12_000

/** What a cluster is opened with, before anything of it runs. */
export type ClusterDependencies = Pick<
  AgentContext,
  "settings" | "bootId" | "stateDatabase" | "health" | "log" | "random"
> & {
  /** Its addresses may change: {@link Composition.selfChanged} is to be called then. */
  readonly host: HostIdentity
}

/**
 * The parts of a cluster, each told what it needs of the others: the one place that knows them all
 * (the composition root). Nothing runs by it; when what happens is the cluster's business.
 */
export class Composition {
  readonly #dependencies: ClusterDependencies
  readonly keys: Keyspace
  readonly memory: ClusterState
  readonly psk: PreSharedKey | undefined
  readonly signer: Signer
  readonly store: Store
  readonly enrolment: Enrolment
  readonly networks: OverlayNetworks
  readonly exchangeStart: KeyExchangeStart<KeyExchange>
  readonly directory: Directory
  readonly overlays: Overlays
  readonly retries: Retries
  readonly leases: BlockLeases
  readonly blocks: BlockKeeper
  readonly publisher: EndpointPublisher
  readonly own: OwnRecord
  readonly statistics: StatisticsWatch
  readonly mesh: DirectoryReconciler
  readonly encapsulation: Encapsulation
  readonly watch: StoreWatch
  readonly members: MemberState
  /** What comes once the agent runs, and once the store was reached. */
  context: AgentContext | undefined
  watching: PeerMonitoring | undefined
  /** What needs the store from time to time. */
  readonly tidy: RegularCheck
  /** Nothing is asked of the store any more. */
  stopped = false

  /** @param open opens the driver of a network. Default that of this host's kernel */
  constructor(
    dependencies: ClusterDependencies,
    store: Store,
    psk: PreSharedKey | undefined,
    open: typeof openDriver = openDriver,
  ) {
    const { settings, host, stateDatabase, health, log, random } = dependencies
    this.#dependencies = dependencies
    this.store = store
    this.psk = psk
    const keys = new Keyspace(settings.cluster.name)
    const memory = new ClusterState(stateDatabase, settings.cluster.name)
    const identity = ownIdentity(`${settings.stateDir}/${IDENTITY_FILE}`, random)
    const signer = new Signer(memory, host.uuid, { identity, psk })
    this.keys = keys
    this.memory = memory
    this.signer = signer
    this.retries = new Retries({ health })
    this.overlays = new Overlays(health, this.retries)
    this.tidy = new RegularCheck({
      isReachable: () => !this.stopped && this.store.health().reachable,
      steps: [
        () => this.enrolment.renew(),
        () => this.#confirmBlocks(),
        () => this.own.publish(this.#record()),
        async () => this.publisher.retryRefused(),
      ],
      health,
      log,
    })
    this.enrolment = new Enrolment({
      ...{ store, keys, hostId: host.uuid, identity, psk, memory, signer },
      onFailure: (error) => log.info("{why}", { why: messageOf(error) }),
    })
    this.networks = new OverlayNetworks({
      ...{ store, keys, memory, overlays: this.overlays, retries: this.retries },
      networks: () => this.context?.networks.all() ?? [],
      open: (network, number) => {
        this.context?.firewall.encapsulate(network.name, encapsulationOf(network, number))
        return open(network, number, this.#driverParts(network))
      },
      onOpened: (network) => this.#opened(network),
      onGone: (network) => this.mesh.networkGone(network),
      sweep: (kept) => {
        if (this.context !== undefined) removeStrayDevices(this.context, kept)
      },
    })
    this.exchangeStart = new KeyExchangeStart({
      begin: (number) =>
        psk === undefined || this.networks.keyed().length === 0
          ? undefined
          : this.#beginExchange(number, psk),
      retell: () => this.#retell(),
    })
    this.publisher = new EndpointPublisher({
      ...{ store, keys, signer, health },
      isShared: (network, address) =>
        this.context?.networks.get(network)?.leased === true &&
        !this.blocks.lost.covers(network, address),
      onFailure: (error) =>
        log.info("containers are not told of yet: {why}", { why: messageOf(error) }),
    })
    this.statistics = new StatisticsWatch(health, () => readFileSync(STATISTICS, "utf8"))
    this.own = new OwnRecord(store, keys, host.uuid, signer)
    this.encapsulation = new Encapsulation({
      hostId: host.uuid,
      underlay: () => host.addresses,
      psk,
      health,
      log,
      clock: monotonicMs,
      random,
      kept: takeDescriptors(),
      drivers: () => this.overlays.all(),
      onSettled: (hostId) => this.mesh.hostChanged(hostId),
      onParameters: () => this.#publish(),
      onPortClosed: () => this.overlays.repair(),
    })
    this.mesh = new DirectoryReconciler({
      memory,
      overlays: this.overlays,
      publisher: this.publisher,
      log,
      directory: () => this.directory,
      context: () => this.context,
      networks: () => this.networks.all(),
      exchange: () => this.exchange,
      watching: () => this.watching,
      encapsulation: () => this.encapsulation,
      nameOf: (hostId) => this.nameOf(hostId),
      onOwnBlock: () => void this.tidy.run(),
      onPutBack: () => {
        this.leases.invalidate()
        this.own.forget()
        void this.tidy.run()
      },
    })
    this.members = new MemberState(memory, dependencies.bootId)
    const { hostTimeoutMs, blockReuseMs, allowHosts } = settings.cluster
    this.directory = new Directory({
      ...{ keys, selfId: host.uuid, pins: this.enrolment.pins, psk },
      refusals: new Refusals(({ error }) => log.warn("refused: {why}", { why: error.message })),
      clock: monotonicMs,
      graceMs: hostTimeoutMs / 2,
      returnMs: RETURN_MS,
      reuseMs: blockReuseMs,
      later: (go) => void setImmediate(go),
      allow: allowHosts,
      former: (hostId) => this.members.former(hostId),
      ownUnderlay: () => host.addresses,
      isBlock: (network, block) => this.blocks.isBlock(network, block),
      isMine: (network, block) => this.blocks.isOccupied(network, block),
      listener: this.mesh,
    })
    this.watch = new StoreWatch({
      ...{ store, keys, host, presenceMs: hostTimeoutMs / 2 },
      listener: this.directory,
      written: () => signer.written,
      putBack: (key, parsed, revision) => this.#putBack(key, parsed, revision),
    })
    this.leases = new BlockLeases({
      ...{ store, keys, hostId: host.uuid },
      sign: (key, state, reason) => signer.sign("block", key, { state, ...reason }),
      isMine: (network, block) => this.blocks.isHeld(network, block),
      holderOf: (network, block) => this.directory.holderOf(network, block)?.hostId,
      mayTakeOver: (network, block, hostId) => this.directory.mayTakeOver(network, block, hostId),
      clock: monotonicMs,
    })
    this.blocks = new BlockKeeper({
      ...{ memory, stateDatabase, health },
      leases: () => this.leases,
      allocatorOf: (network) => this.context?.networks.get(network)?.allocator,
      onChange: (network) => this.selfChanged(network),
      onLost: (left) => void this.publisher.withdraw(left),
      nameOf: (hostId) => this.nameOf(hostId),
    })
  }

  /** Agrees on keys with other hosts; undefined until a network needs them. */
  get exchange(): KeyExchange | undefined {
    return this.exchangeStart.exchange
  }

  #beginExchange(number: number, psk: PreSharedKey): KeyExchange {
    const { host, bootId, settings, random, log } = this.#dependencies
    return new KeyExchange({
      store: this.store,
      keys: this.keys,
      hostId: host.uuid,
      number,
      bootId,
      psk,
      memory: this.memory,
      signer: this.signer,
      clock: monotonicMs,
      random,
      rekeyMs: settings.cluster.rekeyMs,
      drivers: () => this.networks.keyed(),
      nameOf: (hostId) => this.nameOf(hostId),
      relist: () => this.#relist(),
      onFailure: (what, error) =>
        log.info("cannot {what} now: {why}", { what, why: messageOf(error) }),
    })
  }

  /** Begins to probe peers, and to hear the kernel. */
  beginPeerMonitoring(context: AgentContext): void {
    this.watching = startPeerMonitoring({
      context,
      overlays: this.overlays,
      directory: this.directory,
      networks: () => this.networks.all(),
      selfOverlay: (network) => this.blocks.overlay(network),
      rotate: () => this.exchange?.rotate(),
      moved: (event) => this.encapsulation.moved(event),
    })
  }

  /** A host's name, else its id. */
  nameOf(hostId: string): string {
    if (hostId === this.#dependencies.host.uuid) return this.#dependencies.host.name
    return this.directory.host(hostId)?.record?.name ?? hostId
  }

  /** An own record does not stand in the store as it was written. */
  #putBack(key: string, { kind }: ParsedKey, revision: number): void {
    this.#dependencies.log.warn("{key} was not as this host wrote it, and is written again", {
      key,
    })
    if (kind === "keys" || kind === "ack") this.exchange?.overwritten(kind, revision)
    else if (kind === "endpoint") this.publisher.rewrite(key)
    else {
      if (kind === "host") this.own.forget()
      void this.tidy.run()
    }
  }

  #driverParts(network: Network): DriverDependencies {
    const { health, host, random } = this.#dependencies
    const { psk } = this
    return {
      presharedKey: psk && ((hostId) => psk.pairSecret("wireguard", host.uuid, hostId)),
      gate: this.context?.firewall.gate(network.name),
      underlayMtu: () => this.context?.underlay.mtu ?? 1500,
      random,
      onLost: (hostId, why) => {
        health.repaired(`network ${network.name}: new keys with ${this.nameOf(hostId)}: ${why}`)
        this.exchange?.rotate()
      },
      onSoftExpired: () => this.exchange?.rotate(),
    }
  }

  /** ESP in UDP may be configured otherwise; other changes wait for a restart. */
  tellEncapsulations(): void {
    for (const network of this.networks.all()) {
      const number = this.memory.networkNumber(network.name)
      const running = this.overlays.get(network.name)?.configured.driver
      if (number === undefined || running !== "ipsec" || network.driver !== "ipsec") continue
      this.context?.firewall.encapsulate(network.name, encapsulationOf(network, number))
    }
  }

  /** A network has a driver: it is told what is known. */
  #opened(network: string): void {
    this.exchangeStart.opened()
    this.selfChanged(network)
    for (const { hostId } of this.directory.hosts()) this.mesh.hostChanged(hostId)
    if (this.mesh.isCaughtUp) this.overlays.completed(network)
  }

  /** This host's part in a network changed: blocks, or own addresses. */
  selfChanged(network: string): void {
    const { host } = this.#dependencies
    const overlay = this.overlays.get(network)
    if (overlay === undefined) return
    this.overlays.prepare(network, {
      hostId: host.uuid,
      underlay: host.addresses,
      overlay: this.blocks.overlay(network),
      blocks: this.blocks.held(network),
    })
    // Peers that were met before this host had an address to probe them from.
    this.probePeers(network)
    void this.#publish()
  }

  /** Probes all peers of a network, from the address and at the size that it has now. */
  probePeers(network: string): void {
    for (const { hostId } of this.directory.hosts()) {
      const peer = this.directory.peer(network, hostId)
      if (peer !== undefined) this.watching?.set(network, peer)
    }
  }

  #record() {
    const more = (network: string) => this.encapsulation.parameters(network)
    return hostRecord(this.#dependencies, this.overlays, this.blocks, more)
  }

  async #publish(): Promise<void> {
    try {
      if (!this.stopped) await this.own.publish(this.#record())
    } catch (error) {
      this.#dependencies.log.info("this host is not told of yet: {why}", { why: messageOf(error) })
    }
  }

  async #confirmBlocks(): Promise<void> {
    for (const { name } of this.networks.all()) await this.blocks.confirm(name)
  }

  /** Everything is told again: a watch that begins anew lists first. */
  #relist(): void {
    this.exchange?.restored()
    this.#retell()
  }

  /** Keys are told again. */
  #retell(): void {
    this.directory.retellKeys()
    this.watch.relist()
  }
}
