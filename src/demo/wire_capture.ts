import type { FrameTap } from "../sys/net/frame_tap.ts"
import { type CarrierPorts, type FrameText, frameText } from "./frame_text.ts"
import { type PacketKind, packetKind } from "./packet_kind.ts"

/** Packets of the overlay that look alike on the wire. */
export interface WireFlow extends FrameText {
  readonly packets: number
  /** Whether the words that were looked for stood in one of them. */
  readonly readable: boolean
}

/** What was on the wire between two looks. */
export interface WireTraffic {
  /** Packets of the overlay that nobody on the wire can read. */
  readonly encrypted: number
  /** Packets of the overlay that anybody there can. */
  readonly clear: number
  /** All others: the hosts' own. */
  readonly others: number
  /** Those of the overlay, the first that came first. */
  readonly flows: readonly WireFlow[]
  /** Frames that passed and could not be looked at. */
  readonly lost: number
}

/** What to look for. */
export interface WireOptions {
  /** The overlay's subnets. */
  readonly overlay: readonly string[]
  readonly ports: CarrierPorts
  /** Words that containers say to each other. */
  readonly words: string
}

/** The part of {@link FrameTap} that is used. */
export type FrameSource = Pick<FrameTap, "read" | "lost">

const ENCRYPTED: ReadonlySet<PacketKind> = new Set(["esp", "udp-esp", "wireguard"])
/** More are not told apart. */
const MAX_FLOWS = 1000
/** How often frames are fetched from the kernel, which holds them meanwhile. */
const DRAIN_MS = 50

/** Looks at all that passes a cable. */
export class WireCapture {
  readonly #source: FrameSource
  readonly #kindOf: (frame: Uint8Array) => PacketKind
  readonly #options: WireOptions
  readonly #words: Uint8Array
  readonly #timer: ReturnType<typeof setInterval>
  readonly #flows = new Map<string, WireFlow>()
  #count = { encrypted: 0, clear: 0, others: 0 }

  constructor(source: FrameSource, options: WireOptions) {
    this.#source = source
    this.#options = options
    this.#kindOf = packetKind(options)
    this.#words = new TextEncoder().encode(options.words)
    this.#timer = setInterval(() => this.#drain(), DRAIN_MS)
  }

  /** What passed since the last call. */
  take(): WireTraffic {
    this.#drain()
    const traffic = {
      ...this.#count,
      flows: [...this.#flows.values()],
      lost: this.#source.lost(),
    }
    this.#count = { encrypted: 0, clear: 0, others: 0 }
    this.#flows.clear()
    return traffic
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #drain(): void {
    for (const frame of this.#source.read()) this.#see(frame)
  }

  #see(frame: Uint8Array): void {
    const kind = this.#kindOf(frame)
    if (ENCRYPTED.has(kind)) this.#count.encrypted += 1
    else if (kind === "clear") this.#count.clear += 1
    else {
      this.#count.others += 1
      return
    }
    const text = frameText(frame, this.#options.ports)
    const key = `${text.route} ${text.what}`
    const flow = this.#flows.get(key)
    if (flow === undefined && this.#flows.size >= MAX_FLOWS) return
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
    this.#flows.set(key, {
      ...text,
      packets: (flow?.packets ?? 0) + 1,
      readable: flow?.readable === true || bytes.includes(this.#words),
    })
  }
}
