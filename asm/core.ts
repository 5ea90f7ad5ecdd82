/** Everything the host sees of the WASM core. */

export * from "./bitmap"
export * from "./overhead"
