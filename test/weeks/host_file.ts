/** The networks' YAML of a host, and how people edit it. */
import { stringify } from "yaml"
import type { Conf } from "../netns/lab.ts"
import type { Random } from "../netns/random.ts"

export const SUBNETS = ["10.42.0.0/16", "fd00:42::/64"] as const

const NAMES = ["mesh", "overlay", "edge"] as const
const BRIDGES = ["mesh0", "br-edge", "lan7"] as const
/** From and to which IPv4 addresses are given; undefined: where the key is not there. */
const RANGES = [
  [undefined, undefined],
  ["10.42.0.10", "10.42.255.200"],
  [undefined, "10.42.250.250"],
  ["10.42.1.0", undefined],
] as const
const MTUS = [undefined, 1500, 1400] as const
const OVERHEADS = [undefined, "auto", 50, 98] as const

/** What the file says. */
export interface HostFile {
  readonly name: (typeof NAMES)[number]
  readonly bridge: (typeof BRIDGES)[number]
  readonly range: (typeof RANGES)[number]
  readonly mtu: (typeof MTUS)[number]
  readonly overhead: (typeof OVERHEADS)[number]
  readonly search: string | undefined
  readonly hairpin: boolean
  /** A key that the agent warns of: by its number it is known which text an agent has read. */
  readonly edition: number
}

export const FIRST_FILE: HostFile = {
  name: "mesh",
  bridge: "mesh0",
  range: RANGES[0],
  mtu: undefined,
  overhead: undefined,
  search: undefined,
  hairpin: false,
  edition: 0,
}

/** One other value for one of the keys that a host may have of its own. */
export function edited(random: Random, file: HostFile): Partial<HostFile> {
  const edits: readonly Partial<HostFile>[] = [
    { bridge: other(random, BRIDGES, file.bridge) },
    { mtu: other(random, MTUS, file.mtu) },
    { overhead: other(random, OVERHEADS, file.overhead) },
    { search: other(random, [undefined, "edge.example", "lab.example"], file.search) },
    { hairpin: !file.hairpin },
    // The same said in another way.
    {},
  ]
  return random.pick(edits)
}

/** Another name or range, which all hosts are to have. */
export function editedForAll(random: Random, file: HostFile): Partial<HostFile> {
  return random.chance(0.5)
    ? { name: other(random, NAMES, file.name) }
    : { range: other(random, RANGES, file.range) }
}

/** Any of these but one; undefined may be among them. */
function other<T>(random: Random, from: readonly T[], than: T): T {
  const others = from.filter((one) => one !== than)
  const at = random.below(others.length)
  return others.slice(at)[0] as T
}

/** What containers are attached with. */
export function confOf({ name, bridge, mtu, overhead, hairpin }: HostFile): Conf {
  return {
    cniVersion: "1.1.0",
    name,
    type: "rancher-bridge",
    bridge,
    bridgeSubnet: SUBNETS,
    isDefaultGateway: true,
    hostNat: true,
    hairpinMode: hairpin,
    ...(mtu === undefined ? {} : { mtu }),
    ...(overhead === undefined ? {} : { linkMTUOverhead: overhead }),
    ipam: { type: "rancher-cni-ipam" },
  }
}

/** The file's text: keys in any order, with remarks between them. */
export function textOf(random: Random, file: HostFile): string {
  const [start_address, end_address] = file.range
  const [network4, network6] = SUBNETS
  const document = {
    mesh: {
      network_driver: {
        name: "lab",
        driver: "vxlan",
        [noteOf(file)]: true,
        default_network: {
          name: file.name,
          ...(file.search === undefined ? {} : { dns_search: [file.search] }),
          subnets: [
            {
              network_address: network4,
              ...(start_address === undefined ? {} : { start_address }),
              ...(end_address === undefined ? {} : { end_address }),
            },
            { network_address: network6 },
          ],
        },
        cni_config: { "10-mesh.conf": confOf(file) },
      },
    },
  }
  const text = stringify(shuffled(random, document), { indent: random.pick([2, 4]) })
  return text
    .split("\n")
    .flatMap((line) =>
      random.chance(0.1) ? [`# ${"why ".repeat(random.below(5))}`, line] : [line],
    )
    .join("\n")
}

/** The key that the agent warns of. */
export function noteOf({ edition }: HostFile): string {
  return `note_${edition}`
}

/** A text that no agent may take in. */
export function brokenTextOf(random: Random, file: HostFile): string {
  const text = textOf(random, file)
  return random.pick([
    text.replace(/network_address: (.*)/, "network_address: 10.42.0.0/33"),
    text.replace("driver: vxlan", "driver: telepathy"),
    text.replace(/^( *)default_network:/m, "$1default_network: ["),
    text.replace(/network_address: 10.*/, "$&\n\tgateway: 10.42.0.1"),
  ])
}

function shuffled(random: Random, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => shuffled(random, one))
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value)
  for (let at = entries.length - 1; at > 0; at--) {
    const swap = random.below(at + 1)
    const [one, another] = [entries[at], entries[swap]]
    if (one === undefined || another === undefined) continue
    entries[at] = another
    entries[swap] = one
  }
  return Object.fromEntries(entries.map(([key, one]) => [key, shuffled(random, one)]))
}
