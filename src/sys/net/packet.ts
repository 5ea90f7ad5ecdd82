/** Sending whole Ethernet frames: packet(7). */

import { LariatError } from "../../errors.ts"
import { check } from "../ffi/errno.ts"
import { libc } from "../ffi/libc.ts"
import { openSocket, SOCK_RAW } from "./socket.ts"
import { AF_PACKET } from "./socket_address.ts"

/** Destination, source and type: include/uapi/linux/if_ether.h */
const ETH_HLEN = 14

/**
 * Sends one frame out of an interface of the current network namespace.
 *
 * @param frame from the destination MAC on, without checksum
 * @param ethertype as in the frame, for taps that filter by it
 * @throws SystemError; LariatError internal for a frame without a header
 */
export function sendFrame(ifindex: number, frame: Uint8Array, ethertype: number): void {
  if (frame.length < ETH_HLEN) {
    throw new LariatError(`Cannot send a frame of ${frame.length} bytes: its header has 14`, {
      code: "internal",
    })
  }
  // struct sockaddr_ll, include/uapi/linux/if_packet.h
  const address = new Uint8Array(20)
  const view = new DataView(address.buffer)
  view.setUint16(0, AF_PACKET, true)
  view.setUint16(2, ethertype, false)
  view.setInt32(4, ifindex, true)
  view.setUint8(11, 6)
  address.set(frame.subarray(0, 6), 12)
  // Protocol 0: a socket that receives nothing, so no frame is copied to it meanwhile.
  const fd = openSocket(AF_PACKET, SOCK_RAW, 0)
  try {
    const sent = libc.sendto(fd, frame, frame.length, 0, address, address.length)
    check(sent, "sendto", `send a frame out of interface ${ifindex}`)
  } finally {
    libc.close(fd)
  }
}
