import type { Model } from "../metadata/model.ts"
import type { ContainerRecord } from "../metadata/records.ts"
import { Answerer, type Recursion, type Transport } from "./answer.ts"
import { Connections } from "./bounds/connections.ts"
import { AnswerCache, type CacheLimits, type KeptAnswer } from "./cache.ts"
import { type Client, Clients } from "./clients.ts"
import { candidatesOf } from "./host_search.ts"
import { staysLocal } from "./local_names.ts"
import type { CheckedMessage } from "./message.ts"
import { NameIndex, type NameIndexOptions } from "./name_index.ts"
import { questionOf, relayed } from "./relay.ts"
import type { HostResolver, ServerAddress } from "./resolv_conf.ts"
import { Resolver } from "./resolver.ts"
import { type TcpConnection, TcpSession } from "./tcp_session.ts"
import { type Timers, type UpstreamOptions, type UpstreamSockets, Upstreams } from "./upstream.ts"
import {
  HEADER_BYTES,
  MAX_UDP_BYTES,
  MIN_UDP_BYTES,
  RCODE_NOERROR,
  RCODE_NXDOMAIN,
} from "./wire.ts"

/** What a {@link DnsServer} needs from outside. */
export interface DnsEnvironment {
  readonly timers: Timers
  /** 32 bits at random that nobody can guess. */
  readonly random: () => number
  readonly upstreamSockets: UpstreamSockets
  /** Whether an address is of a managed network. Must not throw, whatever the text. */
  readonly isManaged: (address: string) => boolean
  /** Whether an address is one of this host's own. Must not throw. */
  readonly isLocal: (address: string) => boolean
  /** The container that asks from an address. Default: the one whose address the model says it is. */
  readonly containerAt?: (address: string) => ContainerRecord | undefined
  /**
   * The network that an address is of: of a container's addresses, one of a network that the asker
   * is in is answered. Default: nobody knows.
   */
  readonly networkOf?: (address: string) => string | undefined
}

/** Settings of a {@link DnsServer}. */
export interface DnsServerOptions extends NameIndexOptions {
  /** The host's own nameservers. Default none: what is not ours gets SERVFAIL. */
  readonly servers?: readonly ServerAddress[]
  /** The host's own search domains. Default none. */
  readonly search?: readonly string[]
  /** Addresses that this server listens on, and others that would ask it again. Default none. */
  readonly neverAsk?: readonly string[]
  readonly cache?: CacheLimits
  readonly upstream?: Omit<UpstreamOptions, "random">
  /** TCP connections, of all clients. Default 512. */
  readonly maxConnections?: number
  /** TCP connections of one client. Default 32. */
  readonly maxConnectionsPerClient?: number
  /** Queries that wait for other servers, of all clients; more get SERVFAIL. Default 4096. */
  readonly maxRecursions?: number
  /** Those of one client. Default 128. */
  readonly maxRecursionsPerClient?: number
}

/** How many queries there were. */
export interface DnsCounters {
  queries: number
  /** From outside, over a bound, or no queries at all. */
  dropped: number
  /** Handed to other servers. */
  recursed: number
  /** Answered from what other servers said before. */
  cached: number
  /** Without an answer of any other server that could be used. */
  failed: number
}

/** Sends one answer; the bytes may change after the call. */
export type SendDatagram = (bytes: Uint8Array, port: number, address: string) => void

/**
 * The DNS server: takes datagrams and connections, whatever sockets they come from, and answers
 * clients of the managed networks and of this host. Nobody else gets an answer.
 */
