/** What the agent itself takes: its control socket asked from this process, no plugin started. */
import { type Bench, SETTLE_MS } from "./bench.ts"
import { Ours } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { settle } from "./plugin_process.ts"
import { summarize } from "./statistics.ts"

const WARM_UP = 20

/** Attach and detach as the plugin asks for them. */
export function socketCalls(bench: Bench): Figure[] {
  const netns = makeNamespaces("socket-", 1)
  const figures = [false, true].flatMap((ipMasq) => {
    const net = ipMasq ? 15 : 16
    const paths = { program: bench.program, socket: bench.agent.socket }
    const ours = new Ours(`ours${net}`, `10.${net}.0.0/16`, paths, { ipMasq })
    const adds: number[] = []
    const dels: number[] = []
    for (let round = -WARM_UP; round < bench.n; round++) {
      const attachment = { containerId: `s${round}`, netns: netns[0] ?? "", ifname: "eth0" }
      for (const [command, times] of [
        ["ADD", adds],
        ["DEL", dels],
      ] as const) {
        const started = performance.now()
        bench.agent.cni(command, ours, attachment)
        if (round >= 0) times.push(performance.now() - started)
      }
      settle(SETTLE_MS)
    }
    const mode = ipMasq ? "ipMasq" : "no ipMasq"
    return [
      figure(`ADD in the agent, ${mode}`, adds, ipMasq ? undefined : 1),
      figure(`DEL in the agent, ${mode}`, dels, undefined),
    ]
  })
  removeNamespaces(netns)
  return figures
}

function figure(name: string, times: number[], limit: number | undefined): Figure {
  return {
    name,
    unit: "ms",
    ours: summarize(times),
    bar: limit === undefined ? undefined : { of: "value", limit },
    note: "one request of the control socket and its answer, asked by a process that runs already",
  }
}
