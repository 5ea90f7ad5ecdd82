/** Encapsulations: what each adds to a packet, and how packet sizes map through them. */

import { type CoreExports, wasmCore } from "./wasm.ts"

/** The ESP ciphers that a network may ask for, by strongSwan's keywords. */
export type Cipher =
  | "aes128gcm16"
  | "aes256gcm16"
  | "chacha20poly1305"
  | "aes128-sha1"
  | "aes128-sha256"
  | "aes256-sha512"

/** The ciphers whose bytes are known: {@link Cipher}, and two that other engines use. */
export type EspAlgorithm = Cipher | "aes128gcm8" | "aes128ctr-sha256"

/** One encapsulation. */
export type EncapLayer =
  | {
      readonly kind: "esp"
      /** Transport mode leaves the packet's own IP header outside. */
      readonly mode: "tunnel" | "transport"
      readonly cipher: EspAlgorithm
      /** ESP in UDP, for NAT (RFC 3948). */
      readonly udp: boolean
    }
  | { readonly kind: "vxlan" }
  | {
      readonly kind: "geneve"
      /** Bytes of options: a multiple of 4, at most 252 (RFC 8926 §3.4). */
      readonly options: number
    }
  | { readonly kind: "wireguard" }

/** Every cipher a network may ask for; the first is the default. */
export const CIPHERS: readonly Cipher[] = [
  "aes256gcm16",
  "aes128gcm16",
  "chacha20poly1305",
  "aes128-sha1",
  "aes128-sha256",
  "aes256-sha512",
]

/** One line of a sum of bytes. */
export interface OverheadPart {
  readonly what: string
  readonly bytes: number
}

/** The number that asm/overhead.ts knows an algorithm by. */
function codeOf(core: CoreExports, cipher: EspAlgorithm): number {
  switch (cipher) {
    case "aes128gcm16":
    case "aes256gcm16":
      return core.AES_GCM_16.value
    case "aes128gcm8":
      return core.AES_GCM_8.value
    case "chacha20poly1305":
      return core.CHACHA20_POLY1305.value
    case "aes128-sha1":
      return core.AES_CBC_SHA1_96.value
    case "aes128-sha256":
      return core.AES_CBC_SHA256_128.value
    case "aes256-sha512":
      return core.AES_CBC_SHA512_256.value
    case "aes128ctr-sha256":
      return core.AES_CTR_SHA256_128.value
  }
}

/** ESP's payload with its trailer is a multiple of this, bytes. */
export function espBlock(core: CoreExports, cipher: EspAlgorithm): number {
  return core.espBlock(codeOf(core, cipher))
}

/** The largest packet that one layer fits into `outer` bytes; below zero where not even headers do. */
export function innerSize(
  core: CoreExports,
  layer: EncapLayer,
  family: 4 | 6,
  outer: number,
): number {
  switch (layer.kind) {
    case "esp": {
      const fit = layer.mode === "tunnel" ? core.espTunnelInner : core.espTransportInner
      return fit(outer, codeOf(core, layer.cipher), family, Number(layer.udp))
    }
    case "vxlan":
      return outer - core.vxlanBytes(family)
    case "geneve":
      return outer - core.geneveBytes(family, layer.options)
    case "wireguard":
      return outer - core.wireguardBytes(family)
  }
}

/**
 * The IP packet that one layer makes of an inner one, bytes.
 *
 * @param mtu of the inner interface, which bounds WireGuard's padding
 */
function outerSize(
  core: CoreExports,
  layer: EncapLayer,
  family: 4 | 6,
  inner: number,
  mtu: number,
): number {
  switch (layer.kind) {
    case "esp": {
      const wrap = layer.mode === "tunnel" ? core.espTunnelOuter : core.espTransportOuter
      return wrap(inner, codeOf(core, layer.cipher), family, Number(layer.udp))
    }
    case "vxlan":
      return inner + core.vxlanBytes(family)
    case "geneve":
      return inner + core.geneveBytes(family, layer.options)
    case "wireguard":
      return core.wireguardOuter(inner, family, mtu)
  }
}

/**
 * The IP packet that the layers make of an inner one, bytes.
 *
 * @param layers outermost first
 * @param inner bytes of the inner IP packet
 * @param family of the outer packet
 * @param mtu of the inner interface, which bounds WireGuard's padding; default `inner`
 */
export function packetSize(
  layers: readonly EncapLayer[],
  inner: number,
  family: 4 | 6,
  mtu: number = inner,
): number {
  const core = wasmCore()
  return layers.reduceRight((size, layer) => outerSize(core, layer, family, size, mtu), inner)
}

/** The bytes of one layer that stand before and after its payload. */
export interface Frame {
  readonly before: OverheadPart[]
  readonly after: OverheadPart[]
}

/** The lines of one layer's bytes, without what its payload cannot fill. */
export function frameOf(core: CoreExports, layer: EncapLayer, family: 4 | 6): Frame {
  const source = family === 4 ? "RFC 791 §3.1" : "RFC 8200 §3"
  const ip = { what: `outer IPv${family} header (${source})`, bytes: core.ipHeader(family) }
  const udp = { what: "UDP header (RFC 768)", bytes: core.UDP_HEADER.value }
  const ethernet = { what: "inner Ethernet header", bytes: core.ETHERNET_HEADER.value }
  switch (layer.kind) {
    case "esp": {
      const code = codeOf(core, layer.cipher)
      return {
        before: [
          ...(layer.mode === "tunnel" ? [ip] : []),
          ...(layer.udp ? [udp] : []),
          { what: "ESP header: SPI, sequence (RFC 4303 §2)", bytes: core.ESP_HEADER.value },
          { what: `ESP IV of ${layer.cipher}`, bytes: core.espIv(code) },
        ],
        after: [
          { what: "ESP pad length, next header (RFC 4303 §2)", bytes: core.ESP_TRAILER.value },
          { what: `ESP ICV of ${layer.cipher}`, bytes: core.espIcv(code) },
        ],
      }
    }
    case "vxlan":
      return {
        before: [
          ip,
          udp,
          { what: "VXLAN header (RFC 7348 §5)", bytes: core.VXLAN_HEADER.value },
          ethernet,
        ],
        after: [],
      }
    case "geneve":
      return {
        before: [
          ip,
          udp,
          { what: "Geneve header (RFC 8926 §3.4)", bytes: core.GENEVE_HEADER.value },
          ...(layer.options > 0
            ? [{ what: "Geneve options (RFC 8926 §3.5)", bytes: layer.options }]
            : []),
          ethernet,
        ],
        after: [],
      }
    case "wireguard":
      return {
        before: [
          ip,
          udp,
          { what: "WireGuard data header (§5.4.6)", bytes: core.WIREGUARD_HEADER.value },
        ],
        after: [{ what: "Poly1305 tag (RFC 8439 §2.8)", bytes: core.WIREGUARD_TAG.value }],
      }
  }
}
