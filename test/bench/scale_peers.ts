/** What a thousand and ten thousand peers cost a host with the ipsec driver. */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import type { PeersReport, Stage } from "./scale_peers_model.ts"
import { summarize } from "./statistics.ts"

/** Everything for a thousand peers must not take longer, milliseconds of processor. */
const PROCESSOR_MS = 1000
const MEMORY_MB = 150
const MODEL = join(import.meta.dirname, "scale_peers_model.ts")
const TIMEOUT_MS = 120_000

/** Of a row: peers, and how often it is measured. */
const SIZES = [
  { peers: 1000, runs: 5 },
  { peers: 10_000, runs: 1 },
] as const

/** What belongs together, for people. */
const PARTS: Readonly<Record<string, readonly Stage[]>> = {
  "envelopes opened": ["open", "acks"],
  "keys agreed on": ["agree"],
  "associations encoded": ["inbound", "outbound"],
  "policies set": ["block", "switch"],
}

/** Each size in processes of its own. */
export function scalePeers({ directory }: Bench): Figure[] {
  return SIZES.flatMap(({ peers, runs }) => {
    const file = join(directory, `peers-${peers}.json`)
    model("make", peers, file)
    const reports = Array.from({ length: runs }, () => model("run", peers, file) as PeersReport)
    return figuresOf(peers, reports)
  })
}

function model(verb: "make" | "run", peers: number, file: string): unknown {
  const argv = [MODEL, verb, `${peers}`, file]
  const output = execFileSync(process.execPath, argv, { encoding: "utf8", timeout: TIMEOUT_MS })
  return output === "" ? undefined : JSON.parse(output)
}

function figuresOf(peers: number, reports: readonly PeersReport[]): Figure[] {
  const [first] = reports
  const barred = peers === 1000
  const spent = (report: PeersReport, stages: readonly Stage[]) =>
    stages.reduce((sum, stage) => sum + report.stages[stage].user + report.stages[stage].system, 0)
  const cost = (name: string, stages: readonly Stage[]): Figure => ({
    name: `${peers} peers: ${name}`,
    unit: "ms",
    ours: summarize(reports.map((report) => spent(report, stages))),
  })
  const kernel = (report: PeersReport) =>
    Object.values(report.stages).reduce((sum, { system }) => sum + system, 0)
  return [
    {
      ...cost("all", Object.values(PARTS).flat()),
      bar: barred ? { of: "value", limit: PROCESSOR_MS } : undefined,
      note: `processor, user and system, of which system ${summarize(reports.map(kernel)).median.toFixed(0)} ms: from the store's records to ${first?.saPairs} associations (${first?.associationBytes} bytes of netlink, encoded and not sent: kernels without ESP take none) and ${first?.policies} policies in the kernel, a block of each family per peer`,
    },
    {
      ...cost("programmed", Object.values(PARTS).slice(1).flat()),
      bar: barred ? { of: "value", limit: PROCESSOR_MS } : undefined,
      note: "the same without opening the envelopes: six signatures of each peer",
    },
    ...Object.entries(PARTS).map(([name, stages]) => cost(name, stages)),
    {
      name: `${peers} peers: memory`,
      unit: "MB",
      ours: summarize(reports.map(({ memoryMb }) => memoryMb)),
      other: {
        name: "records alone",
        summary: summarize(reports.map(({ beforeMb }) => beforeMb)),
      },
      bar: barred ? { of: "value", limit: MEMORY_MB } : undefined,
      note: "resident, of a process that has nothing of the agent but this",
    },
  ]
}
