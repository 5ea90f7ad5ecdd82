/** Lets so many through at a time; some others wait, in the order in which they came. */
export class Turns {
  #free: number
  readonly #mostWaiting: number
  readonly #waiting = new Set<() => void>()

  constructor(most: number, mostWaiting: number) {
    this.#free = most
    this.#mostWaiting = mostWaiting
  }

  /**
   * Calls when it is one's turn: at once, or later.
   *
   * @returns what ends the turn, or the waiting for it; undefined where too many wait already
   */
  take(go: () => void): (() => void) | undefined {
    let isIn = false
    const enter = () => {
      isIn = true
      go()
    }
    if (this.#free > 0) {
      this.#free -= 1
      enter()
    } else if (this.#waiting.size < this.#mostWaiting) this.#waiting.add(enter)
    else return undefined
    return () => {
      if (this.#waiting.delete(enter) || !isIn) return
      isIn = false
      const [next] = this.#waiting
      if (next === undefined) {
        this.#free += 1
        return
      }
      this.#waiting.delete(next)
      next()
    }
  }
}
