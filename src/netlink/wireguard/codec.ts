/** Layout of what the kernel tells about a WireGuard device. */

import { formatPrefix } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { familyBytes, familyOfNumber } from "../addr_codec.ts"
import { parseAttributeList, parseAttributes, readU8, readU16, readU64 } from "../attribute.ts"
import { GENL_HDRLEN } from "../genetlink.ts"
import type { Message } from "../message.ts"
import { decodeEndpoint, type Endpoint } from "../socket_address.ts"
import * as w from "./constants.ts"

/** A device as the kernel tells it. */
export interface WireguardDevice {
  /** 32 bytes, secret; undefined when it has none. */
  readonly privateKey: Uint8Array | undefined
  /** 32 bytes. */
  readonly publicKey: Uint8Array | undefined
  readonly port: number
  readonly peers: readonly WireguardPeer[]
}

/** A peer of a device as the kernel tells it. */
export interface WireguardPeer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 32 bytes, secret; zeros when there is none. */
  readonly presharedKey: Uint8Array
  /** Where it was last heard from, or what was set. */
  readonly endpoint: Endpoint | undefined
  /** Seconds; 0 for none. */
  readonly keepalive: number
  /** Milliseconds of the wall clock; undefined when there was no handshake. */
  readonly lastHandshake: number | undefined
  readonly rxBytes: number
  readonly txBytes: number
  /** Canonical prefixes. */
  readonly allowedIps: readonly string[]
}

const NOTHING = new Uint8Array(0)
const NO_KEY = new Uint8Array(w.WG_KEY_LEN)

/**
 * Reads the answers to one WG_CMD_GET_DEVICE. A peer with many prefixes goes on in the next
 * message; there its key comes first again.
 *
 * @throws LariatError code `decode`
 */
export function decodeDevice(messages: readonly Message[]): WireguardDevice {
  let device: Omit<WireguardDevice, "peers"> | undefined
  const peers: WireguardPeer[] = []
  for (const { payload } of messages) {
    const attributes = parseAttributes(payload.subarray(GENL_HDRLEN))
    device ??= {
      privateKey: key(attributes.get(w.WGDEVICE_A_PRIVATE_KEY)),
      publicKey: key(attributes.get(w.WGDEVICE_A_PUBLIC_KEY)),
      port: number(attributes.get(w.WGDEVICE_A_LISTEN_PORT)),
    }
    for (const row of parseAttributeList(attributes.get(w.WGDEVICE_A_PEERS) ?? NOTHING)) {
      const peer = decodePeer(row.payload)
      const before = peers.at(-1)
      if (before !== undefined && sameKey(before.publicKey, peer.publicKey)) {
        peers[peers.length - 1] = {
          ...before,
          allowedIps: [...before.allowedIps, ...peer.allowedIps],
        }
      } else peers.push(peer)
    }
  }
  if (device === undefined) throw malformed("there is no answer")
  return { ...device, peers }
}

/** Whether two keys are the same. */
export function sameKey(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}

function decodePeer(payload: Uint8Array): WireguardPeer {
  const attributes = parseAttributes(payload)
  const publicKey = key(attributes.get(w.WGPEER_A_PUBLIC_KEY))
  if (publicKey === undefined) throw malformed("a peer has no key")
  const endpoint = attributes.get(w.WGPEER_A_ENDPOINT)
  const keepalive = attributes.get(w.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)
  const allowed = parseAttributeList(attributes.get(w.WGPEER_A_ALLOWEDIPS) ?? NOTHING)
  return {
    publicKey,
    presharedKey: key(attributes.get(w.WGPEER_A_PRESHARED_KEY)) ?? NO_KEY,
    endpoint: endpoint === undefined ? undefined : decodeEndpoint(endpoint),
    keepalive: number(keepalive),
    lastHandshake: time(attributes.get(w.WGPEER_A_LAST_HANDSHAKE_TIME)),
    rxBytes: count(attributes.get(w.WGPEER_A_RX_BYTES)),
    txBytes: count(attributes.get(w.WGPEER_A_TX_BYTES)),
    allowedIps: allowed.map((row) => decodeAllowedIp(row.payload)),
  }
}

function decodeAllowedIp(payload: Uint8Array): string {
  const attributes = parseAttributes(payload)
  const family = familyOfNumber(number(attributes.get(w.WGALLOWEDIP_A_FAMILY)))
  const bytes = attributes.get(w.WGALLOWEDIP_A_IPADDR)
  const mask = attributes.get(w.WGALLOWEDIP_A_CIDR_MASK)
  if (family === undefined || bytes?.byteLength !== familyBytes(family) || mask === undefined) {
    throw malformed("a prefix is none")
  }
  return formatPrefix({ family, bytes, length: readU8(mask) })
}

function key(payload: Uint8Array | undefined): Uint8Array | undefined {
  if (payload === undefined) return undefined
  if (payload.byteLength !== w.WG_KEY_LEN) throw malformed("a key has a wrong length")
  return payload
}

function number(payload: Uint8Array | undefined): number {
  return payload === undefined ? 0 : readU16(payload)
}

function count(payload: Uint8Array | undefined): number {
  return payload === undefined ? 0 : Number(readU64(payload))
}

/** struct __kernel_timespec: seconds and nanoseconds, 8 bytes each; zeros for never. */
function time(payload: Uint8Array | undefined): number | undefined {
  if (payload === undefined) return undefined
  const ms = Number(readU64(payload)) * 1000 + Number(readU64(payload.subarray(8))) / 1e6
  return ms === 0 ? undefined : ms
}

function malformed(why: string): LariatError {
  return new LariatError(`Cannot read a WireGuard device: ${why}`, { code: "decode" })
}
