import type { Model } from "../metadata/model.ts"
import type { ContainerRecord } from "../metadata/records.ts"
import { Allowance } from "./bounds/allowance.ts"
import { ClientView } from "./client_view.ts"
import type { NameIndex, Nearness } from "./name_index.ts"
import { type ServerAddress, serversOf } from "./resolv_conf.ts"

/** Clients that are remembered; one more has the oldest forgotten, which costs it nothing. */
const MAX_CLIENTS = 4096
/** Answers of over 512 bytes over UDP; further ones are asked for again over TCP. */
const LONG_PER_SECOND = 100

/** Who asks. */
export class Client {
  readonly view: ClientView
  /** Whether it is answered at all. */
  readonly isPermitted: boolean
  /** Of the index when that was decided. */
  readonly generation: number
  /** TCP connections that it has open. */
  connections = 0
  /** Long answers over UDP, which somebody else may have asked for in its name. */
  readonly long: Allowance
  /** Its queries that wait for other servers. */
  recursions = 0
  #servers: readonly ServerAddress[] = []
  #serversOf:
    | { container: ContainerRecord | undefined; fallback: readonly ServerAddress[] }
    | undefined

  constructor(view: ClientView, isPermitted: boolean, generation: number, long: Allowance) {
    this.long = long
    this.view = view
    this.isPermitted = isPermitted
    this.generation = generation
  }

  /**
   * The servers to ask for this client: its container's own, then those of the host.
   *
   * @param fallback those of the host
   * @param isOwn tells addresses of this very server, which asked would ask itself
   */
  servers(
    fallback: readonly ServerAddress[],
    isOwn: (address: string) => boolean,
  ): readonly ServerAddress[] {
    const { container } = this.view
    const known = this.#serversOf
    if (known === undefined || known.container !== container || known.fallback !== fallback) {
      this.#serversOf = { container, fallback }
      const own = serversOf(container?.dns ?? []).filter(({ address }) => !isLoopback(address))
      this.#servers = [...own, ...fallback].filter(({ address }) => !isOwn(address))
    }
    return this.#servers
  }
}

/** A container's own loopback is not ours. */
function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1"
}

/** All clients, by address. */
export class Clients {
  readonly #model: Model
  readonly #index: NameIndex
  readonly #permits: (address: string) => boolean
  readonly #containerAt: (address: string) => ContainerRecord | undefined
  readonly #networkOf: (address: string) => string | undefined
  readonly #now: () => number
  readonly #byAddress = new Map<string, Client>()

  constructor(
    model: Model,
    index: NameIndex,
    permits: (address: string) => boolean,
    containerAt: (address: string) => ContainerRecord | undefined,
    networkOf: (address: string) => string | undefined,
    now: () => number,
  ) {
    this.#now = now
    this.#model = model
    this.#index = index
    this.#permits = permits
    this.#containerAt = containerAt
    this.#networkOf = networkOf
  }

  get size(): number {
    return this.#byAddress.size
  }

  /** @param address as the socket gives it: an IPv4 address may be mapped into IPv6 */
  at(address: string): Client {
    const known = this.#byAddress.get(address)
    // Who was refused may be a container by now.
    const holds = known?.isPermitted === true || known?.generation === this.#index.generation
    return known !== undefined && holds ? known : this.#add(address)
  }

  /** Asks anew who may be answered: the networks have changed. */
  forget(): void {
    this.#byAddress.clear()
  }

  /** Where one with these addresses is; undefined for who is in no network. */
  #nearness(addresses: readonly string[]): Nearness | undefined {
    const networks = new Set(addresses.map(this.#networkOf).filter((name) => name !== undefined))
    if (networks.size === 0) return undefined
    const isNear = (address: string) => networks.has(this.#networkOf(address) ?? "")
    return { key: [...networks].sort().join("\n"), isNear }
  }

  #add(address: string): Client {
    const plain = plainAddress(address)
    const view = new ClientView(
      this.#model,
      this.#index,
      () => this.#containerAt(plain),
      (container) => this.#nearness([plain, ...(container?.ips ?? [])]),
    )
    const long = new Allowance(LONG_PER_SECOND, this.#now)
    const client = new Client(view, this.#permits(plain), this.#index.generation, long)
    this.#byAddress.set(address, client)
    for (const oldest of this.#byAddress.keys()) {
      if (this.#byAddress.size <= MAX_CLIENTS) break
      this.#byAddress.delete(oldest)
    }
    return client
  }
}

/** `::ffff:10.0.0.1` is how a socket of both families writes 10.0.0.1. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address
}
