/** Comparing what agents say and kernels have with the model, when everything is at rest. */
import type { PeerReport } from "../../src/agent/cluster/report.ts"
import type { EndpointReport, StatusReport } from "../../src/agent/report.ts"
import { listAddresses } from "../../src/netlink/route/addr.ts"
import { problemsOf } from "../cluster/agents.ts"
import { getMetadata } from "../netns/container.ts"
import { ping } from "../vm/ping.ts"
import { UPLINK } from "../vm/underlay.ts"
import { noteOf } from "./host_file.ts"
import type { ModelContainer } from "./model_container.ts"
import type { ModelHost } from "./model_host.ts"

const GATEWAYS = ["10.42.0.1", "fd00:42::1"]
/** RFC 7348: headers of IPv4, UDP, VXLAN and Ethernet. */
const VXLAN_BYTES = 50

/** What is said of containers whose block of addresses is not their host's. */
const STRANDED = /containers here have addresses of /

/**
 * What shows all that an agent may have put into a kernel. Neighbours that a kernel heard of age out,
 * as do the sources of which nft counts what they ask.
 */
const LISTS = [
  "nft list ruleset",
  "ip neighbour show nud permanent",
  "ip neighbour show proxy",
  "ip route show table all",
] as const
/** A set of nft whose elements age out. */
const AGEING_SET = /\bset \S+ \{[^{}]*\btimeout\b[^{}]*(\{[^{}]*\})?[^{}]*\}/g

/** One sentence for each thing that is not as it should be. */
export async function faultsOf(hosts: readonly ModelHost[]): Promise<string[]> {
  const faults: string[] = []
  for (const host of hosts) {
    const others = hosts.filter((one) => one !== host)
    const found = [
      ...(await endpointFaults(host)),
      ...(await statusFaults(host)),
      ...(await peerFaults(host, others)),
      ...linkFaults(host),
    ]
    faults.push(...found.map((fault) => `${host.host.name}: ${fault}`))
  }
  // What is not even said to be so need not be tried.
  if (faults.length > 0) return faults
  for (const host of hosts) {
    faults.push(...(await checkFaults(host)), ...(await neighbourFaults(host)))
  }
  faults.push(...(await meshFaults(hosts)), ...(await metadataFaults(hosts)))
  return faults
}

/** What hosts still have of containers that are detached, by the addresses that they had. */
export async function leftoversOf(
  hosts: readonly ModelHost[],
  addresses: Iterable<string>,
): Promise<string[]> {
  const faults: string[] = []
  const had = [...addresses]
  for (const { host } of hosts) {
    for (const command of LISTS) {
      const text = (await host.netns.run(...command.split(" "))).replace(AGEING_SET, "")
      const words = new Set(text.split(/[\s,]+/))
      const left = had.filter((address) => words.has(address))
      if (left.length > 0) faults.push(`${host.name}: ${command} has ${left}`)
    }
    const { networks } = await host.ask<StatusReport>("status")
    for (const { cidr, used, quarantined } of networks.flatMap(({ subnets }) => subnets)) {
      faults.push(
        ...differences(`${host.name}: ${cidr} used and resting`, [used, quarantined], [0, 0]),
      )
    }
  }
  return faults
}

async function endpointFaults({ host, present }: ModelHost): Promise<string[]> {
  const said = (await host.ask<EndpointReport[]>("endpoints")).map(
    ({ containerId, state, addresses }) => `${containerId} ${state} ${addresses.toSorted()}`,
  )
  const wanted = present.map(({ id, prefixes }) => `${id} attached ${prefixes}`)
  const faults = differences("endpoints", said, wanted)
  for (const container of present) {
    const kernel = addressesIn(container)
    faults.push(...differences(`addresses in ${container.id}`, kernel, container.prefixes))
  }
  return faults
}

/** As the kernel has them, link-local ones left out. */
function addressesIn({ netns }: ModelContainer): string[] {
  const { index } = netns.link("eth0")
  return listAddresses(netns.route, index)
    .map(({ address }) => address)
    .filter((address) => !address.startsWith("fe80:"))
}

async function statusFaults(host: ModelHost): Promise<string[]> {
  const status = await host.host.ask<StatusReport>("status")
  const { present, file, address, runningName } = host
  const { attached, attaching, detaching } = status.endpoints
  return [
    ...differences("name", [status.host.name], [runningName]),
    ...differences("address", [status.host.ip], [address]),
    ...differences("endpoints counted", [attached, attaching, detaching], [present.length, 0, 0]),
    ...differences(
      "networks",
      status.networks.map(({ name }) => name),
      [file.name],
    ),
    ...poolFaults(status, present),
    ...problemFaults(status, host),
  ]
}

/** A container of a block that is not its host's is counted where the host had to leave the block. */
function poolFaults({ networks }: StatusReport, present: readonly ModelContainer[]): string[] {
  const least = present.filter(({ isStranded }) => !isStranded).length
  return networks.flatMap(({ subnets }) =>
    subnets.flatMap(({ cidr, size, used, quarantined, free }) => [
      ...(used < least || used > present.length ? [`${cidr}: ${used} used, not ${least}`] : []),
      ...differences(`${cidr} in all`, [used + quarantined + free], [size]),
    ]),
  )
}

