/** Says once why another host's word was not taken, however often it is repeated. */

import type { PeerRefusedError } from "../records/envelope.ts"

/** Reasons remembered; where there are more, the oldest is forgotten and may be told again. */
const MAX_REASONS = 1024

/** What is told of one refusal. */
export interface Refusal {
  /** Undefined where no pinned host has that id: the id is then anybody's word. */
  readonly hostId: string | undefined
  /** What was refused: `identity`, `keys`, `endpoint`… */
  readonly kind: string
  readonly error: PeerRefusedError
}

/**
 * Remembers which refusals were told. A reason is the host, the kind of the record and the check:
 * a thousand forged endpoints of one host are one line in the log, and so are those of hosts that
 * nobody knows.
 */
export class Refusals {
  readonly #told = new Set<string>()
  readonly #tell: (refusal: Refusal) => void

  /** @param tell is called once per reason */
  constructor(tell: (refusal: Refusal) => void) {
    this.#tell = tell
  }

  /** Tells of a refusal unless its reason was told before. */
  report(refusal: Refusal): void {
    const reason = reasonOf(refusal.hostId, refusal.kind) + refusal.error.check
    if (this.#told.has(reason)) return
    this.#told.add(reason)
    if (this.#told.size > MAX_REASONS) {
      for (const oldest of this.#told) {
        this.#told.delete(oldest)
        break
      }
    }
    this.#tell(refusal)
  }

  /** A host's record of that kind was taken again: the next refusal is news. */
  clear(hostId: string, kind: string): void {
    if (this.#told.size === 0) return
    const prefix = reasonOf(hostId, kind)
    for (const reason of this.#told) if (reason.startsWith(prefix)) this.#told.delete(reason)
  }
}

function reasonOf(hostId: string | undefined, kind: string): string {
  return `${hostId ?? ""} ${kind} `
}
