/** Loads the WASM core (asm/) once per thread and types what it exports. */

import { wasmBase64, wasmSha256 } from "./wasm.generated.ts"

/** An exported constant. */
interface Constant {
  readonly value: number
}

/** The map of free addresses, asm/bitmap.ts; a `base` is the first byte of a map's region. */
export interface BitmapExports {
  readonly MAX_SIZE: Constant
  readonly EMPTY: Constant
  readonly REGIONS: Constant
  regionBytes(size: number): number
  init(base: number, size: number): void
  used(base: number): number
  has(base: number, index: number): number
  allocate(base: number, hint: number): number
  take(base: number, index: number): number
  free(base: number, index: number): number
}

/** Packet overhead, asm/overhead.ts. All results are bytes; `udp` is 0 or 1. */
export interface OverheadExports {
  readonly UDP_HEADER: Constant
  readonly ETHERNET_HEADER: Constant
  readonly VXLAN_HEADER: Constant
  readonly GENEVE_HEADER: Constant
  readonly ESP_HEADER: Constant
  readonly ESP_TRAILER: Constant
  readonly WIREGUARD_HEADER: Constant
  readonly WIREGUARD_TAG: Constant
  readonly AES_GCM_16: Constant
  readonly CHACHA20_POLY1305: Constant
  readonly AES_CBC_SHA1_96: Constant
  readonly AES_CBC_SHA256_128: Constant
  readonly AES_CBC_SHA512_256: Constant
  ipHeader(family: number): number
  espIv(cipher: number): number
  espIcv(cipher: number): number
  espBlock(cipher: number): number
  espTunnelInner(outer: number, cipher: number, family: number, udp: number): number
  espTunnelOuter(inner: number, cipher: number, family: number, udp: number): number
}

/** Everything that asm/core.ts exports. */
export interface CoreExports extends BitmapExports, OverheadExports {
  readonly memory: WebAssembly.Memory
}

let loaded: CoreExports | undefined

/**
 * The one instance of the core in this thread, compiled at the first call (0.5 ms) so that a
 * process which needs no arithmetic does not pay for it.
 */
export function wasmCore(): CoreExports {
  loaded ??= instantiate()
  return loaded
}

function instantiate(): CoreExports {
  const module = new WebAssembly.Module(Uint8Array.fromBase64(wasmBase64))
  return new WebAssembly.Instance(module).exports as unknown as CoreExports
}

/** SHA-256 of the core's bytes, hexadecimal: tells two builds apart. */
export function wasmHash(): string {
  return wasmSha256
}
