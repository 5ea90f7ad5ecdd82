/** Calls after the kernel dropped its page cache, as on a host with little memory. */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { type Bench, inTurns, SETTLE_MS } from "./bench.ts"
import { Ours, Peer } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { callPlugin, settle } from "./plugin_process.ts"
import { summarize } from "./statistics.ts"

const ROUNDS = 12
/** An agent that has nothing to do loses what the kernel may take from it. */
const IDLE_MS = 8000
/** Page cache, directory entries and inodes (Documentation/admin-guide/sysctl/vm.rst). */
const EVERYTHING = "3"

/**
 * ADD with a running agent, both sides in turns; then, `alone`, the plugin's start without one.
 */
export function coldAdds(bench: Bench): Figure[] {
  const paths = { program: bench.program, socket: bench.agent.socket }
  const pair = {
    ours: new Ours("ours21", "10.21.0.0/16", paths, { ipMasq: false }),
    peer: new Peer("peer22", "10.22.0.0/16", bench, { ipMasq: false }),
  }
  const netns = makeNamespaces("cold-", 1)
  settle(IDLE_MS)
  const times = { ours: [] as number[], peer: [] as number[] }
  for (let round = -1; round < ROUNDS; round++) {
    for (const contender of inTurns(round + 1, pair)) {
      const attachment = { containerId: `cold${round}`, netns: netns[0] ?? "", ifname: "eth0" }
      dropPageCache()
      const { ms } = callPlugin(contender.call("ADD", attachment))
      if (round >= 0) times[contender === pair.ours ? "ours" : "peer"].push(ms)
      callPlugin(contender.call("DEL", attachment))
      settle(SETTLE_MS)
    }
  }
  removeNamespaces(netns)
  return [
    figure("ADD, cold page cache", times, `a running agent that was idle for ${IDLE_MS / 1000} s`),
  ]
}

/** The plugin's file alone, nothing of it mapped by anyone. */
export function coldStarts(bench: Bench): Figure[] {
  const paths = { program: bench.program, socket: "/nowhere" }
  const pair = {
    ours: new Ours("ours23", "10.23.0.0/16", paths, { ipMasq: false }),
    peer: new Peer("peer24", "10.24.0.0/16", bench, { ipMasq: false }),
  }
  const times = { ours: [] as number[], peer: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of inTurns(round, pair)) {
      dropPageCache()
      const call = contender.call("VERSION", {
        containerId: "c",
        netns: "/nowhere",
        ifname: "eth0",
      })
      times[contender === pair.ours ? "ours" : "peer"].push(callPlugin(call).ms)
    }
  }
  return [figure("VERSION, cold page cache, no agent", times, "nothing of either file in memory")]
}

function dropPageCache(): void {
  spawnSync("sync")
  writeFileSync("/proc/sys/vm/drop_caches", EVERYTHING)
}

function figure(name: string, times: { ours: number[]; peer: number[] }, note: string): Figure {
  return {
    name,
    unit: "ms",
    ours: summarize(times.ours),
    other: { name: "bridge+host-local", summary: summarize(times.peer) },
    note,
  }
}
