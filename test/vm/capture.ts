/** Listening on a link of the lab: packet(7), without a tcpdump to start. */

import { type KindOptions, type PacketKind, packetKind } from "../../src/core/packet_kind.ts"
import { LariatError } from "../../src/errors.ts"
import { check, EAGAIN, SystemError } from "../../src/sys/errno.ts"
import { cString, errno, libc } from "../../src/sys/libc.ts"
import { openSocket, SOCK_NONBLOCK, SOCK_RAW, setIntOption } from "../../src/sys/socket.ts"
import { AF_PACKET } from "../../src/sys/socket_address.ts"
import type { LabNetns } from "./lab_netns.ts"

/** include/uapi/linux/if_ether.h */
const ETH_P_ALL = 0x0003
/** include/uapi/linux/if_packet.h */
const SOL_PACKET = 263
const PACKET_STATISTICS = 6
const SOL_SOCKET = 1
/** include/uapi/asm-generic/socket.h: beyond net.core.rmem_max. */
const SO_RCVBUFFORCE = 33
const BUFFER_BYTES = 64 * 1024 * 1024
/** How often frames are fetched from the kernel, which holds them meanwhile. */
const DRAIN_MS = 20
/** Frames that are kept of each kind, for messages and for a look inside. */
const KEPT = 200
/** The largest frame: 64 KiB and its header. */
const MAX_FRAME = 65_550

/** What was seen on a link. */
export interface Traffic {
  /** Frames by kind; a kind that was not seen is 0. */
  readonly count: Readonly<Record<PacketKind, number>>
  /** The first frames of each kind, whole. */
  readonly frames: ReadonlyMap<PacketKind, readonly Uint8Array[]>
}

export class Capture {
  readonly #fd: number
  readonly #kindOf: (frame: Uint8Array) => PacketKind
  readonly #count: Record<PacketKind, number> = {
    clear: 0,
    esp: 0,
    "udp-esp": 0,
    wireguard: 0,
    keepalive: 0,
    fragment: 0,
    arp: 0,
    icmp: 0,
    tcp: 0,
    udp: 0,
    other: 0,
  }
  readonly #frames = new Map<PacketKind, Uint8Array[]>()
  readonly #buffer = new Uint8Array(MAX_FRAME)
  readonly #timer: ReturnType<typeof setInterval>
  #open = true

  /**
   * Begins to listen, both ways. A frame that passes while nobody fetches waits in the kernel.
   *
   * @param netns undefined: the test's own, where the cables end
   */
  constructor(netns: LabNetns | undefined, device: string, options: KindOptions) {
    this.#kindOf = packetKind(options)
    this.#fd = netns === undefined ? listen(device) : netns.inside(() => listen(device))
    this.#timer = setInterval(() => this.#drain(), DRAIN_MS)
  }

  /** Everything so far, frames that wait included. */
  get traffic(): Traffic {
    this.#drain()
    return { count: this.#count, frames: this.#frames }
  }

  /** Forgets what was seen so far. */
  reset(): void {
    this.#drain()
    for (const kind of Object.keys(this.#count) as PacketKind[]) this.#count[kind] = 0
    this.#frames.clear()
  }

  /** Ends. @throws LariatError when the kernel could not hold all frames: the counts are wrong then */
  stop(): Traffic {
    if (!this.#open) return { count: this.#count, frames: this.#frames }
    const { traffic } = this
    this.#open = false
    clearInterval(this.#timer)
    const drops = droppedFrames(this.#fd)
    libc.close(this.#fd)
    if (drops > 0) throw new LariatError(`The capture lost ${drops} frames`, { code: "io" })
    return traffic
  }

  #drain(): void {
    while (this.#open) {
      const length = libc.recv(this.#fd, this.#buffer, this.#buffer.length, 0)
      if (length < 0) {
        if (errno() === EAGAIN) return
        throw new SystemError(errno(), "recv", "read a captured frame")
      }
      this.#take(this.#buffer.subarray(0, length))
    }
  }

  #take(frame: Uint8Array): void {
    const kind = this.#kindOf(frame)
    this.#count[kind] += 1
    const kept = this.#frames.get(kind) ?? []
    if (kept.length >= KEPT) return
    kept.push(frame.slice())
    this.#frames.set(kind, kept)
  }
}

function listen(device: string): number {
  const index = libc.if_nametoindex(cString(device))
  if (index === 0)
    throw new LariatError(`Cannot capture on ${device}: no such link`, { code: "io" })
  // Protocol 0 hears nothing: frames of other links must not come before it is bound to this one.
  const fd = openSocket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0)
  setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
  const address = new Uint8Array(20)
  const view = new DataView(address.buffer)
  view.setUint16(0, AF_PACKET, true)
  view.setUint16(2, ETH_P_ALL, false)
  view.setInt32(4, index, true)
  check(libc.bind(fd, address, address.length), "bind", `listen on ${device}`)
  return fd
}

/** struct tpacket_stats: packets (4), drops (4); reading it sets it back. */
function droppedFrames(fd: number): number {
  const stats = new Uint8Array(8)
  const length = new Uint8Array(Int32Array.of(8).buffer)
  const result = libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, stats, length)
  check(result, "getsockopt", "read the capture's statistics")
  return new DataView(stats.buffer).getUint32(4, true)
}
