/** The real network, time and randomness, for stores under test. */
import type { Dependencies, Fetch } from "../../src/cluster/store/dependencies.ts"
import { secureFetch } from "../../src/sys/http/fetch.ts"
import { type Certificates, clientTls } from "./certificates.ts"

/** Clock and chance as the agent gives them to a store. */
export const timersOfRuntime: Omit<Dependencies, "fetch"> = {
  now: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
  random: Math.random,
}

/** With the network too. */
export function realDependencies(certificates?: Certificates): Dependencies {
  const tls = certificates === undefined ? {} : clientTls(certificates)
  return { ...timersOfRuntime, fetch: secureFetch(tls) }
}

/** The network of a host that can be taken off it. */
export class Gate {
  readonly #fetch: Fetch
  /** Watches that were opened so far. */
  watches = 0
  #closed = new AbortController()

  constructor(fetch: Fetch) {
    this.#fetch = fetch
  }

  readonly fetch: Fetch = async (url, init) => {
    const ended = this.#closed.signal
    if (ended.aborted) throw new Error("ECONNREFUSED: the gate is closed")
    const signal = init.signal ? AbortSignal.any([init.signal, ended]) : ended
    const response = await this.#fetch(url, { ...init, signal })
    if (url.endsWith("/v3/watch")) this.watches++
    return response
  }

  /** Breaks what is open and lets nothing new through. */
  close(): void {
    this.#closed.abort(new Error("the gate was closed"))
  }

  open(): void {
    this.#closed = new AbortController()
  }
}
