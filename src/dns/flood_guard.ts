import type { Round } from "./budget.ts"

/** The queue of a socket, and the kernel's help with it; `sys` has the real one. */
export interface Shedding {
  /** Datagrams dropped so far. */
  dropped(): number
  /** How full the queue is, 0 to 1. */
  fullness(): number
  /** Drops datagrams of these senders but for a share, and of nobody else. */
  shed(sources: readonly { readonly address: string; readonly keep: number }[]): void
}

interface Rule {
  readonly keep: number
  readonly until: number
  readonly holdMs: number
}

const FIRST_HOLD_MS = 500
const LONGEST_HOLD_MS = 16_000
/** As many as the kernel's filter takes. */
const MAX_RULES = 16
/** Of the queue: others still find room. */
const TOO_FULL = 0.5
/** How many times an equal part it is to send too much. */
const MUCH = 1.5
const LEAST_KEPT = 0.001

/**
 * Watches a socket's queue. When it overflows, most datagrams of whoever sent most are dropped by
 * the kernel for a while, longer each time that it must be done again: what others ask then finds
 * room in the queue, which no dropping after it was read can give.
 */
export class FloodGuard {
  readonly #shedding: Shedding
  readonly #rules = new Map<string, Rule>()
  /** Those whose time was over: who comes back soon is held longer. */
  readonly #past = new Map<string, Rule>()
  #dropped: number
  #last = 0

  constructor(shedding: Shedding) {
    this.#shedding = shedding
    this.#dropped = shedding.dropped()
  }

  /** Takes what was asked in one round. */
  round({ heaviest, used, total, clients, fair, now, roundMs }: Round): void {
    const dropped = this.#shedding.dropped()
    const lost = dropped - this.#dropped
    this.#dropped = dropped
    const before = this.#last
    this.#last = now
    // What a rule has dropped is what is still being sent. Of several rules nobody knows whose.
    const goesOn = this.#rules.size === 1 && lost > (fair / 2) * ((now - before) / roundMs)
    let changed = this.#expire(now, goesOn)
    // With rules in force the kernel counts what they drop as well.
    const isPressed = this.#rules.size === 0 ? lost > 0 : this.#shedding.fullness() > TOO_FULL
    const isAlone = clients === 1 || used * clients > MUCH * total
    if (isPressed && isAlone && this.#mayAdd(heaviest)) {
      const keep = this.#rules.get(heaviest)?.keep ?? 1
      const offered = keep === 1 ? used + lost * (used / total) : used
      const share = keep * Math.min(fair / 2 / offered, 1 / 2)
      const holdMs = Math.min(LONGEST_HOLD_MS, this.#holdBefore(heaviest, now))
      this.#rules.set(heaviest, { keep: Math.max(LEAST_KEPT, share), until: now + holdMs, holdMs })
      changed = true
    }
    if (!changed) return
    this.#shedding.shed([...this.#rules].map(([address, { keep }]) => ({ address, keep })))
  }

  #mayAdd(address: string): boolean {
    return this.#rules.has(address) || this.#rules.size < MAX_RULES
  }

  #holdBefore(address: string, now: number): number {
    const rule = this.#rules.get(address)
    if (rule !== undefined) return rule.holdMs
    const past = this.#past.get(address)
    return past !== undefined && now < past.until ? past.holdMs * 2 : FIRST_HOLD_MS
  }

  #expire(now: number, goesOn: boolean): boolean {
    for (const [address, past] of this.#past) if (past.until <= now) this.#past.delete(address)
    let changed = false
    for (const [address, rule] of this.#rules) {
      if (rule.until > now) continue
      if (goesOn) {
        this.#rules.set(address, { ...rule, until: now + rule.holdMs })
        continue
      }
      this.#rules.delete(address)
      this.#past.set(address, { ...rule, until: now + 2 * rule.holdMs })
      changed = true
    }
    return changed
  }
}
