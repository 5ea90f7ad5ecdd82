import type { AgentSettings } from "../../config/network.ts"
import { parseAddress } from "../../core/address.ts"
import { DNS_PORT } from "../../dns/resolv_conf.ts"
import type { DnsServer, DnsServerOptions } from "../../dns/server.ts"
import type { Kernel } from "../../endpoint/kernel.ts"
import { messageOf } from "../../errors.ts"
import type { Model } from "../../metadata/model.ts"
import { listenTcp } from "../../sys/net/tcp_server.ts"
import { bindUdp } from "../../sys/net/udp.ts"
import type { Health } from "../health.ts"
import type { EndpointIndex } from "../networks/endpoint_index.ts"
import type { Networks } from "../networks/networks.ts"
import type { DnsReport } from "../report.ts"
import { HostServers } from "./host_servers.ts"
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
  close(): void
}

/** DNS for this host's containers and the host itself, over what the metadata knows. */
export class HostDns {
  readonly #sources: HostDnsSources
  readonly #servers: HostServers
  #listening: Listening | undefined
  #starting: Promise<void> = Promise.resolve()
  /** The host's addresses and the networks at the last regular check. */
  #own: ReadonlySet<string> = new Set()
  #surroundings = ""

  constructor(sources: HostDnsSources) {
    this.#sources = sources
    this.#servers = new HostServers(sources.resolvConf ?? RESOLV_CONF, () => performance.now())
  }

  /**
   * The address that a container's resolv.conf may name: undefined while it is not served, and
   * where it is on a port that no resolv.conf can say, or on all addresses.
   */
  get nameserver(): string | undefined {
    if (this.#listening?.port !== DNS_PORT) return undefined
    const { hostname } = listenAddress(this.#sources.settings.dnsListen)
    return isWildcard(hostname) ? undefined : hostname
  }

  /**
   * Starts serving. A port that is taken does not keep the agent from attaching containers: it
   * becomes a problem of `status`, and is tried again at each {@link refresh}.
   *
   * @throws LariatError `config-invalid` when the address to listen on is none
   */
  start(): Promise<void> {
    this.#starting = this.#start()
    return this.#starting
  }

  async #start(): Promise<void> {
    const { dnsListen } = this.#sources.settings
    if (dnsListen === "none") return
    const at = listenAddress(dnsListen)
    await this.#watched(async () => {
      this.#look()
      this.#listening = await this.#listen(at)
    })
  }

  /**
   * The regular check: networks or the host's addresses may be others, the address may be gone.
   * Never fails.
   */
  async refresh(): Promise<void> {
    const { settings, kernel } = this.#sources
    if (settings.dnsListen === "none") return
    if (this.#listening === undefined) return await this.start()
    await this.#watched(() => {
      this.#look()
      ensureHostAddress(kernel, listenAddress(settings.dnsListen).hostname)
    })
  }

  /** What goes wrong is a problem of `status` until it goes well. */
  async #watched(action: () => void | Promise<void>): Promise<void> {
    const { settings, health } = this.#sources
    try {
      await action()
      health.clear("dns")
    } catch (error) {
      health.raise("dns", {
        severity: "error",
        what: `DNS cannot listen on ${settings.dnsListen}: ${messageOf(error)}`,
        hint: "free the address and wait, or choose another with --dns-listen and restart the agent; until then containers are told no nameserver",
      })
    }
  }

  report(): DnsReport | null {
    const { dnsListen: listen } = this.#sources.settings
    if (listen === "none") return null
    const { server } = this.#listening ?? {}
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
      servers: this.#servers.servers.map(({ address }) => address),
    }
  }

  async stop(): Promise<void> {
    await this.#starting.catch(() => undefined)
    this.#listening?.close()
    this.#listening = undefined
  }

  async #listen({ hostname, port }: { hostname: string; port: number }): Promise<Listening> {
    ensureHostAddress(this.#sources.kernel, hostname)
    const server = await this.#server(hostname)
    const closing: (() => void)[] = [() => server.close()]
    const close = () => {
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
      return { server, port: udp.port, close }
    } catch (error) {
      close()
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
      servers: this.#servers.changed() ?? this.#servers.servers,
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
      },
      options,
    )
  }

  #isManaged(address: string): boolean {
    const { index, networks } = this.#sources
    if (index.byAddress(address) !== undefined) return true
    try {
      return networks.containing(parseAddress(address)) !== undefined
    } catch {
      return false
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
    const servers = this.#servers.changed()
    if (servers !== undefined) server.setServers(servers)
  }

  /** Who may ask is remembered of each client until one of these is another. */
  #look(): void {
    const own = hostAddresses()
    const subnets = this.#sources.networks.all().flatMap((network) => network.subnets)
    const surroundings = [...own, ...subnets.map(({ cidr }) => cidr)].join(" ")
    if (surroundings === this.#surroundings) return
    this.#surroundings = surroundings
    this.#own = new Set(own)
    this.#listening?.server.networksChanged()
  }
}