export class DnsServer {
  readonly counters: DnsCounters = { queries: 0, dropped: 0, recursed: 0, cached: 0, failed: 0 }
  readonly index: NameIndex
  readonly #clients: Clients
  readonly #answerer: Answerer
  readonly #resolver: Resolver
  readonly #never: ReadonlySet<string>
  readonly #timers: Timers
  readonly #connections: Connections
  readonly #limits: {
    readonly recursions: number
    readonly recursionsPerClient: number
  }
  #servers: readonly ServerAddress[]
  #search: readonly string[]
  #recursions = 0

  constructor(model: Model, environment: DnsEnvironment, options: DnsServerOptions = {}) {
    const { timers, random, upstreamSockets, isManaged, isLocal, containerAt, networkOf } =
      environment
    this.index = new NameIndex(model, options)
    this.#clients = new Clients(
      model,
      this.index,
      (address) => isManaged(address) || isLocal(address),
      containerAt ?? ((address) => model.containerAt(address)),
      networkOf ?? (() => undefined),
      () => timers.now(),
    )
    this.#answerer = new Answerer(model, this.index, { isManaged, random: shuffler(random) })
    const upstreams = new Upstreams(upstreamSockets, timers, { ...options.upstream, random })
    const cache = new AnswerCache(() => timers.now(), options.cache)
    this.#resolver = new Resolver(cache, upstreams)
    this.#servers = options.servers ?? []
    this.#search = options.search ?? []
    this.#never = new Set([
      options.serviceAddress ?? "169.254.169.250",
      ...(options.neverAsk ?? []),
    ])
    this.#timers = timers
    this.#connections = new Connections(
      options.maxConnections ?? 512,
      options.maxConnectionsPerClient ?? 32,
    )
    this.#limits = {
      recursions: options.maxRecursions ?? 4096,
      recursionsPerClient: options.maxRecursionsPerClient ?? 128,
    }
  }

  /** Another resolver of the host from now on; what is kept of the earlier servers is forgotten. */
  setResolver({ servers, search }: HostResolver): void {
    this.#servers = servers
    this.#search = search
    this.#resolver.clear()
  }

  /** To be called when networks or the host's addresses have changed. */
  networksChanged(): void {
    this.#clients.forget()
    this.index.networksChanged()
  }

  /** Stops following the model. Sockets are the caller's. */
  close(): void {
    this.index.close()
  }

  /** Takes a datagram. */
  datagram(bytes: Uint8Array, port: number, address: string, send: SendDatagram): void {
    const client = this.#clients.at(address)
    if (!client.isPermitted) {
      this.counters.dropped += 1
      return
    }
    const most = client.long.isLeft ? MAX_UDP_BYTES : MIN_UDP_BYTES
    const reply = (answer: Uint8Array): void => {
      if (answer.length > MIN_UDP_BYTES) client.long.take()
      send(answer, port, address)
    }
    const outcome = this.#answer(bytes, client, "udp", most)
    if (outcome instanceof Uint8Array) reply(outcome)
    else outcome?.then((answer) => reply(answer()))
  }

  /**
   * Takes a connection.
   *
   * @returns what is to be told of its data and its end; undefined when it is refused and closed
   */
  connection(
    connection: TcpConnection,
  ): { data(bytes: Uint8Array): void; end(): void } | undefined {
    const client = this.#clients.at(connection.address)
    const open = client.isPermitted
      ? this.#connections.add(client, () => connection.close())
      : undefined
    if (open === undefined) {
      this.counters.dropped += 1
      connection.close()
      return undefined
    }
    const session = new TcpSession(connection, this.#timers, (query, reply) => {
      open.asked()
      const outcome = this.#answer(query, client, "tcp")
      if (outcome instanceof Uint8Array || outcome === undefined) reply(outcome)
      else outcome.then((answer) => reply(answer()))
    })
    return {
      data: (bytes) => session.data(bytes),
      end: () => {
        session.end()
        open.end()
      },
    }
  }

  /** The answer; later, as what writes it then, where another server must be asked. */
  #answer(
    bytes: Uint8Array,
    client: Client,
    transport: Transport,
    mostOverUdp?: number,
  ): Uint8Array | Promise<() => Uint8Array> | undefined {
    this.counters.queries += 1
    const outcome = this.#answerer.answer(bytes, client.view, transport, mostOverUdp)
    if (outcome === undefined) this.counters.dropped += 1
    if (outcome === undefined || outcome instanceof Uint8Array) return outcome
    return this.#recurse(outcome, client)
  }

  #recurse(asked: Recursion, client: Client): Uint8Array | Promise<() => Uint8Array> {
    const { writer } = this.#answerer
    const ttl = this.index.ttlSeconds
    const servers = client.servers(this.#servers, (address) => this.#never.has(address))
    const { bytes, nameEnd, type, alias } = asked
    // Without a server nobody can say that it is not there.
    const isLocal =
      servers.length > 0 && alias === undefined && staysLocal(bytes, HEADER_BYTES, nameEnd, type)
    // Of one that stays here only what the host's own search makes of it is asked.
    let [candidate, ...others] = candidatesOf(asked, this.#search).filter(
      (one) => !isLocal || one.alias !== undefined,
    )
    if (candidate === undefined) return writer.code(asked, RCODE_NXDOMAIN)
    const reply = (answered: Recursion, found: KeptAnswer | undefined): Uint8Array =>
      isLocal && found !== undefined && !isThere(found.message)
        ? writer.code(asked, RCODE_NXDOMAIN)
        : relayed(writer, answered, found, ttl)
    for (;;) {
      const kept = this.#resolver.kept(questionOf(candidate), servers)
      if (kept === undefined) break
      const [next, ...rest] = others
      if (next === undefined || isThere(kept.message)) {
        this.counters.cached += 1
        return reply(candidate, kept)
      }
      candidate = next
      others = rest
    }
    const { recursions, recursionsPerClient } = this.#limits
    if (this.#recursions >= recursions || client.recursions >= recursionsPerClient) {
      this.counters.dropped += 1
      return relayed(writer, asked, undefined, ttl)
    }
    this.counters.recursed += 1
    this.#recursions += 1
    client.recursions += 1
    return this.#askInTurn(candidate, others, servers)
      .finally(() => {
        this.#recursions -= 1
        client.recursions -= 1
      })
      .then(({ answered, message }) => {
        if (message === undefined) this.counters.failed += 1
        const fresh = message === undefined ? undefined : { message, age: 0 }
        return () => reply(answered, fresh)
      })
  }

  /** The first of some questions whose name is there; else the last one. */
  async #askInTurn(
    asked: Recursion,
    others: readonly Recursion[],
    servers: readonly ServerAddress[],
  ): Promise<{ readonly answered: Recursion; readonly message: CheckedMessage | undefined }> {
    const message = await this.#resolver.ask(questionOf(asked), servers)
    const [next, ...rest] = others
    const isOver = next === undefined || (message !== undefined && isThere(message))
    return isOver ? { answered: asked, message } : this.#askInTurn(next, rest, servers)
  }
}

function isThere({ rcode }: CheckedMessage): boolean {
  return rcode === RCODE_NOERROR
}

/** xorshift32 (Marsaglia 2003) from a random seed: which answer comes first is no secret. */
function shuffler(random: () => number): () => number {
  let state = random() | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}
