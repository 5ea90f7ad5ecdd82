/** The map of used addresses of a pool, by index: the host side of asm/bitmap.ts. */

import { LariatError } from "../errors.ts"
import { Arena } from "./arena.ts"
import { type CoreExports, wasmCore } from "./wasm.ts"

/** Bytes of a WebAssembly page (WebAssembly core specification §4.2.8). */
const PAGE = 65_536

/** First four bytes of a snapshot: "LBM1". */
const SNAPSHOT_MAGIC = 0x314d424c

/** Snapshot header: magic and size, u32 each, little endian. */
const SNAPSHOT_HEADER = 8

let regions: Arena | undefined

/** All maps of a thread share one memory: an instance each would cost 0.4 ms and 64 kB. */
function arenaOf(core: CoreExports): Arena {
  regions ??= new Arena(core.REGIONS.value, (end) => {
    const missing = end - core.memory.buffer.byteLength
    if (missing > 0) grow(core.memory, Math.ceil(missing / PAGE))
  })
  return regions
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
    this.#base = arenaOf(this.#core).claim(this.#core.regionBytes(size))
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

  /**
   * Uses `n` free indices as that many calls of {@link allocate} would, each with the index after
   * the one before as its hint.
   *
   * @returns the indices in that order; fewer than `n` where no more are free
   */
  allocateBatch(n: number, hint: number): Uint32Array {
    const count = Math.max(0, Math.min(Math.trunc(n) || 0, this.size - this.used))
    const result = new Uint32Array(count)
    let from = (hint | 0) === hint ? hint : 0
    let done = 0
    while (done < count) {
      const got = this.#core.allocateBatch(this.#base, count - done, from)
      // A fresh view each time: a memory that grows leaves the old ones empty.
      const chunk = new Uint32Array(this.#core.memory.buffer, this.#core.BATCH.value, got)
      result.set(chunk, done)
      done += got
      from = (result[done - 1] ?? 0) + 1
    }
    return result
  }

  /**
   * The whole map as bytes: "LBM1", the size as u32, then the map as words of 64 bits in which 1
   * means free, all little endian.
   */
  snapshot(): Uint8Array {
    this.#assertOpen()
    const words = this.#words()
    const bytes = new Uint8Array(SNAPSHOT_HEADER + words.length)
    const header = new DataView(bytes.buffer)
    header.setUint32(0, SNAPSHOT_MAGIC, true)
    header.setUint32(4, this.size, true)
    bytes.set(words, SNAPSHOT_HEADER)
    return bytes
  }

  /**
   * A map as it was at its {@link snapshot}.
   *
   * @throws LariatError decode where the bytes are no snapshot
   */
  static restore(bytes: Uint8Array): Bitmap {
    const refuse = (why: string): LariatError =>
      new LariatError(`Cannot restore an address map of ${bytes.length} bytes: ${why}`, {
        code: "decode",
      })
    if (bytes.length < SNAPSHOT_HEADER) throw refuse("it is too short")
    const header = new DataView(bytes.buffer, bytes.byteOffset, SNAPSHOT_HEADER)
    if (header.getUint32(0, true) !== SNAPSHOT_MAGIC) throw refuse("it does not begin with LBM1")
    const size = header.getUint32(4, true)
    const words = 8 * Math.ceil(size / 64)
    if (bytes.length !== SNAPSHOT_HEADER + words) {
      throw refuse(`a map of ${size} takes ${SNAPSHOT_HEADER + words} bytes`)
    }
    if (size === 0 || size > wasmCore().MAX_SIZE.value) throw refuse(`its size is ${size}`)
    const bitmap = new Bitmap(size)
    bitmap.#words().set(bytes.subarray(SNAPSHOT_HEADER))
    if (bitmap.#core.rebuild(bitmap.#base) === 0) {
      bitmap.close()
      throw refuse(`an index past ${size - 1} is marked`)
    }
    return bitmap
  }

  /** Gives the memory back; any later use but another close throws. */
  close(): void {
    const base = this.#base
    this.#base = this.#core.EMPTY.value
    if (base === this.#base) return
    arenaOf(this.#core).release(base, this.#core.regionBytes(this.size))
  }

  /** The words of level 0, valid until the memory grows. */
  #words(): Uint8Array {
    const from = this.#base + this.#core.LEVEL0.value
    return new Uint8Array(this.#core.memory.buffer, from, 8 * Math.ceil(this.size / 64))
  }

  #assertOpen(): void {
    if (this.#base !== this.#core.EMPTY.value) return
    throw new LariatError("Cannot use an address map: it is closed", { code: "internal" })
  }
}
