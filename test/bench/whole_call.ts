/** Whole ADD and DEL, from fork to wait, both sides in turns. */
import { type Bench, inTurns, type Pair, type PairTimes, timed, timesOf } from "./bench.ts"
import { type Contender, Ours, Peer } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { summarize } from "./statistics.ts"

/** Namespaces per side, used one after another. */
const NAMESPACES = 4

/** Rounds before the first that counts: bridges, networks, chains are made in these. */
const WARM_UP = 3

/** ADD and DEL, with and without masquerading. */
export function wholeCalls(bench: Bench): Figure[] {
  return [false, true].flatMap((ipMasq) => {
    const { adds, dels } = measure(bench, pairOf(bench, ipMasq))
    const mode = ipMasq ? "ipMasq" : "no ipMasq"
    return [figure(`ADD, ${mode}`, adds, ipMasq ? 0.3 : 0.75), figure(`DEL, ${mode}`, dels, 0.5)]
  })
}

function pairOf(bench: Bench, ipMasq: boolean): Pair {
  const [mine, theirs] = ipMasq ? [11, 12] : [13, 14]
  const paths = { program: bench.program, socket: bench.agent.socket }
  return {
    ours: new Ours(`ours${mine}`, `10.${mine}.0.0/16`, paths, { ipMasq }),
    peer: new Peer(`peer${theirs}`, `10.${theirs}.0.0/16`, bench, { ipMasq }),
  }
}

function measure(bench: Bench, pair: Pair): { adds: PairTimes; dels: PairTimes } {
  const adds: PairTimes = { ours: [], peer: [] }
  const dels: PairTimes = { ours: [], peer: [] }
  const warmUp: PairTimes = { ours: [], peer: [] }
  const spaces = new Map<Contender, string[]>()
  for (const contender of [pair.ours, pair.peer]) {
    spaces.set(contender, makeNamespaces(`call-${contender.name.slice(0, 3)}-`, NAMESPACES))
  }
  for (let round = -WARM_UP; round < bench.n; round++) {
    const attachmentOf = (contender: Contender) => ({
      containerId: `call${round + WARM_UP}`,
      netns: spaces.get(contender)?.[(round + WARM_UP) % NAMESPACES] ?? "",
      ifname: "eth0",
    })
    for (const [command, times] of [
      ["ADD", adds],
      ["DEL", dels],
    ] as const) {
      for (const contender of inTurns(round + WARM_UP, pair)) {
        const into = timesOf(contender, round < 0 ? warmUp : times)
        timed(contender, command, attachmentOf(contender), into)
      }
    }
  }
  for (const paths of spaces.values()) removeNamespaces(paths)
  return { adds, dels }
}

function figure(name: string, { ours, peer }: PairTimes, limit: number): Figure {
  return {
    name,
    unit: "ms",
    ours: summarize(ours),
    other: { name: "bridge+host-local", summary: summarize(peer) },
    bar: { of: "ratio", limit },
  }
}
