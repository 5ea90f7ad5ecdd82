/** What a driver's encapsulation adds to a packet, and how large a packet it carries. */

import { type CoreExports, wasmCore } from "./wasm.ts"

/** Every cipher a network may ask for, by strongSwan's keywords; the first is the default. */
export const CIPHERS = [
  "aes256gcm16",
  "aes128gcm16",
  "chacha20poly1305",
  "aes128-sha1",
  "aes128-sha256",
  "aes256-sha512",
] as const

export type Cipher = (typeof CIPHERS)[number]

/** The constant by which asm/overhead.ts knows each cipher. */
const CODES = {
  aes128gcm16: "AES_GCM_16",
  aes256gcm16: "AES_GCM_16",
  chacha20poly1305: "CHACHA20_POLY1305",
  "aes128-sha1": "AES_CBC_SHA1_96",
  "aes128-sha256": "AES_CBC_SHA256_128",
  "aes256-sha512": "AES_CBC_SHA512_256",
} as const satisfies Readonly<Record<Cipher, keyof CoreExports>>

/** The encapsulations whose bytes are known: those of the drivers, and Geneve to compare with. */
export const ENCAPSULATIONS = ["ipsec", "vxlan", "geneve", "wireguard", "routed", "none"] as const

export type EncapsulationKind = (typeof ENCAPSULATIONS)[number]

/** One line of a sum of bytes. */
export interface OverheadPart {
  readonly what: string
  readonly bytes: number
}

/** The packet within an encapsulation. */
export interface Encapsulated {
  /** Bytes of the largest inner packet; below zero where not even the headers fit. */
  readonly mtu: number
  /** What the rest is, in the order of the wire. */
  readonly parts: readonly OverheadPart[]
}

/**
 * What an encapsulation makes of an outer packet.
 *
 * @param options.outer bytes of the outer IP packet
 * @param options.family of the outer IP packet
 * @param options.cipher of ESP
 * @param options.udp ESP in UDP, for NAT (RFC 3948)
 */
export function encapsulate(
  kind: EncapsulationKind,
  options: {
    readonly outer: number
    readonly family: 4 | 6
    readonly cipher: Cipher
    readonly udp: boolean
  },
): Encapsulated {
  const { outer, family, cipher, udp } = options
  const core = wasmCore()
  const rfc = family === 4 ? "RFC 791 §3.1" : "RFC 8200 §3"
  const ip = { what: `outer IPv${family} header (${rfc})`, bytes: core.ipHeader(family) }
  const udpHeader = { what: "UDP header (RFC 768)", bytes: core.UDP_HEADER.value }
  const ethernet = { what: "inner Ethernet header", bytes: core.ETHERNET_HEADER.value }
  const around = (...parts: readonly OverheadPart[]): Encapsulated => {
    return { mtu: outer - parts.reduce((sum, { bytes }) => sum + bytes, 0), parts }
  }
  switch (kind) {
    case "ipsec": {
      const code = core[CODES[cipher]].value
      const mtu = core.espTunnelInner(outer, code, family, Number(udp))
      const unfilled = outer - core.espTunnelOuter(mtu, code, family, Number(udp))
      const blocks = `ESP payload is whole blocks of ${core.espBlock(code)} (RFC 4303 §2.4)`
      const parts = [
        ip,
        ...(udp ? [udpHeader] : []),
        { what: "ESP header: SPI, sequence (RFC 4303 §2)", bytes: core.ESP_HEADER.value },
        { what: `ESP IV of ${cipher}`, bytes: core.espIv(code) },
        { what: "ESP pad length, next header (RFC 4303 §2)", bytes: core.ESP_TRAILER.value },
        { what: `ESP ICV of ${cipher}`, bytes: core.espIcv(code) },
        ...(unfilled > 0 ? [{ what: blocks, bytes: unfilled }] : []),
      ]
      return { mtu, parts }
    }
    case "vxlan": {
      const header = { what: "VXLAN header (RFC 7348 §5)", bytes: core.VXLAN_HEADER.value }
      return around(ip, udpHeader, header, ethernet)
    }
    case "geneve": {
      const header = { what: "Geneve header (RFC 8926 §3.4)", bytes: core.GENEVE_HEADER.value }
      return around(ip, udpHeader, header, ethernet)
    }
    case "wireguard": {
      const header = { what: "WireGuard data header (§5.4.6)", bytes: core.WIREGUARD_HEADER.value }
      const tag = { what: "Poly1305 tag (RFC 8439 §2.8)", bytes: core.WIREGUARD_TAG.value }
      return around(ip, udpHeader, header, tag)
    }
    case "routed":
    case "none":
      return around()
  }
}
