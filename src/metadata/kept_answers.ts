import type { Answer } from "./answer.ts"

/** What may be kept. */
export interface KeptLimits {
  /** Answers. Default 4096. */
  readonly most?: number | undefined
  /** Characters of all keys and bodies. Default 32 Mi. */
  readonly length?: number | undefined
}

/** Answers that may be given again; those that nobody asks for are given up first. */
export class KeptAnswers {
  readonly #most: number
  readonly #length: number
  /** Those asked for lately, and those of the time before that. */
  #young = new Map<string, Answer>()
  #old = new Map<string, Answer>()
  #youngLength = 0

  /** Half of each limit is for what is asked for lately. */
  constructor({ most = 4096, length = 32 * 1024 * 1024 }: KeptLimits = {}) {
    this.#most = most / 2
    this.#length = length / 2
  }

  /** How many there are. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): Answer | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    this.put(key, old)
    return old
  }

  put(key: string, answer: Answer): void {
    const length = key.length + answer.body.length
    // Rather made each time than kept at the cost of all others.
    if (length > this.#length) return
    if (this.#young.size >= this.#most || this.#youngLength + length > this.#length) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngLength = 0
    }
    this.#young.set(key, answer)
    this.#youngLength += length
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#youngLength = 0
  }
}
