/**
 * How many bytes an encapsulation takes from a packet, exactly, in both directions: the largest
 * inner packet that an outer one holds, and the outer packet that an inner one makes. All figures
 * are bytes of IP packets; the link's own header does not count against an MTU.
 *
 * `family` is 4 or 6 and is that of the outer packet. A function for the inner side may answer
 * less than zero where the headers alone do not fit.
 */

/** IPv4 header without options: RFC 791 §3.1. */
const IPV4_HEADER: i32 = 20
/** IPv6 header without extension headers: RFC 8200 §3. */
const IPV6_HEADER: i32 = 40
/** UDP header: RFC 768. */
export const UDP_HEADER: i32 = 8
/** Ethernet header of an encapsulated frame, no VLAN tag and no checksum: RFC 7348 §5. */
export const ETHERNET_HEADER: i32 = 14
/** VXLAN header: RFC 7348 §5. */
export const VXLAN_HEADER: i32 = 8
/** Geneve header before its options: RFC 8926 §3.4. */
export const GENEVE_HEADER: i32 = 8
/** Security parameters index and sequence number: RFC 4303 §2. */
export const ESP_HEADER: i32 = 8
/** Pad length and next header: RFC 4303 §2. */
export const ESP_TRAILER: i32 = 2
/** Least alignment of an ESP payload with its trailer: RFC 4303 §2.4. */
const ESP_ALIGNMENT: i32 = 4
/** Type, reserved, receiver and counter of a data message: WireGuard white paper §5.4.6. */
export const WIREGUARD_HEADER: i32 = 16
/** Poly1305 tag of a data message: RFC 8439 §2.8. */
export const WIREGUARD_TAG: i32 = 16

/** AES-GCM with a 16-byte ICV: RFC 4106 §3.1, §6. */
export const AES_GCM_16: i32 = 0
/** ChaCha20-Poly1305: RFC 7634 §2. */
export const CHACHA20_POLY1305: i32 = 1
/** AES-CBC (RFC 3602 §2.4, §3) with HMAC-SHA1-96 (RFC 2404 §2). */
export const AES_CBC_SHA1_96: i32 = 2
/** AES-CBC (RFC 3602 §2.4, §3) with HMAC-SHA-256-128 (RFC 4868 §2.3). */
export const AES_CBC_SHA256_128: i32 = 3
/** AES-CBC (RFC 3602 §2.4, §3) with HMAC-SHA-512-256 (RFC 4868 §2.3). */
export const AES_CBC_SHA512_256: i32 = 4

function isCbc(cipher: i32): bool {
  return cipher >= AES_CBC_SHA1_96 && cipher <= AES_CBC_SHA512_256
}

/** Bytes of the IV in each packet: a block in CBC mode, else a counter of 8. */
export function espIv(cipher: i32): i32 {
  return isCbc(cipher) ? 16 : 8
}

/** Bytes of the integrity check value. */
export function espIcv(cipher: i32): i32 {
  if (cipher == AES_CBC_SHA1_96) return 12
  if (cipher == AES_CBC_SHA512_256) return 32
  return 16
}

/** Payload, padding and trailer together are a multiple of this. */
export function espBlock(cipher: i32): i32 {
  return isCbc(cipher) ? 16 : ESP_ALIGNMENT
}

export function ipHeader(family: i32): i32 {
  return family == 4 ? IPV4_HEADER : IPV6_HEADER
}

/** What stands around payload, padding and trailer. */
function espFixed(cipher: i32, family: i32, udp: bool): i32 {
  const headers = ipHeader(family) + (udp ? UDP_HEADER : 0) + ESP_HEADER
  return headers + espIv(cipher) + espIcv(cipher)
}

/** The largest packet that ESP in tunnel mode fits into `outer` (Linux: xfrm_state_mtu). */
export function espTunnelInner(outer: i32, cipher: i32, family: i32, udp: bool): i32 {
  const blocks = (outer - espFixed(cipher, family, udp)) & -espBlock(cipher)
  return blocks - ESP_TRAILER
}

/** The packet that ESP in tunnel mode makes of `inner`. */
export function espTunnelOuter(inner: i32, cipher: i32, family: i32, udp: bool): i32 {
  const block = espBlock(cipher)
  const blocks = (inner + ESP_TRAILER + block - 1) & -block
  return espFixed(cipher, family, udp) + blocks
}
