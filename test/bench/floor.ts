/** What a plugin's start costs before it does anything: the runtime's own part, and ours. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Bench } from "./bench.ts"
import { Ours, Peer } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { callPlugin, type PluginCall } from "./plugin_process.ts"
import { summarize } from "./statistics.ts"

const WARM_UP = 5
const NOWHERE = { containerId: "c", netns: "/nowhere", ifname: "eth0" }

/** VERSION of both sides, and a program of the same runtime that does nothing at all, in turns. */
export function floor(bench: Bench): Figure[] {
  const paths = { program: bench.program, socket: "/nowhere" }
  const options = { ipMasq: false }
  const ours = new Ours("ours26", "10.26.0.0/16", paths, options).call("VERSION", NOWHERE)
  const peer = new Peer("peer27", "10.27.0.0/16", bench, options).call("VERSION", NOWHERE)
  const calls: readonly PluginCall[] = [ours, peer, { ...ours, program: emptyProgram(bench) }]
  const times = calls.map(() => [] as number[])
  for (let round = -WARM_UP; round < bench.n; round++) {
    for (const [index, call] of calls.entries()) {
      const { ms } = callPlugin(call)
      if (round >= 0) times[index]?.push(ms)
    }
  }
  const [version, theirs, empty] = times.map(summarize)
  if (version === undefined || theirs === undefined || empty === undefined) return []
  const other = { name: "bridge, VERSION", summary: theirs }
  return [
    { name: "plugin's start (VERSION)", unit: "ms", ours: version, other },
    {
      name: "an empty program of Bun's",
      unit: "ms",
      ours: empty,
      other,
      note: "process.exit(0), compiled: what no plugin on this runtime can be quicker than",
    },
  ]
}

function emptyProgram(bench: Bench): string {
  const source = join(bench.directory, "empty.ts")
  const program = join(bench.directory, "empty")
  writeFileSync(source, "process.exit(0)\n")
  const build = ["build", "--compile", "--minify", "--bytecode", "--format=esm"]
  const result = spawnSync(process.execPath, [...build, source, "--outfile", program], {
    cwd: bench.directory,
    encoding: "utf8",
  })
  if (result.status !== 0) throw new Error(`cannot compile ${source}: ${result.stderr}`)
  return program
}
