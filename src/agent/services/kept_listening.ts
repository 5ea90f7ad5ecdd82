import { Backoff } from "../../backoff.ts"
import { messageOf } from "../../errors.ts"
import { after } from "../../sys/timer.ts"
import type { Health } from "../health.ts"

/** The first wait after a failure, and the longest, milliseconds. */
const FIRST_MS = 500
const LONGEST_MS = 5000

/** What {@link KeptListening} works with. */
export interface KeptListeningOptions<Server> {
  /** The key of its problem in `status`. */
  readonly key: string
  readonly health: Health
  /** Begins to listen. */
  readonly open: () => Server | Promise<Server>
  /** What is wrong while it does not: the reason is put behind it. */
  readonly what: string
  readonly hint: string
}

/**
 * A server of this host's that listens as soon as it can: a port that is taken, or an address that
 * cannot be put on the host, is a problem of `status` and is tried again until it is well. It never
 * keeps the agent from attaching containers.
 */
export class KeptListening<Server extends { stop(): void | Promise<void> }> {
  readonly #options: KeptListeningOptions<Server>
  readonly #backoff = new Backoff(Math.random, { firstMs: FIRST_MS, longestMs: LONGEST_MS })
  #server: Server | undefined
  #trying: Promise<void> = Promise.resolve()
  #callOff = (): void => undefined
  #stopped = false

  constructor(options: KeptListeningOptions<Server>) {
    this.#options = options
  }

  /** Undefined while it does not listen. */
  get server(): Server | undefined {
    return this.#server
  }

  /** Tries once, and goes on trying. Never fails. */
  start(): Promise<void> {
    this.#trying = this.#try()
    return this.#trying
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#callOff()
    await this.#trying
    await this.#server?.stop()
    this.#server = undefined
  }

  async #try(): Promise<void> {
    const { key, health, open, what, hint } = this.#options
    try {
      this.#server = await open()
      health.clear(key)
    } catch (error) {
      health.raise(key, { severity: "error", what: `${what}: ${messageOf(error)}`, hint })
      if (this.#stopped) return
      this.#callOff = after(this.#backoff.next(), () => void this.start())
    }
  }
}
