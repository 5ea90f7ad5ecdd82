/** WireGuard devices and their peers (linux/wireguard.h), through generic netlink. */

import { parsePrefix } from "../../core/address.ts"
import type { IpEndpoint } from "../../sys/net/ip_endpoint.ts"
import { ipSocketAddress } from "../../sys/net/socket_address.ts"
import { familyNumber } from "../addr_codec.ts"
import { genericMessage } from "../genetlink.ts"
import type { MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import { decodeDevice, type WireguardDevice } from "./codec.ts"
import * as w from "./constants.ts"

export type { WireguardDevice, WireguardPeer } from "./codec.ts"

/** What a device is to have; what is left out stays. */
export interface WireguardChange {
  /** 32 bytes, secret. */
  readonly privateKey?: Uint8Array | undefined
  readonly port?: number | undefined
  readonly peers?: readonly PeerChange[] | undefined
}

/** What a peer is to have; what is left out stays. A peer that is not there is made. */
export interface PeerChange {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** Take it out, with all it has. */
  readonly remove?: boolean | undefined
  /** 32 bytes, secret; zeros for none. */
  readonly presharedKey?: Uint8Array | undefined
  readonly endpoint?: IpEndpoint | undefined
  /** Seconds between packets that keep a NAT open; 0 for none. */
  readonly keepalive?: number | undefined
  /** Prefixes that come to this peer; one that another peer had passes over in one step. */
  readonly allowedIps?: readonly string[] | undefined
}

/**
 * The message that changes a device: as much as its list of peers holds, whose length has 16 bits.
 *
 * @param family number of the family {@link w.WG_GENL_NAME}
 */
export function setWireguard(
  family: number,
  index: number,
  { privateKey, port, peers = [] }: WireguardChange,
): MessageWriter {
  const writer = genericMessage(family, w.WG_CMD_SET_DEVICE, {
    version: w.WG_GENL_VERSION,
    operation: `set up WireGuard link ${index}`,
  })
  writer.attrU32(w.WGDEVICE_A_IFINDEX, index)
  if (privateKey !== undefined) writer.attr(w.WGDEVICE_A_PRIVATE_KEY, privateKey)
  if (port !== undefined) writer.attrU16(w.WGDEVICE_A_LISTEN_PORT, port)
  if (peers.length > 0) {
    writer.nested(w.WGDEVICE_A_PEERS | w.NESTED, () => {
      for (const peer of peers) writer.nested(w.NESTED, () => putPeer(writer, peer))
    })
  }
  return writer
}

/**
 * A device with its keys and peers.
 *
 * @param socket of NETLINK_GENERIC
 * @throws NetlinkError ENODEV, EOPNOTSUPP when the link is gone or of another kind
 */
export function getWireguard(
  socket: NetlinkSocket,
  family: number,
  index: number,
): WireguardDevice {
  const writer = genericMessage(family, w.WG_CMD_GET_DEVICE, {
    version: w.WG_GENL_VERSION,
    operation: `read WireGuard link ${index}`,
  })
  return decodeDevice(socket.dump(writer.attrU32(w.WGDEVICE_A_IFINDEX, index)))
}

function putPeer(writer: MessageWriter, peer: PeerChange): void {
  writer.attr(w.WGPEER_A_PUBLIC_KEY, peer.publicKey)
  if (peer.remove) {
    writer.attrU32(w.WGPEER_A_FLAGS, w.WGPEER_F_REMOVE_ME)
    return
  }
  const { presharedKey, endpoint, keepalive, allowedIps = [] } = peer
  if (presharedKey !== undefined) writer.attr(w.WGPEER_A_PRESHARED_KEY, presharedKey)
  if (endpoint !== undefined) {
    writer.attr(w.WGPEER_A_ENDPOINT, ipSocketAddress(endpoint.address, endpoint.port).bytes)
  }
  if (keepalive !== undefined) {
    writer.attrU16(w.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, keepalive)
  }
  if (allowedIps.length === 0) return
  writer.nested(w.WGPEER_A_ALLOWEDIPS | w.NESTED, () => {
    for (const prefix of allowedIps) {
      const { family, bytes, length } = parsePrefix(prefix)
      writer.nested(w.NESTED, () => {
        writer.attrU16(w.WGALLOWEDIP_A_FAMILY, familyNumber(family))
        writer.attr(w.WGALLOWEDIP_A_IPADDR, bytes)
        writer.attrU8(w.WGALLOWEDIP_A_CIDR_MASK, length)
      })
    }
  })
}
