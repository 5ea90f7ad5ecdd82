/** Memory that a stream's thread and the test share: what was counted, and the wish to end. */

/** What a stream counts; all start at 0. */
export const COUNTERS = [
  "sent",
  "received",
  "duplicates",
  "reordered",
  "sendErrors",
  "lastErrno",
  "longestGapMs",
  "elapsedMs",
  "corrupt",
  "retransmits",
  "segmentBytes",
] as const

export type Counter = (typeof COUNTERS)[number]

/** Sequence numbers that a stream can have: 35 minutes at 2,000 a second. */
export const MAX_SEQUENCE = 4 * 1024 * 1024
const FLAG_OFFSET = COUNTERS.length * 8
const BITMAP_OFFSET = FLAG_OFFSET + 8

export class TrafficChannel {
  readonly memory: SharedArrayBuffer
  /** One bit for each sequence number that has arrived. */
  readonly arrived: Uint8Array
  readonly #counters: Float64Array
  readonly #flags: Int32Array

  /** @param memory of the other side's channel; default new */
  constructor(memory = new SharedArrayBuffer(BITMAP_OFFSET + MAX_SEQUENCE / 8)) {
    this.memory = memory
    this.#counters = new Float64Array(memory, 0, COUNTERS.length)
    this.#flags = new Int32Array(memory, FLAG_OFFSET, 2)
    this.arrived = new Uint8Array(memory, BITMAP_OFFSET)
  }

  get(counter: Counter): number {
    return this.#counters[COUNTERS.indexOf(counter)] ?? 0
  }

  set(counter: Counter, value: number): void {
    this.#counters[COUNTERS.indexOf(counter)] = value
  }

  add(counter: Counter): void {
    this.set(counter, this.get(counter) + 1)
  }

  get stopping(): boolean {
    return Atomics.load(this.#flags, 0) !== 0
  }

  stop(): void {
    Atomics.store(this.#flags, 0, 1)
  }

  /** Notes an arrival. @returns false when it had arrived before */
  arrive(sequence: number): boolean {
    const byte = this.arrived[sequence >> 3] ?? 0
    const bit = 1 << (sequence & 7)
    if ((byte & bit) !== 0) return false
    this.arrived[sequence >> 3] = byte | bit
    return true
  }

  hasArrived(sequence: number): boolean {
    return ((this.arrived[sequence >> 3] ?? 0) & (1 << (sequence & 7))) !== 0
  }
}

/** What a stream's thread is told. */
export interface TrafficOrder {
  readonly kind: "udp" | "tcp"
  readonly memory: SharedArrayBuffer
  /** Paths of the namespaces. */
  readonly from: string
  readonly to: string
  readonly source: string
  readonly destination: string
  readonly port: number
  /** Packets a second (UDP), or bytes a second (TCP, 0: as many as possible). */
  readonly rate: number
  /** Bytes of a datagram (UDP), or of the whole transfer (TCP, 0: until it is told to stop). */
  readonly size: number
}

/** What a stream's thread says. */
export type TrafficNews =
  | { readonly is: "running" }
  | { readonly is: "ended" }
  | { readonly is: "failed"; readonly why: string }
