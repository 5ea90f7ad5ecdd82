/** A hundred ADDs at once. */
import type { Bench } from "./bench.ts"
import { type Contender, Ours, Peer } from "./contender.ts"
import type { Figure } from "./figure.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { settle, startPlugin } from "./plugin_process.ts"
import { summarize } from "./statistics.ts"

const AT_ONCE = 100
const ROUNDS = 5
const SETTLE_MS = 500

/** All must succeed, each with an address of its own. */
export async function burst(bench: Bench): Promise<Figure[]> {
  const paths = { program: bench.program, socket: bench.agent.socket }
  const ours = new Ours("ours19", "10.19.0.0/16", paths, { ipMasq: false })
  const peer = new Peer("peer20", "10.20.0.0/16", bench, { ipMasq: false })
  const netns = makeNamespaces("burst-", AT_ONCE)
  const times = { adds: { ours: [], peer: [] }, dels: { ours: [], peer: [] } } satisfies Times
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? [ours, peer] : [peer, ours]
    for (const contender of order) {
      const side = contender === ours ? "ours" : "peer"
      await allAtOnce(contender, "ADD", netns, times.adds[side])
      await allAtOnce(contender, "DEL", netns, times.dels[side])
    }
  }
  removeNamespaces(netns)
  return [
    {
      ...figure(`${AT_ONCE} ADDs at once`, times.adds),
      note: "from the first fork to the last wait; all succeeded, no address twice",
    },
    figure(`${AT_ONCE} DELs at once`, times.dels),
  ]
}

interface Times {
  readonly adds: { ours: number[]; peer: number[] }
  readonly dels: { ours: number[]; peer: number[] }
}

async function allAtOnce(
  contender: Contender,
  command: "ADD" | "DEL",
  netns: readonly string[],
  times: number[],
): Promise<void> {
  const started = performance.now()
  const answers = await Promise.all(
    netns.map((path, index) => {
      const attachment = { containerId: `burst${index}`, netns: path, ifname: "eth0" }
      return startPlugin(contender.call(command, attachment))
    }),
  )
  times.push(performance.now() - started)
  settle(SETTLE_MS)
  if (command === "DEL") return
  const addresses = answers.map(({ stdout }) => JSON.parse(stdout).ips[0].address)
  if (new Set(addresses).size !== netns.length) {
    throw new Error(`${contender.name} gave an address twice: ${addresses.sort().join(" ")}`)
  }
}

function figure(name: string, { ours, peer }: { ours: number[]; peer: number[] }): Figure {
  return {
    name,
    unit: "ms",
    ours: summarize(ours),
    other: { name: "bridge+host-local", summary: summarize(peer) },
  }
}
