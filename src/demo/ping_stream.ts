import { type Netns, withNetns } from "../sys/netns/netns.ts"
import { EchoProber } from "../sys/probes/echo.ts"

/** What came of pings. */
export interface PingCount {
  readonly sent: number
  readonly answered: number
  /** The middle round trip, milliseconds; undefined without an answer. */
  readonly medianMs: number | undefined
}

/** An IPv4 packet as ping(8) sends it: 56 bytes and two headers. */
const PACKET_BYTES = 84
const TIMEOUT_MS = 2000
/** Length of the rounds of a stream, milliseconds. */
const ROUND_MS = 500

/** Pings so often, evenly over `spreadMs`. @throws LariatError, SystemError */
export async function pingTimes(
  from: Netns,
  destination: string,
  times: number,
  spreadMs: number,
): Promise<PingCount> {
  const prober = withNetns(from, () => EchoProber.open({ tickMs: 5 }))
  try {
    return await round(prober, destination, times, spreadMs)
  } finally {
    prober.close()
  }
}

/**
 * Pings until the work is done, once every `everyMs`.
 *
 * @returns what came of both
 * @throws what `work` throws; LariatError, SystemError
 */
export async function pingDuring<T>(
  from: Netns,
  destination: string,
  everyMs: number,
  work: () => Promise<T>,
): Promise<{ readonly pings: PingCount; readonly value: T }> {
  const prober = withNetns(from, () => EchoProber.open({ tickMs: 5 }))
  try {
    let over = false
    const working = work().finally(() => {
      over = true
    })
    const rounds: Promise<PingCount>[] = []
    // One round before, and one that begins after the work is done.
    for (let last = false; !last; ) {
      last = over
      rounds.push(round(prober, destination, Math.ceil(ROUND_MS / everyMs), ROUND_MS))
      await new Promise((resolve) => setTimeout(resolve, ROUND_MS))
    }
    const all = await Promise.all(rounds)
    return { pings: sum(all), value: await working }
  } finally {
    prober.close()
  }
}

async function round(
  prober: EchoProber,
  destination: string,
  times: number,
  spreadMs: number,
): Promise<PingCount> {
  const probes = Array.from({ length: times }, () => ({ destination, packetBytes: PACKET_BYTES }))
  const results = await prober.probe(probes, { timeoutMs: TIMEOUT_MS, spreadMs })
  const answered = results.filter(({ kind }) => kind === "answered")
  const roundTrips = answered.flatMap((one) =>
    one.kind === "answered" && one.rttMs !== undefined ? [one.rttMs] : [],
  )
  return { sent: times, answered: answered.length, medianMs: median(roundTrips) }
}

function sum(counts: readonly PingCount[]): PingCount {
  const medians = counts.flatMap(({ medianMs }) => (medianMs === undefined ? [] : [medianMs]))
  return {
    sent: counts.reduce((total, { sent }) => total + sent, 0),
    answered: counts.reduce((total, { answered }) => total + answered, 0),
    medianMs: median(medians),
  }
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}