/** What stands as a problem must be one, and what is one must stand. */
function problemFaults({ problems }: StatusReport, host: ModelHost): string[] {
  const { file, present } = host
  const wanted = [new RegExp(`${noteOf(file)} is not a known key`)]
  const allowed = present.some(({ isStranded }) => isStranded) ? [STRANDED] : []
  if (isMtuOdd(host)) wanted.push(/^network \w+: .*(mtu|MTU)/)
  const said = problems.map(({ what }) => what)
  return [
    ...wanted
      .filter((one) => !said.some((what) => one.test(what)))
      .map((one) => `status lacks the problem ${one}`),
    ...said
      .filter((what) => ![...wanted, ...allowed].some((one) => one.test(what)))
      .map((what) => `status has the problem: ${what}`),
  ]
}

/** Whether what the file says of MTUs wastes bytes, or cannot fit. */
function isMtuOdd({ file, underlayMtu }: ModelHost): boolean {
  const { mtu = underlayMtu, overhead = "auto" } = file
  return mtu > underlayMtu || (overhead !== "auto" && overhead !== VXLAN_BYTES)
}

async function peerFaults({ host }: ModelHost, others: readonly ModelHost[]): Promise<string[]> {
  const peers = (await host.ask<PeerReport[]>("peers")).filter(({ alive }) => alive)
  const said = peers.map(
    ({ name, address, paths }) => `${name} ${address} ${paths.map(({ state }) => state)}`,
  )
  const wanted = others.map(({ runningName, address }) => `${runningName} ${address} up`)
  return differences("peers", said, wanted)
}

function linkFaults({ host, file, present, underlayMtu }: ModelHost): string[] {
  const links = host.netns.links()
  const bridges = links.filter(({ kind }) => kind === "bridge").map(({ name }) => name)
  const ports = links.filter(({ name }) => name.startsWith("lrt"))
  const overlays = links.filter(({ kind }) => kind === "vxlan").map(({ mtu }) => mtu)
  const bridge = links.find(({ name }) => name === file.bridge)
  return [
    // It is made for the first container.
    ...differences("bridges", bridges, present.length + bridges.length > 0 ? [file.bridge] : []),
    ...differences("ports", [ports.length], [present.length]),
    ...ports
      .filter(({ master }) => master !== bridge?.index)
      .map(({ name }) => `${name} is not on ${file.bridge}`),
    ...differences("MTU of overlays", overlays, [underlayMtu - VXLAN_BYTES]),
    ...differences("MTU of the uplink", [host.netns.link(UPLINK).mtu], [underlayMtu]),
  ]
}

async function checkFaults({ present }: ModelHost): Promise<string[]> {
  const faults: string[] = []
  for (const container of present) {
    const outcome = await container.check()
    if (outcome !== "done") faults.push(`CHECK ${container.id}: ${JSON.stringify(outcome)}`)
  }
  return faults
}

/** From each container to the gateways, and to the next one on its host. */
async function neighbourFaults({ present }: ModelHost): Promise<string[]> {
  const faults: string[] = []
  for (const [index, from] of present.entries()) {
    const to = present[(index + 1) % present.length]
    const targets = to === undefined ? [] : [to.address(4), to.address(6)]
    for (const target of [...GATEWAYS, ...targets]) faults.push(...(await pingFaults(from, target)))
  }
  return faults
}

/** From one container of each host to all of the others that others can reach. */
async function meshFaults(hosts: readonly ModelHost[]): Promise<string[]> {
  const faults: string[] = []
  for (const host of hosts) {
    const from = host.present.find(({ isStranded }) => !isStranded)
    if (from === undefined) continue
    for (const other of hosts.filter((one) => one !== host)) {
      const isTold = (await problemsOf(other.host)).some((what) => STRANDED.test(what))
      for (const to of other.present) {
        const found: string[] = []
        for (const family of [4, 6] as const) {
          found.push(...(await pingFaults(from, to.address(family))))
        }
        if (!(to.isStranded && isTold)) faults.push(...found)
      }
    }
  }
  return faults
}

/** Of all containers of all hosts that are told of, by any container. */
async function metadataFaults(hosts: readonly ModelHost[]): Promise<string[]> {
  const faults: string[] = []
  for (const host of hosts) {
    const [asker] = host.present
    if (asker === undefined) continue
    const isSure = (one: ModelContainer) => host.present.includes(one) || !one.isStranded
    const all = hosts.flatMap(({ present }) => present)
    const unsure = all.filter((one) => !isSure(one)).map((one) => one.address(4))
    const { body } = await getMetadata(asker.id, "/latest/containers", "application/json")
    const said: { primary_ip: string }[] = JSON.parse(body)
    faults.push(
      ...differences(
        `containers by the metadata of ${host.host.name}`,
        said.map(({ primary_ip }) => primary_ip).filter((one) => !unsure.includes(one)),
        all.filter(isSure).map((one) => one.address(4)),
      ),
    )
  }
  return faults
}

async function pingFaults(from: ModelContainer, target: string): Promise<string[]> {
  const { received } = await ping(from.netns, target)
  return received > 0 ? [] : [`no answer from ${target} to ${from.id}`]
}

function differences<T>(what: string, said: readonly T[], wanted: readonly T[]): string[] {
  const [one, other] = [said.toSorted().join("; "), wanted.toSorted().join("; ")]
  return one === other ? [] : [`${what}: ${one}, not ${other}`]
}
