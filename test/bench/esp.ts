/** Our ESP path beside the same made by hand, on this kernel or in a virtual machine. */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import type { EspReport } from "../vm/esp_bench.ts"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import { type Summary, summarize } from "./statistics.ts"

/** Our throughput is to be so much of the other's at least, and the other's latency of ours. */
const LEAST = 0.97
const ROOT = join(import.meta.dirname, "../..")
/** The run itself takes 70 s in an emulated machine; another machine may have to be waited for. */
const RUN_SECONDS = 180
const TIMEOUT_MS = 800_000

/**
 * Where the machine is comes from the runner: LARIAT_VM is vmrun.sh, or empty where this kernel has
 * ESP; LARIAT_VM_OBSTACLE says why there is neither.
 */
export function esp({ directory }: Bench): Figure[] {
  const { LARIAT_VM: machine = "", LARIAT_VM_OBSTACLE: obstacle = "" } = process.env
  if (obstacle !== "") {
    console.log(`esp is not measured: it ${obstacle}`)
    return []
  }
  const script = [process.execPath, join(ROOT, "test/vm/esp_bench.ts")]
  const inside = [join(ROOT, "test/runner/namespace.sh"), ...script]
  const [program = "", ...args] =
    machine === "" ? script : [machine, "--timeout", `${RUN_SECONDS}`, "--", ...inside]
  const options = { cwd: directory, encoding: "utf8", timeout: TIMEOUT_MS } as const
  const output = execFileSync(program, args, options).trim()
  const where = machine === "" ? "on this kernel" : "in an emulated machine of two processors"
  return figuresOf(JSON.parse(output.slice(output.lastIndexOf("\n") + 1)), where)
}

function figuresOf(report: EspReport, where: string): Figure[] {
  const { cipher, ours, byHand, largest, outer, segment } = report
  const beside = (summary: Summary) => ({ name: "by hand", summary })
  return [
    {
      name: "TCP through ESP",
      unit: "MB/s",
      ours: ours.throughput,
      other: beside(byHand.throughput),
      bar: { of: "ratio", limit: LEAST, is: "least" },
      note: `${cipher}, one connection for 3 s in each round, ${where}: by hand are the same associations and an XFRM interface by iproute2`,
    },
    {
      name: "round trip through ESP",
      unit: "ms",
      ours: ours.latency,
      other: beside(byHand.latency),
      bar: { of: "ratio", limit: Number((1 / LEAST).toFixed(2)) },
      note: "medians of 50 pings, by turns",
    },
    {
      name: "TCP payload of a packet",
      unit: "bytes",
      ours: summarize([segment.ours]),
      other: { name: "Rancher's 98", summary: summarize([segment.rancher]) },
      bar: { of: "ratio", limit: 1, is: "least" },
      note: `an inner packet of ${largest} bytes made one of ${outer} outside and passed whole, one byte more did not; a fixed overhead of 98 leaves 1402`,
    },
  ]
}
