import type { Network, UdpEncapsulation } from "../../../config/network.ts"
import { ESP_UDP_PORT, type UdpEncapSocket } from "../../../sys/net/udp_encap.ts"
import { EncapSockets, type EncapSocketsOptions } from "./encap_sockets.ts"
import { RetiringPorts } from "./retiring_ports.ts"

/** How often sockets that could not be opened are tried again, ms. */
const REOPEN_MS = 5000

/** What this host's configuration says of a network. */
interface Own {
  readonly mode: Exclude<UdpEncapsulation, "none">
  readonly port: number
  /** The one that was used before: it is gone on with while the other cannot be had. */
  readonly formerPort: number | undefined
}

/** This host's part in ESP in UDP: what is configured, and the ports that are open for it. */
export class OwnEncapsulation {
  readonly #family: () => 4 | 6 | undefined
  readonly #sockets: EncapSockets
  readonly #networks = new Map<string, Own>()
  readonly #retiring = new RetiringPorts()
  #reopenAt = Number.POSITIVE_INFINITY

  /** @param family of the packets outside; undefined without an address of this host */
  constructor(family: () => 4 | 6 | undefined, options: EncapSocketsOptions) {
    this.#family = family
    this.#sockets = new EncapSockets(options)
  }

  /** When {@link reopen} or {@link release} may have something to do, ms; Infinity for never. */
  get nextMs(): number {
    return Math.min(this.#reopenAt, this.#retiring.nextMs)
  }

  /**
   * Takes the networks' settings in, and opens their ports. Those that are not named any more stay
   * open for those who have not heard of it.
   *
   * @returns whether anything is another than before
   */
  configure(networks: readonly Network[], nowMs: number): boolean {
    const before = new Map(this.#networks)
    this.#networks.clear()
    for (const { name, driver, encapsulation } of networks) {
      const { udp: mode, port = ESP_UDP_PORT } = encapsulation
      if (driver !== "ipsec" || mode === "none") continue
      const old = before.get(name)
      const formerPort = old?.port === port ? old.formerPort : old && this.#portOf(old)
      this.#networks.set(name, { mode, port, formerPort })
    }
    const former = [...before.values()].map(({ port }) => port)
    this.#retiring.change(former, new Set(this.#wanted), nowMs)
    this.#open(nowMs)
    return JSON.stringify([...before]) !== JSON.stringify([...this.#networks])
  }

  /** What a network can use now; undefined without a port: nothing in UDP could be taken in. */
  of(network: string): { readonly mode: Own["mode"]; readonly port: number } | undefined {
    const own = this.#networks.get(network)
    const port = own === undefined ? undefined : this.#portOf(own)
    return own === undefined || port === undefined ? undefined : { mode: own.mode, port }
  }

  socket(family: 4 | 6, port: number): UdpEncapSocket | undefined {
    return this.#sockets.get(family, port)
  }

  /** Tries again what could not be opened. @returns whether all are there now that were not */
  reopen(nowMs: number): boolean {
    if (nowMs < this.#reopenAt) return false
    this.#open(nowMs)
    return this.#reopenAt === Number.POSITIVE_INFINITY
  }

  /**
   * Closes ports that are not named any more, after a while.
   *
   * @param isUsed whether packets may still come in by one
   * @returns whether one was closed
   */
  release(nowMs: number, isUsed: (port: number) => boolean): boolean {
    const networks = [...this.#networks.values()]
    const released = this.#retiring.release(
      nowMs,
      (port) => networks.some((own) => this.#portOf(own) === port) || isUsed(port),
    )
    if (released) this.#open(nowMs)
    return released
  }

  async stop(): Promise<void> {
    await this.#sockets.stop()
  }

  get #wanted(): number[] {
    return [...this.#networks.values()].map(({ port }) => port)
  }

  #portOf({ port, formerPort }: Own): number | undefined {
    const family = this.#family()
    return [port, formerPort].find(
      (one) => one !== undefined && family && this.#sockets.get(family, one) !== undefined,
    )
  }

  #open(nowMs: number): void {
    const family = this.#family()
    const ports = [...new Set([...this.#wanted, ...this.#retiring.all])]
    const complete = family === undefined || this.#sockets.ensure(family, ports)
    this.#reopenAt = complete ? Number.POSITIVE_INFINITY : nowMs + REOPEN_MS
  }
}
