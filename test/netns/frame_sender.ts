/** Sending many frames: a socket for all of them, where `sendFrame` opens one for each. */
import { check } from "../../src/sys/ffi/errno.ts"
import { cString, libc } from "../../src/sys/ffi/libc.ts"
import { openSocket, SOCK_RAW } from "../../src/sys/net/socket.ts"
import { AF_PACKET } from "../../src/sys/net/socket_address.ts"
import type { Netns } from "../../src/sys/netns/netns.ts"
import { withNetns } from "../../src/sys/netns/netns.ts"

export class FrameSender {
  readonly #fd: number
  readonly #address: Uint8Array

  private constructor(fd: number, address: Uint8Array) {
    this.#fd = fd
    this.#address = address
  }

  /** Opens it for a link of a namespace. */
  static open(netns: Netns, link: string): FrameSender {
    return withNetns(netns, () => {
      const index = libc.if_nametoindex(cString(link))
      // struct sockaddr_ll, include/uapi/linux/if_packet.h
      const address = new Uint8Array(20)
      const view = new DataView(address.buffer)
      view.setUint16(0, AF_PACKET, true)
      view.setInt32(4, index, true)
      view.setUint8(11, 6)
      return new FrameSender(openSocket(AF_PACKET, SOCK_RAW, 0), address)
    })
  }

  send(frame: Uint8Array): void {
    const { length } = this.#address
    const sent = libc.sendto(this.#fd, frame, frame.length, 0, this.#address, length)
    check(sent, "sendto", "send a frame")
  }

  close(): void {
    libc.close(this.#fd)
  }
}
