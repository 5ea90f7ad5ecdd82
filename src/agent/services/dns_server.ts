import type { AgentSettings } from "../../config/network.ts"
import { parseAddress } from "../../core/address.ts"
import { DNS_PORT } from "../../dns/resolv_conf.ts"
import type { DnsServer, DnsServerOptions } from "../../dns/server.ts"
import type { Kernel } from "../../endpoint/kernel.ts"
import type { Model } from "../../metadata/model.ts"
import { listenTcp } from "../../sys/net/tcp_server.ts"
import { bindUdp } from "../../sys/net/udp.ts"
import type { Health } from "../health.ts"
import type { EndpointIndex } from "../networks/endpoint_index.ts"
import type { Networks } from "../networks/networks.ts"
import type { DnsReport } from "../report.ts"
import { HostServers } from "./host_servers.ts"
import { KeptListening } from "./kept_listening.ts"
import { containerUuid } from "./metadata_feed.ts"
import { ensureHostAddress, hostAddresses, isWildcard, listenAddress } from "./service_address.ts"

/** Where the host's own nameservers stand. */
export const RESOLV_CONF = "/etc/resolv.conf"

/** What the host's DNS works with. */
export interface HostDnsSources {
  readonly settings: Pick<AgentSettings, "dnsListen" | "metadataListen">
  readonly index: EndpointIndex
  readonly networks: Networks
  readonly model: Model
  readonly health: Health
  readonly kernel: Kernel
  /** Default /etc/resolv.conf. */
  readonly resolvConf?: string
}

/** A server with its sockets. */
interface Listening {
  readonly server: DnsServer
  readonly port: number
  stop(): void
}

/** DNS for this host's containers and the host itself, over what the metadata knows. */
export class HostDns {
  readonly #sources: HostDnsSources
  readonly #servers: HostServers
  readonly #kept: KeptListening<Listening>
  /** The host's addresses and the networks at the last regular check. */
  #own: ReadonlySet<string> = new Set()
  #fingerprint = ""

  constructor(sources: HostDnsSources) {
    this.#sources = sources
    this.#servers = new HostServers(sources.resolvConf ?? RESOLV_CONF, () => performance.now())
    const { dnsListen } = sources.settings
    this.#kept = new KeptListening({
      key: "dns",
      health: sources.health,
      what: `DNS cannot listen on ${dnsListen}`,
      hint: "free the address, it is tried again, or choose another with --dns-listen and restart the agent; until then containers are told no nameserver",
      open: () => {
        this.refresh()
        return this.#listen(listenAddress(dnsListen))
      },
    })
  }

  /**
   * The address that a container's resolv.conf may name: undefined while it is not served, and
   * where it is on a port that no resolv.conf can say, or on all addresses.
   */
  get nameserver(): string | undefined {
    if (this.#kept.server?.port !== DNS_PORT) return undefined
    const { hostname } = listenAddress(this.#sources.settings.dnsListen)
    return isWildcard(hostname) ? undefined : hostname
  }

  /**
   * Starts serving, as soon as it can.
   *
   * @throws LariatError `config-invalid` when the address to listen on is none
   */
  async start(): Promise<void> {
    const { dnsListen } = this.#sources.settings
    if (dnsListen === "none") return
    listenAddress(dnsListen)
    await this.#kept.start()
  }

  /**
   * Puts the address on the host where it is not there.
   *
   * @throws LariatError `kernel`
   */
  ensureAddress(): void {
    const { settings, kernel } = this.#sources
    if (settings.dnsListen === "none") return
    ensureHostAddress(kernel, listenAddress(settings.dnsListen).hostname)
  }

  /** Who may ask is remembered of each client until the networks or the host's addresses change. */
  refresh(): void {
    const own = hostAddresses()
    const subnets = this.#sources.networks.all().flatMap((network) => network.subnets)
    const fingerprint = [...own, ...subnets.map(({ cidr }) => cidr)].join(" ")
    if (fingerprint === this.#fingerprint) return
    this.#fingerprint = fingerprint
    this.#own = new Set(own)
    this.#kept.server?.server.networksChanged()
  }

  report(): DnsReport | null {
    const { dnsListen: listen } = this.#sources.settings
    if (listen === "none") return null
    const { server } = this.#kept.server ?? {}
    const counters = server?.counters
    return {
      listen,
      listening: server !== undefined,
      names: server?.index.size ?? 0,
      queries: counters?.queries ?? 0,
      recursed: counters?.recursed ?? 0,
      cached: counters?.cached ?? 0,
      failed: counters?.failed ?? 0,
      dropped: counters?.dropped ?? 0,
      servers: this.#servers.resolver.servers.map(({ address }) => address),
    }
  }

  stop(): Promise<void> {
    return this.#kept.stop()
  }

  async #listen({ hostname, port }: { hostname: string; port: number }): Promise<Listening> {
    ensureHostAddress(this.#sources.kernel, hostname)
    const server = await this.#server(hostname)
    const closing: (() => void)[] = [() => server.close()]
    const stop = () => {
      for (const step of closing) step()
    }
    try {
      const udp = await bindUdp({ hostname, port }, (bytes, fromPort, address, send) => {
        this.#follow(server)
        server.datagram(bytes, fromPort, address, send)
      })
      closing.unshift(() => udp.close())
      const tcp = await listenTcp({ hostname, port: udp.port }, (connection) => {
        this.#follow(server)
        return server.connection(connection)
      })
      closing.unshift(() => tcp.stop())
      return { server, port: udp.port, stop }
    } catch (error) {
      stop()
      throw error
    }
  }

  /** A host that does not serve DNS does not load it. */
  async #server(hostname: string): Promise<DnsServer> {
    const { model, settings } = this.#sources
    const [{ DnsServer }, { random32, timers, upstreamSockets }] = await Promise.all([
      import("../../dns/server.ts"),
      import("./dns_environment.ts"),
    ])
    const metadata = listenAddress(settings.metadataListen).hostname
    const options: DnsServerOptions = {
      ...(this.#servers.changed() ?? this.#servers.resolver),
      neverAsk: isWildcard(hostname) ? [...this.#own] : [hostname],
      ...(isWildcard(metadata) ? {} : { serviceAddress: metadata }),
    }
    return new DnsServer(
      model,
      {
        timers,
        random: random32,
        upstreamSockets,
        isManaged: (address) => this.#isManaged(address),
        isLocal: (address) => this.#own.has(address) || address.startsWith("127."),
        containerAt: (address) => this.#containerAt(address),
        networkOf: (address) => this.#networkOf(address),
      },
      options,
    )
  }

  #isManaged(address: string): boolean {
    const { index } = this.#sources
    return index.byAddress(address) !== undefined || this.#networkOf(address) !== undefined
  }

  #networkOf(address: string): string | undefined {
    try {
      return this.#sources.networks.containing(parseAddress(address))?.name
    } catch {
      return undefined
    }
  }

  /** An adopted container also asks from the address that its engine gave it. */
  #containerAt(address: string) {
    const { index, model } = this.#sources
    const row = index.byAddress(address)
    const own = row === undefined ? undefined : model.container(containerUuid(row))
    return own ?? model.containerAt(address)
  }

  /** Takes over what resolv.conf says now. */
  #follow(server: DnsServer): void {
    const resolver = this.#servers.changed()
    if (resolver !== undefined) server.setResolver(resolver)
  }
}
