/** Requests to an etcd of one or more members: asks the next when one does not answer. */

import { Backoff } from "../../../backoff.ts"
import { LariatError } from "../../../errors.ts"
import { type Dependencies, pause } from "../dependencies.ts"
import { HealthKeeper } from "../store_health.ts"
import { Endpoints, parseEndpoints } from "./endpoints.ts"
import { ask, type Exchange, type MessageStream, openStream } from "./exchange.ts"
import { EtcdFailure, failureOf } from "./failure.ts"
import { Patience } from "./patience.ts"
import { EtcdToken, type EtcdUser } from "./token.ts"

export interface EtcdClientOptions {
  /** Default: none, for an etcd without authentication. */
  readonly user?: EtcdUser | undefined
  /**
   * A call without an answer has failed after that, ms, and later where members are known to take
   * their time. Default 3,000.
   */
  readonly callMs?: number
}

/** What came of a call. */
export interface CallAnswer<T> {
  readonly value: T
  /** Which member answered. */
  readonly endpoint: string
  /** An attempt before, with no answer, may have been carried out too. */
  readonly doubtful: boolean
}

/** A member that says nothing for so long is left for the next, ms, unless it is known to be slow. */
const MEMBER_MS = 1000
/** So slow a one is as good as away, ms. */
const MOST_MEMBER_MS = 5000
/** However slow: whoever calls may be waited for, ms. */
const MOST_CALL_MS = 10_000
/** The least that a member gets to answer, ms, however many there are. */
const LEAST_MEMBER_MS = 250
/**
 * With no answer for so many calls' time the token is fetched anew: a simple token names an index of
 * the raft log, and an etcd that was put back from a snapshot waits for that index without a word
 * (isValidSimpleToken, auth/store.go). Not sooner: an election is over by then, and passwords cost
 * etcd's members time.
 */
const TOKEN_CALLS = 2
/** An idle connection is kept for so long by Bun (5 minutes), and less by Deno, ms. */
const POOLED_MS = 300_000
/** What any token does for. */
const TOKENLESS = "/v3/maintenance/"
/** New tokens within one attempt. */
const MAX_LOGINS = 2

const HINT =
  "check that etcd runs and that this host reaches it; containers that are attached keep working"

/** Talks to etcd's v3 JSON gateway. */
export class EtcdClient {
  readonly health: HealthKeeper
  readonly #dependencies: Dependencies
  readonly #endpoints: Endpoints
  readonly #token: EtcdToken
  readonly #memberMs: number
  /** By member. */
  readonly #patience = new Map<string, Patience>()
  readonly #callMs: number
  readonly #end = new AbortController()
  /** Ends what is under way. */
  #connections = new AbortController()
  /** Until then there may be idle connections from another address of this host; monotonic ms. */
  #staleUntilMs = Number.NEGATIVE_INFINITY
  #answeredMs = Number.NEGATIVE_INFINITY
  /** Since when no call was answered that tokens are looked at for; monotonic ms. */
  #unansweredSince: number | undefined
  /** The last call found nobody. */
  #away = false

