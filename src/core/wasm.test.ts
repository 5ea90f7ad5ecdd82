import { expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { compileWasm, wasmModulePath } from "../../asm/compile.mjs"
import { wasmBase64 } from "./wasm.generated.ts"
import { wasmCore, wasmHash } from "./wasm.ts"

test("the committed core is what the sources compile to", async () => {
  const { bytes, source } = await compileWasm()
  expect(Uint8Array.fromBase64(wasmBase64)).toEqual(bytes)
  expect(readFileSync(wasmModulePath, "utf8")).toBe(source)
}, 60_000)

test("the hash is that of the bytes", () => {
  const bytes = Uint8Array.fromBase64(wasmBase64)
  expect(wasmHash()).toBe(createHash("sha256").update(bytes).digest("hex"))
})

test("the core asks nothing of its host and is loaded once", () => {
  const module = new WebAssembly.Module(Uint8Array.fromBase64(wasmBase64))
  expect(WebAssembly.Module.imports(module)).toEqual([])
  expect(wasmCore()).toBe(wasmCore())
})
