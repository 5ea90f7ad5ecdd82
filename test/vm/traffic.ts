/** Streams between two places of the lab, counted packet by packet or byte by byte. */
import { errnoName } from "../../src/sys/ffi/errno.ts"
import { type RunningWorker, startWorker } from "../../src/sys/ffi/worker.ts"
import type { LabNetns } from "./lab_netns.ts"
import {
  type Counter,
  TrafficChannel,
  type TrafficNews,
  type TrafficOrder,
} from "./traffic_channel.ts"

/** An end of a stream: a namespace and the address in it that is used. */
export interface Place {
  readonly netns: LabNetns
  readonly address: string
}

/** What became of the datagrams of a {@link UdpStream}. */
export interface UdpResult {
  readonly sent: number
  readonly received: number
  /** Sequence numbers that never arrived, ascending. */
  readonly lost: readonly number[]
  readonly duplicates: number
  readonly reordered: number
  /** Datagrams of another length or without the stream's token: they were not ours. */
  readonly corrupt: number
  /** Of sending; each counts as sent and lost. */
  readonly sendErrors: number
  /** Name of the last one. */
  readonly sendError: string | undefined
  /** The longest time between two arrivals. */
  readonly longestGapMs: number
  /** Packets a second, as it was. */
  readonly rate: number
}

/** How {@link startUdp} sends. */
export interface UdpOptions {
  /** Packets a second. Default 2,000. */
  readonly rate?: number
  /** Bytes of the datagram, at least 12. Default 200. */
  readonly size?: number
}

/** What became of a TCP connection. */
export interface TcpResult {
  readonly sent: number
  readonly received: number
  /** Every byte came, in its place. */
  readonly intact: boolean
  readonly retransmits: number
  /** What the sender put into a segment in the end. */
  readonly segmentBytes: number
  readonly longestGapMs: number
  readonly bytesPerSecond: number
}

/** How {@link startTcp} sends. */
export interface TcpOptions {
  /** Bytes in all. Default 0: until it is stopped. */
  readonly bytes?: number
  /** Bytes a second. Default 0: as many as possible. */
  readonly rate?: number
}

/** How long a thread may take to be ready, or to end after it was told to. */
const WAIT_MS = 70_000

/** A stream that runs. */
export class Stream<Result> {
  readonly #channel: TrafficChannel
  readonly #worker: RunningWorker<TrafficOrder>
  readonly #running = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #result: (channel: TrafficChannel) => Result

  constructor(order: Omit<TrafficOrder, "memory">, result: (channel: TrafficChannel) => Result) {
    this.#channel = new TrafficChannel()
    this.#result = result
    // A failure may come before anybody waits for either.
    for (const { promise } of [this.#running, this.#ended]) promise.catch(() => undefined)
    const fail = (why: string) => {
      const error = new Error(`${order.kind} from ${order.source} to ${order.destination}: ${why}`)
      this.#running.reject(error)
      this.#ended.reject(error)
    }
    this.#worker = startWorker<TrafficOrder, TrafficNews>(
      new URL("./traffic_worker.ts", import.meta.url),
      {
        onMessage: (news) => {
          if (news.is === "running") this.#running.resolve()
          else if (news.is === "ended") this.#ended.resolve()
          else fail(news.why)
        },
        onError: (error) => fail(error.message),
      },
    )
    this.#worker.post({ ...order, memory: this.#channel.memory })
  }

  /** Resolves when sockets are open, and a TCP connection stands. */
  async started(): Promise<void> {
    try {
      await bounded(this.#running.promise, "a stream to start")
    } catch (error) {
      this.#worker.terminate()
      throw error
    }
  }

  get sent(): number {
    return this.#channel.get("sent")
  }

  /** So far: packets, or bytes. */
  get received(): number {
    return this.#channel.get("received")
  }

  /** Waits until so many more packets, or bytes, have been received than now. */
  async more(count: number, timeoutMs = 15_000): Promise<void> {
    const wanted = this.received + count
    const until = performance.now() + timeoutMs
    while (this.received < wanted) {
      if (performance.now() > until) {
        throw new Error(
          `Only ${this.received - wanted + count} of ${count} came in ${timeoutMs} ms`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Waits until it ends by itself: a TCP transfer of a set size. */
  async result(): Promise<Result> {
    try {
      await bounded(this.#ended.promise, "a stream to end")
      return this.#result(this.#channel)
    } finally {
      this.#channel.stop()
      this.#worker.terminate()
    }
  }

  /** Ends the sender, waits for what is on its way, and says how it went. */
  stop(): Promise<Result> {
    this.#channel.stop()
    return this.result()
  }
}

export type UdpStream = Stream<UdpResult>
export type TcpStream = Stream<TcpResult>

/** Starts a paced stream of datagrams, and returns when it runs. */
export async function startUdp(
  from: Place,
  to: Place,
  options: UdpOptions = {},
): Promise<UdpStream> {
  const { rate = 2000, size = 200 } = options
  return await start({ kind: "udp", ...ends(from, to), rate, size }, udpResult)
}

/** Connects, and sends a pattern until all is sent or the stream is stopped. */
export async function startTcp(
  from: Place,
  to: Place,
  options: TcpOptions = {},
): Promise<TcpStream> {
  const { bytes = 0, rate = 0 } = options
  return await start({ kind: "tcp", ...ends(from, to), rate, size: bytes }, tcpResult)
}

/** Sends so many bytes over one connection. */
export async function transferTcp(from: Place, to: Place, bytes: number): Promise<TcpResult> {
  const stream = await startTcp(from, to, { bytes })
  return await stream.result()
}

async function start<Result>(
  order: Omit<TrafficOrder, "memory">,
  result: (channel: TrafficChannel) => Result,
): Promise<Stream<Result>> {
  const stream = new Stream(order, result)
  await stream.started()
  return stream
}

/** Below the range of ports that the kernel gives by itself. */
const FIRST_PORT = 20_000
const PORTS = 10_000
let lastPort = 0

function ends(from: Place, to: Place) {
  lastPort = (lastPort + 1) % PORTS
  return {
    from: from.netns.path,
    to: to.netns.path,
    source: from.address,
    destination: to.address,
    port: FIRST_PORT + lastPort,
  }
}

function udpResult(channel: TrafficChannel): UdpResult {
  const count = (counter: Counter) => channel.get(counter)
  const sent = count("sent")
  const lost: number[] = []
  for (let sequence = 0; sequence < sent; sequence++) {
    if (!channel.hasArrived(sequence)) lost.push(sequence)
  }
  return {
    sent,
    received: count("received"),
    lost,
    duplicates: count("duplicates"),
    reordered: count("reordered"),
    corrupt: count("corrupt"),
    sendErrors: count("sendErrors"),
    sendError: count("sendErrors") > 0 ? errnoName(count("lastErrno")) : undefined,
    longestGapMs: count("longestGapMs"),
    rate: (sent * 1000) / Math.max(1, count("elapsedMs")),
  }
}

function tcpResult(channel: TrafficChannel): TcpResult {
  const count = (counter: Counter) => channel.get(counter)
  return {
    sent: count("sent"),
    received: count("received"),
    intact: count("corrupt") === 0 && count("sent") === count("received"),
    retransmits: count("retransmits"),
    segmentBytes: count("segmentBytes"),
    longestGapMs: count("longestGapMs"),
    bytesPerSecond: (count("received") * 1000) / Math.max(1, count("elapsedMs")),
  }
}

async function bounded<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Cannot wait longer for ${what}`)), WAIT_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
