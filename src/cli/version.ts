import { wasmHash } from "../core/wasm.ts"
import { runtimeName } from "../sys/ffi/runtime.ts"
import { BUILD, VERSION } from "../version.ts"

/** `lariat version`: version, build, runtime, hash of the WASM core. */
export function version(options: { readonly json?: boolean }): number {
  const facts = { version: VERSION, build: BUILD, runtime: runtimeName(), wasm: wasmHash() }
  if (options.json === true) console.log(JSON.stringify(facts))
  else {
    console.log(`lariat ${facts.version} (build ${facts.build})`)
    console.log(`runtime ${facts.runtime}, wasm core sha256 ${facts.wasm}`)
  }
  return 0
}
