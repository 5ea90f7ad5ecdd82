/** Listening to whole Ethernet frames on one link: packet(7). */

import { LariatError } from "../../errors.ts"
import { check, EAGAIN, EINTR, SystemError } from "../ffi/errno.ts"
import { cString, errno, libc } from "../ffi/libc.ts"
import { openSocket, SOCK_NONBLOCK, SOCK_RAW, SOL_SOCKET, setIntOption } from "./socket.ts"
import { AF_PACKET } from "./socket_address.ts"

/** include/uapi/linux/if_ether.h */
const ETH_P_ALL = 0x0003
/** include/uapi/linux/if_packet.h */
const SOL_PACKET = 263
const PACKET_STATISTICS = 6
/** include/uapi/asm-generic/socket.h: beyond net.core.rmem_max. */
const SO_RCVBUFFORCE = 33
/** About 4,000 frames of full size: the kernel counts what a frame takes, not its length. */
const BUFFER_BYTES = 16 * 1024 * 1024
/** The largest frame: 64 KiB and its header. */
const MAX_FRAME = 65_550

export class FrameTap {
  #fd: number
  readonly #buffer = new Uint8Array(MAX_FRAME)

  private constructor(fd: number) {
    this.#fd = fd
  }

  /**
   * Begins to listen to what a link of the current network namespace sends and receives. Frames
   * wait in the kernel until they are read.
   *
   * @param options bufferBytes: what the kernel may use for frames that wait. Default 16 MiB
   * @throws LariatError io when there is no such link; SystemError permission without CAP_NET_RAW
   */
  static open(link: string, options: { readonly bufferBytes?: number } = {}): FrameTap {
    const index = libc.if_nametoindex(cString(link))
    if (index === 0) {
      throw new LariatError(`Cannot listen to ${link}: there is no such link`, { code: "io" })
    }
    // Protocol 0 hears nothing: frames of other links must not come before it is bound to this one.
    const fd = openSocket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0)
    try {
      trySetBuffer(fd, options.bufferBytes ?? BUFFER_BYTES)
      // struct sockaddr_ll, include/uapi/linux/if_packet.h
      const address = new Uint8Array(20)
      const view = new DataView(address.buffer)
      view.setUint16(0, AF_PACKET, true)
      view.setUint16(2, ETH_P_ALL, false)
      view.setInt32(4, index, true)
      check(libc.bind(fd, address, address.length), "bind", `listen to ${link}`)
      return new FrameTap(fd)
    } catch (error) {
      libc.close(fd)
      throw error
    }
  }

  /**
   * The frames that came since the last call, each from its destination MAC on.
   *
   * @param most at most so many; default 10,000
   * @throws SystemError, ENETDOWN when the link is gone
   */
  read(most = 10_000): Uint8Array[] {
    const frames: Uint8Array[] = []
    while (this.#fd >= 0 && frames.length < most) {
      const length = libc.recv(this.#fd, this.#buffer, this.#buffer.length, 0)
      if (length >= 0) {
        frames.push(this.#buffer.slice(0, length))
      } else if (errno() === EAGAIN) {
        break
      } else if (errno() !== EINTR) {
        throw new SystemError(errno(), "recv", "read a captured frame")
      }
    }
    return frames
  }

  /** How many frames the kernel had no room for since the last call. @throws SystemError */
  lost(): number {
    // struct tpacket_stats: packets (4), drops (4); reading it sets it back.
    const stats = new Uint8Array(8)
    const length = new Uint8Array(Int32Array.of(8).buffer)
    const result = libc.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, stats, length)
    check(result, "getsockopt", "read the capture's statistics")
    return new DataView(stats.buffer).getUint32(4, true)
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd)
    this.#fd = -1
  }
}

/** Root of a user namespace may not have more than the system's limit. */
function trySetBuffer(fd: number, bytes: number): void {
  try {
    setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "permission") throw error
  }
}