  /**
   * @param endpoints URLs of the members
   * @throws LariatError config-invalid
   */
  constructor(
    endpoints: string | readonly string[],
    dependencies: Dependencies,
    options: EtcdClientOptions = {},
  ) {
    const urls = parseEndpoints(endpoints)
    this.#dependencies = dependencies
    this.#endpoints = new Endpoints(urls, dependencies.random)
    this.#token = new EtcdToken(options.user)
    this.#callMs = options.callMs ?? 3000
    const share = Math.max(LEAST_MEMBER_MS, Math.floor(this.#callMs / urls.length))
    this.#memberMs = Math.min(MEMBER_MS, share)
    this.health = new HealthKeeper(
      dependencies.now,
      this.#endpoints.current,
      "it was not asked yet",
    )
  }

  /** Aborts when the client is closed. */
  get signal(): AbortSignal {
    return this.#end.signal
  }

  /** When a member answered last; monotonic ms. */
  get answeredMs(): number {
    return this.#answeredMs
  }

  /** Fails what is under way, and all that follows. */
  close(): void {
    this.#end.abort()
    this.#connections.abort()
  }

  /** Fails what is under way, which is tried again; connections from before are not used again. */
  reconnect(): void {
    if (this.signal.aborted) return
    this.#staleUntilMs = this.#dependencies.now() + POOLED_MS
    const before = this.#connections
    this.#connections = new AbortController()
    before.abort(new EtcdFailure("this host has another address"))
  }

  /**
   * Asks one member after the other. While etcd is known to be away each is asked once; otherwise
   * again until the time is up, which bridges the election of a leader.
   *
   * @param doing what is done, for the error: "read /lariat/x"
   * @param parse reads the answer; when it throws, the member is no better than one that is away
   * @throws LariatError store-away, permission; io where etcd answered that it cannot
   */
  async call<T>(
    path: string,
    body: object,
    doing: string,
    parse: (answer: unknown) => T,
  ): Promise<CallAnswer<T>> {
    const slowness = this.#patienceWith(this.#endpoints.current).ms / this.#memberMs
    const callMs = Math.max(this.#callMs, Math.min(MOST_CALL_MS, this.#callMs * slowness))
    const until = this.#dependencies.now() + callMs
    const patient = !this.#away
    const backoff = new Backoff(this.#dependencies.random)
    const failures = new Map<string, string>()
    let doubtful = false
    for (;;) {
      for (const endpoint of this.#endpoints.inTurn()) {
        const left = until - this.#dependencies.now()
        if (left < LEAST_MEMBER_MS || this.signal.aborted) break
        const patience = this.#patienceWith(endpoint)
        const silenceMs = Math.min(left, patience.ms)
        try {
          const onHead = (ms: number) => patience.took(ms)
          const value = parse(await this.#send(ask, { endpoint, path, body, silenceMs, onHead }))
          this.#answered(endpoint)
          if (!path.startsWith(TOKENLESS)) this.#unansweredSince = undefined
          return { value, endpoint, doubtful }
        } catch (error) {
          const failure = this.#failed(endpoint, error)
          if (failure.silent && silenceMs < left) patience.silent()
          if (failure.final) throw refused(doing, failure)
          // The first reason: later attempts have less time.
          if (!failures.has(endpoint)) failures.set(endpoint, failure.message)
          doubtful ||= !failure.untouched
        }
      }
      const waitMs = backoff.next()
      if (!patient || this.signal.aborted || this.#dependencies.now() + waitMs >= until) break
      await pause(this.#dependencies, waitMs, this.signal)
    }
    throw this.#noAnswer(doing, failures)
  }

  /**
   * Opens a stream of the member that answers at present; when it does not, the next one's turn is
   * the next call.
   *
   * @throws LariatError permission; EtcdFailure
   */
  async stream(path: string, body: object): Promise<MessageStream> {
    const endpoint = this.#endpoints.current
    const silenceMs = this.#patienceWith(endpoint).ms
    try {
      return await this.#send(openStream, { endpoint, path, body, silenceMs })
    } catch (error) {
      throw this.#failed(endpoint, error)
    }
  }

  /** A stream was refused: the token may be the reason. */
  renewToken(): void {
    this.#token.forget()
  }

  /** Sends a request with a token, and once more with another one where that is refused. */
  async #send<T>(
    how: (dependencies: Dependencies, exchange: Exchange) => Promise<T>,
    request: Omit<Exchange, "token" | "signal" | "fresh">,
  ): Promise<T> {
    for (let logins = 0; ; logins++) {
      const fresh = this.#dependencies.now() < this.#staleUntilMs
      const { signal } = this.#connections
      const token = await this.#token.get((path, body) =>
        ask(this.#dependencies, { ...request, path, body, token: undefined, signal, fresh }),
      )
      try {
        return await how(this.#dependencies, { ...request, token, signal, fresh })
      } catch (error) {
        const failure = failureOf(error)
        if (!failure.staleToken || token === undefined) throw failure
        this.#token.refused(token)
        // Its own affair: members learn of a new token one after the other.
        if (logins >= MAX_LOGINS) throw new EtcdFailure(failure.message, { untouched: true })
      }
    }
  }

  #patienceWith(endpoint: string): Patience {
    const known = this.#patience.get(endpoint)
    if (known !== undefined) return known
    const patience = new Patience(this.#memberMs, Math.max(MOST_MEMBER_MS, this.#memberMs))
    this.#patience.set(endpoint, patience)
    return patience
  }

  #answered(endpoint: string): void {
    this.#answeredMs = this.#dependencies.now()
    this.#away = false
    this.#endpoints.answered(endpoint)
    this.health.up(endpoint)
  }

  /** What the failure means for the member; throws the refusal of user and password. */
  #failed(endpoint: string, error: unknown): EtcdFailure {
    // Wrong user or password: nothing works, and the reason should be seen.
    if (error instanceof LariatError && error.code === "permission") {
      this.health.down(endpoint, error.message)
      throw error
    }
    const failure = failureOf(error)
    if (failure.final) this.#answered(endpoint)
    else this.#endpoints.failed(endpoint)
    return failure
  }

  #noAnswer(doing: string, failures: ReadonlyMap<string, string>): LariatError {
    const closed = this.signal.aborted
    const each = [...failures].map(([endpoint, why]) => `${endpoint}: ${why}`).join("; ")
    const why = closed ? "the store is closed" : `etcd does not answer: ${each || "no time left"}`
    if (!closed) {
      this.#away = true
      const now = this.#dependencies.now()
      this.#unansweredSince ??= now - this.#callMs
      if (now - this.#unansweredSince >= TOKEN_CALLS * this.#callMs) this.#token.forget()
      this.health.down(this.#endpoints.current, each)
    }
    return new LariatError(`Cannot ${doing}: ${why}`, { code: "store-away", hint: HINT })
  }
}

function refused(doing: string, failure: EtcdFailure): LariatError {
  const hint = "check storeUser, its password, and the rights of its role in etcd"
  return new LariatError(`Cannot ${doing}: etcd refuses it: ${failure.message}`, {
    ...(failure.denied ? { code: "permission", hint } : { code: "io" }),
    cause: failure,
  })
}
