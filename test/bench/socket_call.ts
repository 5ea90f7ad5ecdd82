/** What the agent takes: its control socket asked from this process, no plugin started. */
import { ensureBridge } from "../../src/endpoint/bridge.ts"
import { createPort } from "../../src/endpoint/create_port.ts"
import { Kernel } from "../../src/endpoint/kernel.ts"
import { deleteLink } from "../../src/netlink/route/link.ts"
import { openNetns } from "../../src/sys/netns/netns.ts"
import { type Bench, SETTLE_MS } from "./bench.ts"
import { Ours } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { settle } from "./plugin_process.ts"
import { summarize } from "./statistics.ts"

const WARM_UP = 20

/** An attach must not take longer, from the read request to the answer. */
const ATTACH_MS = 1

/** Times of one mode, milliseconds. */
interface Times {
  readonly adds: number[]
  readonly dels: number[]
  /** The same port made by this process: what the kernel takes, and nothing of the agent. */
  readonly ports: number[]
}

/** Attach and detach as the plugin asks for them. */
export function socketCalls(bench: Bench): Figure[] {
  const netns = makeNamespaces("socket-", 2)
  const plain = measure(bench, "10.16.0.0/16", netns, { ipMasq: false })
  const agent = bench.agent.calls()
  const masqueraded = measure(bench, "10.15.0.0/16", netns, { ipMasq: true })
  removeNamespaces(netns)
  const note =
    "one request of the control socket and its answer, asked by a process that runs already"
  const figures = agent.map(({ command, count, medianMs, p90Ms }): Figure => {
    const ours = { n: count, median: medianMs, p90: p90Ms, min: medianMs, max: p90Ms }
    const figure: Figure = { name: `${command} in the agent`, unit: "ms", ours }
    if (command !== "ADD") return figure
    return {
      ...figure,
      other: { name: "its port alone", summary: summarize(plain.ports) },
      bar: { of: "value", limit: ATTACH_MS },
      note: "from the read request to the answer, as the agent says in its status; beside it what making the same port takes, kernel and netlink, without the agent",
    }
  })
  return [
    ...figures,
    { name: "ADD by the socket, no ipMasq", unit: "ms", ours: summarize(plain.adds), note },
    { name: "ADD by the socket, ipMasq", unit: "ms", ours: summarize(masqueraded.adds) },
    { name: "DEL by the socket, no ipMasq", unit: "ms", ours: summarize(plain.dels) },
    { name: "DEL by the socket, ipMasq", unit: "ms", ours: summarize(masqueraded.dels) },
  ]
}

function measure(
  bench: Bench,
  subnet: string,
  [target = "", other = ""]: readonly string[],
  options: { ipMasq: boolean },
): Times {
  const paths = { program: bench.program, socket: bench.agent.socket }
  const ours = new Ours(`ours${subnet.split(".")[1]}`, subnet, paths, options)
  const times: Times = { adds: [], dels: [], ports: [] }
  using port = new BarePort(other)
  for (let round = -WARM_UP; round < bench.n; round++) {
    const attachment = { containerId: `s${round}`, netns: target, ifname: "eth0" }
    const taken = [
      timed(() => bench.agent.cni("ADD", ours, attachment)),
      timed(() => bench.agent.cni("DEL", ours, attachment)),
    ] as const
    settle(SETTLE_MS)
    const made = timed(() => port.make())
    port.remove()
    settle(SETTLE_MS)
    if (round < 0) continue
    times.adds.push(taken[0])
    times.dels.push(taken[1])
    times.ports.push(made)
  }
  return times
}

function timed(work: () => void): number {
  const started = performance.now()
  work()
  return performance.now() - started
}

/** A port as the agent makes it, on a bridge of its own. */
class BarePort {
  readonly #kernel = Kernel.open()
  readonly #netns: ReturnType<typeof openNetns>
  readonly #bridgeIndex: number

  constructor(netns: string) {
    this.#netns = openNetns(netns)
    const bridge = { name: "bare", mtu: 1500, create: true, promisc: false }
    const made = ensureBridge(this.#kernel, { ...bridge, addresses: ["10.25.0.1/16"] })
    this.#bridgeIndex = made.index
  }

  make(): void {
    createPort(this.#kernel, this.#netns, {
      hostName: "bareport",
      ifname: "eth0",
      bridgeIndex: this.#bridgeIndex,
      mac: "02:00:00:00:00:02",
      mtu: 1500,
      addresses: ["10.25.0.2/16"],
      routes: [{ dst: "0.0.0.0/0", gw: "10.25.0.1" }],
      hairpin: true,
      alias: "benchmark",
    })
  }

  remove(): void {
    this.#kernel.apply([deleteLink("bareport")])
  }

  [Symbol.dispose](): void {
    this.#kernel.apply([deleteLink("bare")])
    this.#netns.close()
    this.#kernel.close()
  }
}
