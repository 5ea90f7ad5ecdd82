import type { AddressBitmap } from "./pool.ts"

export function plainBitmap(size: number): AddressBitmap {
  const bits = new Uint8Array(size)
  let used = 0
  const set = (i: number, to: 0 | 1): boolean => {
    if (bits[i] === to || i >= size) return false
    bits[i] = to
    used += to === 1 ? 1 : -1
    return true
  }
  return {
    get used() {
      return used
    },
    allocate(hint) {
      let at = bits.indexOf(0, hint)
      if (at < 0) at = bits.indexOf(0)
      if (at >= 0) set(at, 1)
      return at
    },
    take: (i) => set(i, 1),
    free: (i) => set(i, 0),
    has: (i) => bits[i] === 1,
    close() {},
  }
}
