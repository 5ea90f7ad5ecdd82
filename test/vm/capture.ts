/** Listening on a link of the lab: packet(7), without a tcpdump to start. */

import { type KindOptions, type PacketKind, packetKind } from "../../src/demo/packet_kind.ts"
import { LariatError } from "../../src/errors.ts"
import { FrameTap } from "../../src/sys/net/frame_tap.ts"
import type { LabNetns } from "./lab_netns.ts"

/** What comes in the time between two looks at a busy emulated machine. */
const BUFFER_BYTES = 64 * 1024 * 1024
/** How often frames are fetched from the kernel, which holds them meanwhile. */
const DRAIN_MS = 20
/** Frames that are kept of each kind, for messages and for a look inside. */
const KEPT = 200

/** What was seen on a link. */
export interface Traffic {
  /** Frames by kind; a kind that was not seen is 0. */
  readonly count: Readonly<Record<PacketKind, number>>
  /** The first frames of each kind, whole. */
  readonly frames: ReadonlyMap<PacketKind, readonly Uint8Array[]>
}

export class Capture {
  readonly #tap: FrameTap
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
  readonly #timer: ReturnType<typeof setInterval>
  #open = true

  /**
   * Begins to listen, both ways. A frame that passes while nobody fetches waits in the kernel.
   *
   * @param netns undefined: the test's own, where the cables end
   */
  constructor(netns: LabNetns | undefined, device: string, options: KindOptions) {
    this.#kindOf = packetKind(options)
    const open = () => FrameTap.open(device, { bufferBytes: BUFFER_BYTES })
    this.#tap = netns === undefined ? open() : netns.inside(open)
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
    const drops = this.#tap.lost()
    this.#tap.close()
    if (drops > 0) throw new LariatError(`The capture lost ${drops} frames`, { code: "io" })
    return traffic
  }

  #drain(): void {
    if (!this.#open) return
    for (;;) {
      const frames = this.#tap.read()
      for (const frame of frames) this.#take(frame)
      if (frames.length === 0) return
    }
  }

  #take(frame: Uint8Array): void {
    const kind = this.#kindOf(frame)
    this.#count[kind] += 1
    const kept = this.#frames.get(kind) ?? []
    if (kept.length >= KEPT) return
    kept.push(frame)
    this.#frames.set(kind, kept)
  }
}
