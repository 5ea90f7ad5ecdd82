/** The FFI layer of Deno. */

import { denoGlobal } from "./deno_global.ts"
import { type Ffi, inLibc, type RawFunction } from "./libc_symbols.ts"

const TYPES: Readonly<Record<string, string>> = {
  v: "void",
  i: "i32",
  u: "u32",
  l: "i64",
  b: "buffer",
}

export function openDenoFfi(): Ffi {
  const deno = denoGlobal()
  const open = inLibc(
    (library, symbols: Readonly<Record<string, unknown>>) => deno.dlopen(library, symbols).symbols,
  )

  function bind(signatures: Readonly<Record<string, string>>): Record<string, RawFunction> {
    const symbols: Record<string, { parameters: unknown[]; result: string | undefined }> = {}
    for (const name in signatures) {
      const [result, ...parameters] = (signatures[name] ?? "")
        .split("")
        .map((letter) => TYPES[letter])
      symbols[name] = { parameters, result }
    }
    const bound: Record<string, RawFunction> = {}
    for (const [name, raw] of Object.entries(open(symbols))) {
      const call = raw as (...args: unknown[]) => number | bigint
      // Deno gives 64-bit results as BigInt.
      const wide = symbols[name]?.result === "i64"
      bound[name] = wide ? (...args) => Number(call(...args)) : (raw as RawFunction)
    }
    return bound
  }

  let errnoLocation: (() => object) | undefined
  return {
    bind,
    readErrno() {
      errnoLocation ??= open({ __errno_location: { parameters: [], result: "pointer" } })
        .__errno_location as () => object
      return new deno.UnsafePointerView(errnoLocation()).getInt32(0)
    },
    addressOf: (bytes) => Number(deno.UnsafePointer.value(deno.UnsafePointer.of(bytes))),
    copyFrom(address, length) {
      const pointer = deno.UnsafePointer.create(BigInt(address))
      return new Uint8Array(deno.UnsafePointerView.getArrayBuffer(pointer, length).slice(0))
    },
  }
}
