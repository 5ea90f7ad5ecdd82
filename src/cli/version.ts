import { wasmHash } from "../core/wasm.ts"
import { runtimeName } from "../sys/ffi/runtime.ts"
import { BUILD, VERSION } from "../version.ts"
import { show } from "./show.ts"

/** `lariat version`: version, build, runtime, hash of the WASM core. */
export function version(options: { readonly json?: boolean }): number {
  const facts = { version: VERSION, build: BUILD, runtime: runtimeName(), wasm: wasmHash() }
  return show(facts, options, ({ version, build, runtime, wasm }) =>
    [`lariat ${version} (build ${build})`, `runtime ${runtime}, wasm core sha256 ${wasm}`].join(
      "\n",
    ),
  )
}
