import { join } from "node:path"
import { getLogger } from "@logtape/logtape"
import type { Netconf } from "../config/netconf/netconf.ts"
import type { Configuration, Network } from "../config/network.ts"
import { familyOf } from "../core/address.ts"
import { Kernel } from "../endpoint/kernel.ts"
import { messageOf, runAll } from "../errors.ts"
import { ForwardPass } from "../firewall/forward_pass.ts"
import { bootId, monotonicMs } from "../sys/clock.ts"
import { keepMapped, releaseStartupMemory } from "../sys/ffi/pages.ts"
import { type PageSnapshot, touchedRanges } from "../sys/ffi/touched_pages.ts"
import { sdNotify } from "../sys/notify.ts"
import type { Cluster } from "./cluster/cluster.ts"
import type { ClusterDependencies } from "./cluster/composition.ts"
import type { AgentContext } from "./context.ts"
import { CniService } from "./control/cni_service.ts"
import { answerRequest } from "./control/control.ts"
import { ControlServer } from "./control/control_server.ts"
import { followBridges } from "./endpoints/bridge_change.ts"
import { collectGarbage, recover } from "./endpoints/recover.ts"
import { Health } from "./health.ts"
import { lookAtHost, sourceAddress } from "./host_addresses.ts"
import { AheadProbe } from "./networks/ahead_probe.ts"
import { BridgeClaims } from "./networks/bridge_claims.ts"
import { bridgeConfs } from "./networks/bridge_confs.ts"
import { Bridges } from "./networks/bridges.ts"
import { EndpointIndex } from "./networks/endpoint_index.ts"
import { checkSpec } from "./networks/endpoint_spec.ts"
import { FirewallKeeper } from "./networks/firewall_keeper.ts"
import { LegacyKeeper } from "./networks/legacy_keeper.ts"
import { linkMtu } from "./networks/link_mtu.ts"
import { Networks } from "./networks/networks.ts"
import { Underlay } from "./networks/underlay.ts"
import { Unrecorded } from "./networks/unrecorded.ts"
import { HostDns } from "./services/dns_server.ts"
import { MetadataFeed } from "./services/metadata_feed.ts"
import { MetadataObjects } from "./services/metadata_objects.ts"
import { MetadataServer } from "./services/metadata_server.ts"
import { servedAt } from "./services/service_address.ts"
import { serviceLimits } from "./services/service_limits.ts"
import { hostIdentity, outerFamily } from "./state/identity.ts"
import { lockRunDirectory, ownDirectory } from "./state/own_directory.ts"
import { StateDatabase } from "./state/state_database.ts"
import { StrayWatch } from "./stray_watch.ts"
import { Timings } from "./timings.ts"
import { Watch } from "./watch.ts"

/** How often the firewall is compared and what is gone is released, milliseconds. */
const SWEEP_MS = 10_000

/** When what only the start needed is given back, milliseconds after it. */
const RELEASE_AFTER_MS = 500

/** Bytes of the code that a start reads that are kept: as much as fits an idle agent of 60 MB. */
const KEPT_BYTES = 17_825_792

const DATABASE = "lariat.db"
const SOCKET = "agent.sock"

/** What runs until the agent is stopped. */
interface Services {
  readonly control: ControlServer
  readonly metadata: MetadataServer
  readonly objects: MetadataObjects
  readonly watch: Watch
  /** Gives the run directory to another agent. */
  readonly release: () => void
}

/**
 * The daemon: joins the rooms, serves the control socket, the metadata API and DNS, and keeps kernel
 * and rows the same. Stopping it leaves the data path as it is.
 */
export class Agent {
  readonly #context: AgentContext
  readonly #services: Services
  readonly #strays: StrayWatch
  readonly #sweep: ReturnType<typeof setInterval>
  readonly #release: ReturnType<typeof setTimeout>

  private constructor(
    context: AgentContext,
    services: Services,
    startPages: PageSnapshot | undefined,
  ) {
    this.#context = context
    this.#services = services
    this.#strays = new StrayWatch(context.health, monotonicMs)
    this.#sweep = setInterval(() => this.#tidy(), SWEEP_MS)
    this.#release = setTimeout(() => this.#settle(startPages), RELEASE_AFTER_MS)
    sdNotify("READY=1")
  }

