/** A server over objects, without sockets, for tests. */
import { decode, encode, type Packet } from "dns-packet"
import { type Prefix, parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { Model } from "../metadata/model.ts"
import { loadObjects, type ObjectsFile } from "../metadata/objects_file.ts"
import type { Transport } from "./answer.ts"
import type { ServerAddress } from "./resolv_conf.ts"
import { type DnsEnvironment, DnsServer, type DnsServerOptions } from "./server.ts"
import { framed } from "./tcp_session.ts"
import type { UpstreamSockets } from "./upstream.ts"

/** More turns of the event loop than answers of other servers take in tests. */
const TURNS = 10
/** Longer than any question may take. */
const ANSWER_MS = 5000

/** What stands for a server elsewhere: gives an answer to a query, or nothing. */
export type FakeUpstream = (
  query: Uint8Array,
  transport: Transport,
  server: ServerAddress,
) => Uint8Array | undefined

/** Sockets to a server that is a function. */
export function fakeSockets(answer: FakeUpstream): UpstreamSockets {
  return {
    async openUdp(server, onMessage) {
      return {
        send(query) {
          const reply = answer(query, "udp", server)
          if (reply !== undefined) queueMicrotask(() => onMessage(reply))
        },
        close: () => undefined,
      }
    },
    async askTcp(server, query) {
      const reply = answer(query, "tcp", server)
      if (reply === undefined) throw new Error("no answer")
      return reply
    },
  }
}

/** Time that passes when it is told to. */
export class FakeTimers {
  #now = 0
  #waiting: { readonly at: number; readonly action: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, action: () => void): () => void {
    const waiting = { at: this.#now + ms, action }
    this.#waiting.push(waiting)
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== waiting)
    }
  }

  /** Lets time pass, and all that was to happen in it, with what follows from it. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await settled()
      const next = this.#waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#now = next.at
      this.#waiting = this.#waiting.filter((one) => one !== next)
      next.action()
    }
    this.#now = end
  }
}

/** When what follows from promises has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** What a test talks to. */
export interface TestServer {
  readonly model: Model
  readonly server: DnsServer
  readonly timers: FakeTimers
  /** The answer without the TCP length; undefined when there is none. */
  ask(query: Uint8Array, source: string, transport?: Transport): Promise<Uint8Array | undefined>
}

/** Settings of {@link servedBy}. */
export interface TestServerOptions extends DnsServerOptions {
  /** Default: none answers. */
  readonly fakeUpstream?: FakeUpstream
  /** Default 10.42.0.0/16. */
  readonly managed?: string
  /** In place of what the fixture has. */
  readonly environment?: Partial<DnsEnvironment>
}

/** A server over a file of objects. */
export function servedBy(file: ObjectsFile, options: TestServerOptions = {}): TestServer {
  const model = new Model()
  loadObjects(model, file)
  const timers = new FakeTimers()
  const managed = parsePrefix(options.managed ?? "10.42.0.0/16")
  let seed = 1
  const server = new DnsServer(
    model,
    {
      timers,
      random: () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0),
      upstreamSockets: fakeSockets(options.fakeUpstream ?? (() => undefined)),
      isManaged: (address) => contains(managed, address),
      isLocal: (address) => address.startsWith("127."),
      ...options.environment,
    },
    options,
  )
  async function ask(
    query: Uint8Array,
    source: string,
    transport: Transport = "udp",
  ): Promise<Uint8Array | undefined> {
    let answer: Uint8Array | undefined
    if (transport === "udp") {
      server.datagram(query, 4000, source, (bytes) => {
        answer = bytes.slice()
      })
    } else {
      const listener = server.connection({
        address: source,
        write: (bytes) => {
          answer = bytes.slice(2)
        },
        close: () => undefined,
      })
      listener?.data(framed(query))
      if (answer !== undefined) listener?.end()
    }
    // Time only passes for what waits for it.
    for (let turn = 0; turn < TURNS && answer === undefined; turn++) await settled()
    if (answer === undefined) await timers.pass(ANSWER_MS)
    return answer
  }
  return { model, server, timers, ask }
}

function contains(prefix: Prefix, address: string): boolean {
  try {
    return prefixContains(prefix, parseAddress(address))
  } catch {
    return false
  }
}

/** A query as a resolver sends it. */
export function queryFor(name: string, type = "A", more: Partial<Packet> = {}): Uint8Array {
  return encode({
    type: "query",
    id: 1,
    flags: 0x0100,
    questions: [{ name, type, class: "IN" }],
    ...more,
  } as Packet)
}

/** A message as dns-packet reads it. @throws Error when it cannot, or there is none */
export function readPacket(bytes: Uint8Array | undefined): Packet {
  if (bytes === undefined) throw new Error("no answer")
  return decode(Buffer.from(bytes))
}
