/** Which addresses may not be given yet, seen from outside. */

export class Quarantine {
  readonly #restMs: number
  /** When the DEL was sent that released the address: the rest cannot have begun earlier. */
  readonly #released = new Map<string, number>()

  constructor(restMs: number) {
    this.#restMs = restMs
  }

  released(addresses: readonly string[], sentMs: number): void {
    for (const address of addresses) this.#released.set(address, sentMs)
  }

  /** @throws Error for an address that was given again while it had to rest */
  given(addresses: readonly string[]): void {
    const now = performance.now()
    for (const address of addresses) {
      const released = this.#released.get(address)
      if (released === undefined || now - released >= this.#restMs) continue
      const after = Math.round(now - released)
      throw new Error(`${address} was given again after ${after} ms of ${this.#restMs}`)
    }
  }
}
