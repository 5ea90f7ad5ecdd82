/** Layout of what the kernel tells about a WireGuard device. */

import { formatPrefix } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { decodeEndpoint, type IpEndpoint } from "../../sys/net/ip_endpoint.ts"
import { familyBytes, familyOfNumber } from "../addr_codec.ts"
import { type Attribute, type Attributes, parseAttributes, parseBody } from "../attribute.ts"
import { GENL_HDRLEN } from "../genetlink.ts"
import type { Message } from "../message.ts"
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
  readonly endpoint: IpEndpoint | undefined
  /** Seconds; 0 for none. */
  readonly keepalive: number
  /** Milliseconds of the wall clock; undefined when there was no handshake. */
  readonly lastHandshake: number | undefined
  readonly rxBytes: number
  readonly txBytes: number
  /** Canonical prefixes. */
  readonly allowedIps: readonly string[]
}

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
    const { attributes } = parseBody(payload, GENL_HDRLEN, "a WireGuard device")
    device ??= {
      privateKey: keyOf(attributes, w.WGDEVICE_A_PRIVATE_KEY),
      publicKey: keyOf(attributes, w.WGDEVICE_A_PUBLIC_KEY),
      port: attributes.u16(w.WGDEVICE_A_LISTEN_PORT) ?? 0,
    }
    for (const row of attributes.list(w.WGDEVICE_A_PEERS)) {
      const peer = decodePeer(parseAttributes(row.payload))
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

function decodePeer(attributes: Attributes): WireguardPeer {
  const publicKey = keyOf(attributes, w.WGPEER_A_PUBLIC_KEY)
  if (publicKey === undefined) throw malformed("a peer has no key")
  const endpoint = attributes.get(w.WGPEER_A_ENDPOINT)
  return {
    publicKey,
    presharedKey: keyOf(attributes, w.WGPEER_A_PRESHARED_KEY) ?? NO_KEY,
    endpoint: endpoint === undefined ? undefined : decodeEndpoint(endpoint),
    keepalive: attributes.u16(w.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL) ?? 0,
    lastHandshake: timeOf(attributes, w.WGPEER_A_LAST_HANDSHAKE_TIME),
    rxBytes: Number(attributes.u64(w.WGPEER_A_RX_BYTES) ?? 0n),
    txBytes: Number(attributes.u64(w.WGPEER_A_TX_BYTES) ?? 0n),
    allowedIps: attributes.list(w.WGPEER_A_ALLOWEDIPS).map(decodeAllowedIp),
  }
}

function decodeAllowedIp({ payload }: Attribute): string {
  const attributes = parseAttributes(payload)
  const family = familyOfNumber(attributes.u16(w.WGALLOWEDIP_A_FAMILY) ?? 0)
  const bytes = attributes.get(w.WGALLOWEDIP_A_IPADDR)
  const length = attributes.u8(w.WGALLOWEDIP_A_CIDR_MASK)
  if (family === undefined || bytes?.byteLength !== familyBytes(family) || length === undefined) {
    throw malformed("a prefix is none")
  }
  return formatPrefix({ family, bytes, length })
}

function keyOf(attributes: Attributes, type: number): Uint8Array | undefined {
  const key = attributes.get(type)
  if (key === undefined || key.byteLength === w.WG_KEY_LEN) return key
  throw malformed("a key has a wrong length")
}

/** struct __kernel_timespec: seconds and nanoseconds, 8 bytes each; zeros for never. */
function timeOf(attributes: Attributes, type: number): number | undefined {
  const payload = attributes.get(type)
  if (payload === undefined) return undefined
  if (payload.byteLength < 16) throw malformed("a time has a wrong length")
  const view = new DataView(payload.buffer, payload.byteOffset)
  const ms = Number(view.getBigUint64(0, true)) * 1000 + Number(view.getBigUint64(8, true)) / 1e6
  return ms === 0 ? undefined : ms
}

function malformed(why: string): LariatError {
  return new LariatError(`Cannot read a WireGuard device: ${why}`, { code: "decode" })
}
