/** ADD beside ten endpoints and beside a thousand. */
import { type Bench, inTurns, type Pair, type PairTimes, timed, timesOf } from "./bench.ts"
import { Ours, Peer } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { callPlugin } from "./plugin_process.ts"
import { summarize } from "./statistics.ts"

const FEW = 10
/** On one bridge, which holds 1,023 ports. */
const MANY = 1000
const PER_NAMESPACE = 33
const SUBNETS = ["10.17.0.0/16", "10.18.0.0/16"] as const

/** Timings of one stage: whole ADDs of both sides, and host-local's part of the peer's. */
interface Stage extends PairTimes {
  readonly hostLocal: number[]
}

/**
 * ADD at ten endpoints, at a thousand, and at ten again (so that a drift of the machine hits both),
 * while the peer's IPAM holds as many leases.
 */
export async function scale(bench: Bench): Promise<Figure[]> {
  const paths = { program: bench.program, socket: bench.agent.socket }
  const pair = {
    ours: new Ours("ours17", SUBNETS[0], paths, { ipMasq: false }),
    peer: new Peer("peer18", SUBNETS[1], bench, { ipMasq: false }),
  }
  const few: Stage = { ours: [], peer: [], hostLocal: [] }
  const many: Stage = { ours: [], peer: [], hostLocal: [] }
  const [own = "", target = ""] = makeNamespaces("scale-", 2)
  populate(bench, pair, [own], FEW, 0)
  measure(pair, target, few, bench.n / 2)
  const crowd = makeNamespaces("crowd-", Math.ceil((MANY - FEW) / PER_NAMESPACE))
  populate(bench, pair, crowd, MANY, FEW)
  measure(pair, target, many, bench.n)
  const memory = bench.agent.memory()
  for (let index = FEW; index < MANY; index++) callPlugin(pair.peer.ipam("DEL", member(index, own)))
  removeNamespaces(crowd)
  await bench.agent.untilAttached(FEW)
  measure(pair, target, few, bench.n / 2)
  removeNamespaces([own, target])
  await bench.agent.untilAttached(0)
  pair.peer.forgetLeases()
  return figuresOf(few, many, memory)
}

/** Attaches our endpoints by the socket, and gives the peer as many leases by its own IPAM. */
function populate(bench: Bench, pair: Pair, netns: readonly string[], to: number, from: number) {
  for (let index = from; index < to; index++) {
    const attachment = member(index, netns[Math.floor((index - from) / PER_NAMESPACE)] ?? "")
    bench.agent.cni("ADD", pair.ours, attachment)
    callPlugin(pair.peer.ipam("ADD", attachment))
  }
}

function member(index: number, netns: string) {
  return { containerId: `crowd${index}`, netns, ifname: `eth${index}` }
}

function measure(pair: Pair, netns: string, stage: Stage, rounds: number): void {
  const unused: number[] = []
  for (let round = 0; round < rounds; round++) {
    for (const contender of inTurns(round, pair)) {
      const attachment = { containerId: `scale${round}`, netns, ifname: "eth0" }
      timed(contender, "ADD", attachment, timesOf(contender, stage))
      timed(contender, "DEL", attachment, unused)
    }
    const lease = { containerId: `lease${round}`, netns, ifname: "eth0" }
    stage.hostLocal.push(callPlugin(pair.peer.ipam("ADD", lease)).ms)
    callPlugin(pair.peer.ipam("DEL", lease))
  }
}

function figuresOf(few: Stage, many: Stage, memory: number): Figure[] {
  const growth = (name: string, side: keyof Stage, limit?: number): Figure => ({
    name,
    unit: "ms",
    ours: summarize(many[side]),
    other: { name: `at ${FEW}`, summary: summarize(few[side]) },
    bar: limit === undefined ? undefined : { of: "ratio", limit },
  })
  return [
    {
      ...growth(`ADD at ${MANY} endpoints`, "ours", 1.3),
      note: `all on one bridge; the left column is ${MANY}, the other ${FEW}, also for the peer`,
    },
    growth(`the peer's ADD at ${MANY} leases`, "peer"),
    growth(`host-local's part of it at ${MANY} leases`, "hostLocal"),
    { name: `RSS of the agent at ${MANY} endpoints`, unit: "MB", ours: summarize([memory]) },
  ]
}