  /**
   * Starts an agent and brings kernel and rows together. When it resolves, the agent serves.
   *
   * @param options.startPages what each start of this program reads of its file, a CNI plugin's
   *   too: kept in memory, so that one is quick also where an idle host has dropped everything
   *   else. Default none
   * @throws LariatError `busy` when another agent has the state or the run directory, `permission` when
   *   one of them is not this user's alone, `io`, `kernel`
   */
  static async start(
    configuration: Configuration,
    options: { readonly startPages?: PageSnapshot | undefined } = {},
  ): Promise<Agent> {
    const { agent: settings } = configuration
    ownDirectory(settings.stateDir, "state directory")
    ownDirectory(settings.runDir, "run directory")
    const release = lockRunDirectory(settings.runDir)
    const boot = bootId()
    const stateDatabase = StateDatabase.open(join(settings.stateDir, DATABASE), {
      bootId: boot,
      check: checkSpec,
    })
    const kernel = Kernel.open()
    const health = new Health({ onRepair: (what) => log.info("mended: {what}", { what }) })
    const index = new EndpointIndex()
    const log = getLogger(["lariat", "agent"])
    const networks = new Networks({
      stateDatabase,
      clock: monotonicMs,
      restMs: settings.quarantineMs,
      leasedPools: (network) => cluster?.pools(network),
      onRenamed: (from, to) => cluster?.renamed(from, to),
    })
    // Of the file until the networks are set up from it.
    const managed = () => [...configuration.networks, ...networks.all()]
    const host = hostIdentity(stateDatabase, settings, (family) =>
      sourceAddress(
        kernel,
        family,
        managed().flatMap(({ subnets }) => subnets),
      ),
    )
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
    const dependencies = { settings, host, bootId: boot, stateDatabase, health, log, random }
    const cluster = settings.store === "sqlite" ? undefined : await openCluster(dependencies)
    const metadataFeed = new MetadataFeed({
      index,
      networks,
      host,
      hostLabels: settings.hostLabels,
      environment: settings.cluster.name,
    })
    const { model } = metadataFeed
    const context: AgentContext = {
      settings,
      bootId: boot,
      stateDatabase,
      kernel,
      health,
      index,
      unrecorded: new Unrecorded(networks, index),
      networks,
      bridges: new Bridges(kernel, settings.createBridge, new BridgeClaims(stateDatabase)),
      ahead: new AheadProbe(kernel, (why) => log.debug("no address was asked for: {why}", { why })),
      firewall: new FirewallKeeper(health, {
        openPass: () => ForwardPass.open(),
        legacy: new LegacyKeeper(health),
      }),
      host,
      metadata: metadataFeed,
      dns: new HostDns({ settings, index, networks, model, health, kernel }),
      hostNetns: kernel.netns,
      serviceAddresses: servedAt(settings),
      log,
      random,
      cluster,
      timings: new Timings(),
      underlay: new Underlay(kernel),
    }
    configure(context, configuration)
    const watch = await Watch.start(context)
    const recovery = await recover(context)
    lookAhead(context)
    context.ahead.now()
    context.firewall.bridges(context.bridges.ofContainers())
    if (cluster === undefined) context.firewall.settled()
    context.firewall.sync(networks.all())
    cluster?.start(context)
    const objects = new MetadataObjects({ model: context.metadata.model, health })
    objects.read(settings.objects)
    const metadata = new MetadataServer(context)
    await Promise.all([metadata.start(), context.dns.start()])
    lookAtHost(context)
    const service = new CniService(context)
    const control = await ControlServer.listen(join(settings.runDir, SOCKET), (value, caller) =>
      answerRequest(context, service, value, caller),
    )
    log.info("ready: {kept} endpoints go on, {removed} were taken down, {strays} stray links", {
      ...recovery,
    })
    return new Agent(context, { control, metadata, objects, watch, release }, options.startPages)
  }

