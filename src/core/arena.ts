/** Regions of a linear memory: first fit, freed neighbours joined. */

interface Region {
  base: number
  bytes: number
}

/** Regions begin at multiples of this, a cache line, so that two maps never share one. */
const ALIGNMENT = 64

/** Hands out regions of a memory that can grow and not shrink. */
export class Arena {
  readonly #grow: (end: number) => void
  /** Free regions below `#end`, in order of address, no two of them adjacent. */
  readonly #free: Region[] = []
  #end: number

  /**
   * @param start first byte that regions may use
   * @param grow makes the memory reach to `end`, or throws; called with rising values
   */
  constructor(start: number, grow: (end: number) => void) {
    this.#end = roundUp(start)
    this.#grow = grow
  }

  /** Address after the last region in use or free. */
  get end(): number {
    return this.#end
  }

  /**
   * Sets a region aside; its content is whatever was there.
   *
   * @returns its first byte, a multiple of 64
   * @throws what `grow` throws; then nothing has changed
   */
  claim(bytes: number): number {
    const wanted = roundUp(bytes)
    for (const [i, region] of this.#free.entries()) {
      if (region.bytes < wanted) continue
      const { base } = region
      region.base += wanted
      region.bytes -= wanted
      if (region.bytes === 0) this.#free.splice(i, 1)
      return base
    }
    const base = this.#end
    this.#grow(base + wanted)
    this.#end = base + wanted
    return base
  }

  /** Gives a region back. @param bytes as claimed */
  release(base: number, bytes: number): void {
    const region = { base, bytes: roundUp(bytes) }
    const next = this.#free.findIndex((other) => other.base > base)
    const at = next < 0 ? this.#free.length : next
    this.#free.splice(at, 0, region)
    this.#join(at)
    this.#join(at - 1)
    const last = this.#free.at(-1)
    if (last !== undefined && last.base + last.bytes === this.#end) {
      this.#free.pop()
      this.#end = last.base
    }
  }

  /** Makes one of a free region and the one after it where they touch. */
  #join(at: number): void {
    const region = this.#free[at]
    const next = this.#free[at + 1]
    if (region === undefined || next === undefined) return
    if (region.base + region.bytes !== next.base) return
    region.bytes += next.bytes
    this.#free.splice(at + 1, 1)
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}
