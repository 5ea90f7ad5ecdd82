/** The map of used addresses of a pool, by index: the host side of asm/bitmap.ts. */

import { LariatError } from "../errors.ts"
import { type CoreExports, wasmCore } from "./wasm.ts"

/** Bytes of a WebAssembly page (WebAssembly core specification §4.2.8). */
const PAGE = 65_536

/** Regions that closed maps gave back, by their bytes. */
const spare = new Map<number, number[]>()
/** Where the regions that were ever set aside end. */
let end = 0

/**
 * A region of the memory that all maps of a thread share: an instance each would cost 0.4 ms and
 * 64 kB. A region is used again for a map of the same size alone; pools are of few sizes.
 */
function claim(core: CoreExports, bytes: number): number {
  const again = spare.get(bytes)?.pop()
  if (again !== undefined) return again
  const base = Math.max(end, core.REGIONS.value)
  const missing = base + bytes - core.memory.buffer.byteLength
  if (missing > 0) grow(core.memory, Math.ceil(missing / PAGE))
  end = base + bytes
  return base
}

function release(base: number, bytes: number): void {
  const same = spare.get(bytes)
  if (same === undefined) spare.set(bytes, [base])
  else same.push(base)
}

function grow(memory: WebAssembly.Memory, pages: number): void {
  try {
    memory.grow(pages)
  } catch (cause) {
    throw new LariatError(`Cannot make an address map: there are no ${pages * PAGE} bytes more`, {
      code: "internal",
      cause,
    })
  }
}

/**
 * Which indices of a pool are used. Index 0 is the pool's first address, whatever that is.
 *
 * Indices that are no whole number from 0 to size − 1 are answered as never used and never free.
 * A map must be closed when its pool is gone; a closed map throws.
 */
export class Bitmap {
  /** How many indices there are. */
  readonly size: number
  readonly #core: CoreExports
  /** First byte of this map's region; a closed map has the empty one, so no call can harm. */
  #base: number

  private constructor(size: number) {
    this.size = size
    this.#core = wasmCore()
    const most = this.#core.MAX_SIZE.value
    if (!Number.isInteger(size) || size < 1 || size > most) {
      throw new LariatError(`Cannot make an address map of ${size}: a pool has 1 to ${most}`, {
        code: "config-invalid",
        hint: "Narrow the subnet with start_address and end_address, or give a longer prefix",
      })
    }
    this.#base = claim(this.#core, this.#core.regionBytes(size))
    this.#core.init(this.#base, size)
  }

  /**
   * A map with nothing used.
   *
   * @param size 1 to 2^24, a /8
   * @throws LariatError config-invalid
   */
  static create(size: number): Bitmap {
    return new Bitmap(size)
  }

  /** How many indices are used. */
  get used(): number {
    this.#assertOpen()
    return this.#core.used(this.#base)
  }

  /** Whether the index is used. */
  has(index: number): boolean {
    const used = (index | 0) === index && this.#core.has(this.#base, index) !== 0
    if (!used) this.#assertOpen()
    return used
  }

  /**
   * Uses the next free index at or after the hint, going on from 0 after the end.
   *
   * @param hint where to begin; a hint outside of the pool means 0
   * @returns the index, or -1 where none is free
   */
  allocate(hint: number): number {
    const index = this.#core.allocate(this.#base, (hint | 0) === hint ? hint : 0)
    if (index < 0) this.#assertOpen()
    return index
  }

  /** Uses this very index. @returns whether it was free */
  take(index: number): boolean {
    const taken = (index | 0) === index && this.#core.take(this.#base, index) !== 0
    if (!taken) this.#assertOpen()
    return taken
  }

  /** Gives an index back. @returns whether it was used */
  free(index: number): boolean {
    const freed = (index | 0) === index && this.#core.free(this.#base, index) !== 0
    if (!freed) this.#assertOpen()
    return freed
  }

  /** Gives the memory back; any later use but another close throws. */
  close(): void {
    const base = this.#base
    this.#base = this.#core.EMPTY.value
    if (base === this.#base) return
    release(base, this.#core.regionBytes(this.size))
  }

  #assertOpen(): void {
    if (this.#base !== this.#core.EMPTY.value) return
    throw new LariatError("Cannot use an address map: it is closed", { code: "internal" })
  }
}
