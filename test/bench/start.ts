/** From exec to the agent's first answer, and what it weighs when idle. */
import { join } from "node:path"
import { AgentProcess } from "./agent_process.ts"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import { summarize } from "./statistics.ts"

const STARTS = 20
const IDLE_MS = 5000

/** The agent of the other measurements must not run meanwhile: both want the metadata address. */
export async function agentStart(bench: Bench): Promise<Figure[]> {
  const fresh: number[] = []
  for (let index = 0; index < STARTS; index++) {
    const agent = new AgentProcess(bench.command, join(bench.directory, `start${index}`))
    fresh.push(agent.start())
    await agent.stop()
  }
  const agent = new AgentProcess(bench.command, join(bench.directory, "idle"))
  agent.start()
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
  const own = agent.memory("RssAnon")
  const figures: Figure[] = [
    {
      name: "agent ready",
      unit: "ms",
      ours: summarize(fresh),
      bar: { of: "value", limit: 100 },
      note: "from fork to the first answer of the control socket, state directory empty",
    },
    {
      name: "agent idle, RSS",
      unit: "MB",
      ours: summarize([agent.memory()]),
      bar: { of: "value", limit: 60 },
      note: `VmRSS after ${IDLE_MS / 1000} s, 10^6 bytes; ${own.toFixed(1)} MB of it are its own, the rest is the program's file`,
    },
  ]
  await agent.stop()
  return figures
}