  /** Takes a changed configuration in; the data path goes on. */
  reload(configuration: Configuration): void {
    sdNotify("RELOADING=1")
    configure(this.#context, configuration)
    followBridges(this.#context)
    this.#services.objects.read(configuration.agent.objects)
    this.#context.firewall.relearn(this.#context.index.attached())
    this.#context.firewall.sync(this.#context.networks.all())
    this.#context.cluster?.configure()
    this.#context.dns.refresh()
    sdNotify("READY=1")
  }

  /** Stops serving; what is attached stays attached. */
  async stop(): Promise<void> {
    sdNotify("STOPPING=1")
    clearInterval(this.#sweep)
    clearTimeout(this.#release)
    this.#context.ahead.stop()
    await this.#services.control.close()
    await this.#services.watch.stop()
    await this.#services.metadata.stop()
    await this.#context.dns.stop()
    await this.#context.cluster?.stop()
    this.#context.stateDatabase.close()
    this.#context.firewall.close()
    this.#context.kernel.close()
    this.#services.release()
  }

  /** Gives back what only the start needed, and keeps what each start of the plugin needs. */
  #settle(startPages: PageSnapshot | undefined): void {
    try {
      if (startPages === undefined) return
      releaseStartupMemory(startPages.path)
      keepMapped(startPages.path, touchedRanges(startPages), { mostBytes: KEPT_BYTES })
    } catch (error) {
      this.#context.log.info("start-up pages are not held: {why}", { why: messageOf(error) })
    }
  }

  #tidy(): void {
    const { bridges, dns, firewall, health, networks, stateDatabase, log } = this.#context
    this.#context.underlay.forget()
    try {
      runAll("the regular check", [
        () => lookAtHost(this.#context),
        () => this.#strays.look(),
        () => lookAhead(this.#context),
        () => {
          for (const what of bridges.shield()) health.repaired(what)
          firewall.bridges(bridges.ofContainers())
        },
        () => adviseOnMtu(this.#context),
        () => firewall.sync(networks.all()),
        () => this.#services.metadata.ensureAddress(),
        () => dns.ensureAddress(),
        () => dns.refresh(),
        () => this.#services.objects.refresh(),
        () => this.#context.cluster?.repair(),
        () => stateDatabase.purgeQuarantine(monotonicMs()),
        () => stateDatabase.checkpoint(),
      ])
    } catch (error) {
      log.error("{why}", { why: messageOf(error) })
    }
    void collectGarbage(this.#context)
  }
}

/** A host alone does not load what only many hosts need. */
async function openCluster(dependencies: ClusterDependencies): Promise<Cluster> {
  const { Cluster } = await import("./cluster/cluster.ts")
  return Cluster.open(dependencies)
}

/** Takes the networks in, and says what the configuration's remarks and conflicts are. */
function configure(context: AgentContext, configuration: Configuration): void {
  const { health, networks, firewall, settings } = context
  health.clearAll("config/")
  configuration.diagnostics.forEach((diagnostic, at) => {
    const { severity, position, message, hint, elsewhere } = diagnostic
    if (elsewhere === true) return
    const place = `${position.file}:${position.line}:${position.column}`
    health.raise(`config/${at}`, { severity, what: `${place}: ${message}`, hint })
  })
  const { remarks, renamed } = networks.configure(configuration.networks, configuration.foreign)
  remarks.forEach((what, at) => {
    health.raise(`config/network-${at}`, { severity: "error", what })
  })
  context.index.rename(renamed)
  context.metadata.networks()
  // Where the services listen is decided at the start.
  const { limits } = configuration.agent
  firewall.configure(configuration.networks, serviceLimits({ ...settings, limits }))
  adviseOnMtu(context)
}

/**
 * Looks at the ports of bridges that are there: where others have come, it is asked for who has the
 * addresses that the next attaches will get. The bridges are settled first: to pin a bridge's MAC
 * makes the kernel forget its neighbours.
 */
function lookAhead({ ahead, bridges, kernel, networks, log }: AgentContext): void {
  for (const { allocator, configured } of networks.all()) {
    for (const { conf } of bridgeConfs(configured)) {
      const { bridge: name, promiscMode: promisc } = conf
      if (kernel.link(name)?.kind !== "bridge") continue
      try {
        bridges.ensure({ name, promisc, configureIp: false, mtu: 0, addresses: [] }, [])
        ahead.look(name, allocator)
      } catch (error) {
        log.debug("{name} is not settled: {why}", { name, why: messageOf(error) })
      }
    }
  }
}

/** Says where an explicit MTU or overhead wastes bytes or cannot fit. */
function adviseOnMtu(context: AgentContext): void {
  const { health, networks } = context
  health.clearAll("config/mtu/")
  for (const { configured } of networks.all()) {
    for (const { file, conf } of bridgeConfs(configured)) {
      const what = configured && mtuAdvice(context, conf, configured)
      if (what !== undefined) health.raise(`config/mtu/${file}`, { severity: "warning", what })
    }
  }
}

function mtuAdvice(
  { underlay, host }: AgentContext,
  conf: Netconf,
  network: Network,
): string | undefined {
  try {
    const { advice } = linkMtu({
      mtu: conf.mtu,
      overhead: conf.linkMTUOverhead,
      driver: network.driver,
      encapsulation: network.encapsulation,
      underlay: underlay.mtu,
      outerFamily: outerFamily(host.ip),
      ipv6: network.subnets.some(({ cidr }) => familyOf(cidr) === 6),
    })
    return advice === undefined ? undefined : `network ${network.name}: ${advice}`
  } catch (error) {
    return `network ${network.name}: ${messageOf(error)}`
  }
}
