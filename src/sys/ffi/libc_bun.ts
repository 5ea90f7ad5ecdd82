/** The FFI layer of Bun. The only file that names `bun:ffi`. */

import { type Ffi, inLibc, type RawFunction } from "./libc_symbols.ts"

type BunFfi = typeof import("bun:ffi")
type Symbols = Parameters<BunFfi["dlopen"]>[1]

/** Letters of libc_symbols.ts. `i64_fast` gives a number where `i64` would give a BigInt. */
const TYPES: Readonly<Record<string, string>> = {
  v: "void",
  i: "i32",
  u: "u32",
  l: "i64_fast",
  b: "ptr",
}

/** @throws TypeError "bun:ffi requires the JIT" at the first bind when the JIT is off */
export function openBunFfi(): Ffi {
  // Not an import: Deno would have to resolve it, and a dynamic one would need an await.
  const ffi = process.getBuiltinModule("bun:ffi") as unknown as BunFfi
  const open = inLibc(
    (library, symbols: Symbols) =>
      ffi.dlopen(library, symbols).symbols as unknown as Record<string, RawFunction>,
  )
  let errnoLocation: RawFunction | undefined
  return {
    bind(signatures) {
      const symbols: Record<string, unknown> = {}
      for (const name in signatures) {
        const [returns, ...args] = (signatures[name] ?? "").split("").map((letter) => TYPES[letter])
        symbols[name] = { args, returns }
      }
      return open(symbols as Symbols)
    },
    readErrno() {
      errnoLocation ??= open({ __errno_location: { args: [], returns: "ptr" } }).__errno_location
      return ffi.read.i32(errnoLocation?.() as never, 0)
    },
    addressOf: (bytes) => Number(ffi.ptr(bytes)),
    copyFrom: (address, length) =>
      new Uint8Array(ffi.toArrayBuffer(address as never, 0, length).slice(0)),
  }
}
