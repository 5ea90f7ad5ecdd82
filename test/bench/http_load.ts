/**
 * Asks a server the same again and again, from a process of its own: `http_load.ts JSON`, where the
 * JSON is a {@link Load}. It prints a {@link LoadResult} as JSON.
 */
import type { Socket } from "bun"

/** What is asked, by how many, and for how long. */
export interface Load {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly accept: string
  /** Each has one request in flight. */
  readonly connections: number
  readonly seconds: number
}

/** What came of it. */
export interface LoadResult {
  /** Answers a second. */
  readonly rate: number
  /** Milliseconds from request to answer. */
  readonly p99: number
}

/** Asked before it counts. */
const WARM_UP_MS = 300
/** One answer of so many is timed. */
const TIMED = 8

/** The end of a chunked answer (RFC 9112 §7.1). */
const LAST_CHUNK = "0\r\n\r\n"

interface Asker {
  received: number
  /** The last characters that came. */
  tail: string
  answers: number
  since: number
}

const load: Load = JSON.parse(process.argv[2] ?? "")
const request = new TextEncoder().encode(
  `GET ${load.path} HTTP/1.1\r\nHost: 169.254.169.250\r\nAccept: ${load.accept}\r\n\r\n`,
)
const times: number[] = []
let answers = 0
/** Bytes of an answer, all are alike; 0 before the first one has come, infinite where it is chunked. */
let length = 0

function received(socket: Socket<Asker>, bytes: Buffer): void {
  const asker = socket.data
  if (length === 0) length = lengthOf(bytes.toString("latin1"))
  asker.received += bytes.length
  asker.tail = (asker.tail + bytes.toString("latin1", Math.max(0, bytes.length - 5))).slice(-5)
  const isChunked = length === Number.POSITIVE_INFINITY
  if (isChunked ? asker.tail !== LAST_CHUNK : asker.received < length) return
  if (asker.received > length) throw new Error("an answer is longer than the first one")
  asker.received = 0
  answers += 1
  asker.answers += 1
  if (asker.since > 0) times.push(performance.now() - asker.since)
  asker.since = asker.answers % TIMED === 0 ? performance.now() : 0
  socket.write(request)
}

/** Bytes of the answer that a text begins with; infinite where it is chunked. @throws Error where it is another one than 200 */
export function lengthOf(text: string): number {
  const head = text.indexOf("\r\n\r\n")
  const isChunked = /^transfer-encoding: chunked/im.test(text)
  const body = isChunked ? "Infinity" : /^content-length: (\d+)/im.exec(text)?.[1]
  if (!text.startsWith("HTTP/1.1 200 ") || head < 0 || body === undefined) {
    throw new Error(`an answer of another kind: ${text.slice(0, 200)}`)
  }
  return head + 4 + Number(body)
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

for (let count = 0; count < load.connections; count++) {
  const options = {
    hostname: load.host,
    port: load.port,
    data: { received: 0, tail: "", answers: 0, since: 0 },
    socket: {
      open: (socket: Socket<Asker>) => {
        socket.write(request)
      },
      data: received,
    },
  }
  await Bun.connect<Asker>(options)
}
await pause(WARM_UP_MS)
times.length = 0
const before = { answers, at: performance.now() }
await pause(load.seconds * 1000)
const rate = ((answers - before.answers) / (performance.now() - before.at)) * 1000
times.sort((a, b) => a - b)
const result: LoadResult = { rate, p99: times[Math.floor(times.length * 0.99)] ?? 0 }
console.log(JSON.stringify(result))
process.exit(0)
