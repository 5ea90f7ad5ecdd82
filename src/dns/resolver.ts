import type { AnswerCache, KeptAnswer } from "./cache.ts"
import type { CheckedMessage } from "./message.ts"
import { lowerCase } from "./name.ts"
import type { ServerAddress } from "./resolv_conf.ts"
import { AWAY_MS, type Question, type Upstreams } from "./upstream.ts"

/** Answers questions that are not ours: from what is kept, or by asking other servers. */
export class Resolver {
  readonly #cache: AnswerCache
  readonly #upstreams: Pick<Upstreams, "ask">
  /** A question that is being asked is not asked again: its answer is for all who wait. */
  readonly #asking = new Map<string, Promise<CheckedMessage | undefined>>()

  constructor(cache: AnswerCache, upstreams: Pick<Upstreams, "ask">) {
    this.#cache = cache
    this.#upstreams = upstreams
  }

  /** What is kept of an answer of these servers. */
  kept(question: Question, servers: readonly ServerAddress[]): KeptAnswer | undefined {
    return this.#cache.get(keyOf(question, servers))
  }

  /** Asks these servers. @returns undefined when they have no answer */
  ask(question: Question, servers: readonly ServerAddress[]): Promise<CheckedMessage | undefined> {
    const key = keyOf(question, servers)
    const known = this.#asking.get(key)
    if (known !== undefined) return known
    const asking = this.#upstreams
      .ask(question, servers)
      .then((answer) => {
        if (answer === undefined) return undefined
        // What a later server says in place of the first must not outlive the first one's absence.
        const limit = answer.isFirst ? undefined : AWAY_MS / 1000
        this.#cache.put(key, answer.message, limit)
        return answer.message
      })
      .finally(() => this.#asking.delete(key))
    this.#asking.set(key, asking)
    return asking
  }

  /** Forgets what is kept: the servers have changed. */
  clear(): void {
    this.#cache.clear()
  }
}

/** Two clients with other servers may get other answers to the same question. */
function keyOf(
  { name, type, dnssec, checkingDisabled }: Question,
  servers: readonly ServerAddress[],
): string {
  const places = servers.map(({ address, port }) => `${address} ${port}`).join(",")
  const flags = (dnssec ? 1 : 0) | (checkingDisabled ? 2 : 0)
  return `${type} ${flags} ${places} ${String.fromCharCode(...name.map(lowerCase))}`
}
