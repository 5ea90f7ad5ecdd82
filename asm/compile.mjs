/**
 * Compiles the WASM core and wraps it as a TypeScript module, which loads the same way in Bun,
 * Deno and the compiled binary, synchronously and without a file beside it.
 *
 * `node asm/compile.mjs` writes src/core/wasm.generated.ts. The output depends on the sources and
 * the compiler's version alone.
 */

import { createHash } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { argv } from "node:process"
import { fileURLToPath } from "node:url"
import asc from "assemblyscript/asc"

const here = dirname(fileURLToPath(import.meta.url))

/** The generated module. */
export const wasmModulePath = join(here, "..", "src", "core", "wasm.generated.ts")

/**
 * `stub` is the runtime that is left out altogether where nothing is allocated; `noAssert` is safe
 * because the sources use no checked operation.
 */
const FLAGS = [
  "--runtime=stub",
  "--optimizeLevel=3",
  "--shrinkLevel=0",
  "--noAssert",
  "--initialMemory=1",
]

/**
 * Compiles asm/core.ts.
 *
 * @returns {Promise<{ bytes: Uint8Array, source: string }>} the module, and the text of
 *   src/core/wasm.generated.ts
 */
export async function compileWasm() {
  let binary
  const { error, stderr } = await asc.main(["core.ts", "--outFile=core.wasm", ...FLAGS], {
    readFile: (name, base) => readFile(join(here, base, name), "utf8").catch(() => null),
    writeFile: (_name, contents) => {
      binary = contents
    },
    listFiles: () => [],
  })
  if (error !== null || !(binary instanceof Uint8Array)) {
    throw new Error(`Cannot compile asm/core.ts: ${stderr.toString()}`, { cause: error })
  }
  const bytes = Uint8Array.from(binary)
  return { bytes, source: moduleSource(bytes) }
}

function moduleSource(bytes) {
  return `// Made by asm/compile.mjs from asm/*.ts. Do not edit.

/** The WASM core, base64. */
export const wasmBase64 =
  "${Buffer.from(bytes).toString("base64")}"

/** SHA-256 of the WASM core, hexadecimal. */
export const wasmSha256 = "${createHash("sha256").update(bytes).digest("hex")}"
`
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { bytes, source } = await compileWasm()
  await writeFile(wasmModulePath, source)
  console.log(`wasm core: ${bytes.length} bytes`)
}
