/** Comparing what containers were told with rows, pool and kernel. All calls are answered by then. */
import type { EndpointReport, StatusReport } from "../../src/agent/report.ts"
import { run } from "../clients/program.ts"
import { askCni, askOperation } from "../netns/control_call.ts"
import { ownLinks } from "../netns/lab.ts"
import type { Container } from "./container.ts"

/** How long the kernel and the agent may take to notice that a namespace is gone. */
const ORPHAN_MS = 5000

/**
 * Looks at everything.
 *
 * @returns what is wrong, one sentence each
 */
export async function inspect(
  socket: string,
  network: string,
  containers: readonly Container[],
): Promise<string[]> {
  await orphansReleased(socket, containers)
  const rows = await askOperation<EndpointReport[]>(socket, "endpoints")
  const status = await askOperation<StatusReport>(socket, "status")
  return [
    ...rowFaults(rows, containers),
    ...addressFaults(rows),
    ...poolFaults(rows, status, network),
    ...(await linkFaults(rows)),
    ...(await masqueradeFaults(rows, containers)),
    ...(await containerFaults(socket, containers)),
  ]
}

/** A container without namespace loses its row by the agent's own doing. */
async function orphansReleased(socket: string, containers: readonly Container[]): Promise<void> {
  const orphans = new Set(
    containers.filter(({ belief }) => belief.is === "orphaned").map(({ id }) => id),
  )
  const until = performance.now() + ORPHAN_MS
  for (;;) {
    const rows = await askOperation<EndpointReport[]>(socket, "endpoints")
    if (!rows.some(({ containerId }) => orphans.has(containerId))) return
    // What is left is found by the comparison.
    if (performance.now() > until) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function rowFaults(rows: readonly EndpointReport[], containers: readonly Container[]): string[] {
  const faults: string[] = []
  const byId = new Map(rows.map((row) => [row.containerId, row]))
  if (byId.size !== rows.length) faults.push("a container has two rows")
  for (const row of rows) {
    if (row.state !== "attached") faults.push(`${row.containerId} is ${row.state} after a start`)
  }
  for (const { id, belief, addresses } of containers) {
    const row = byId.get(id)
    byId.delete(id)
    if (belief.is === "unknown") continue
    if (belief.is !== "present") {
      if (row !== undefined) faults.push(`${id} is ${belief.is} and has a row`)
    } else if (row === undefined) {
      faults.push(`${id} was attached and has no row`)
    } else if (row.addresses.toSorted().join() !== addresses.join()) {
      faults.push(`${id} was told ${addresses}, its row has ${row.addresses}`)
    }
  }
  for (const id of byId.keys()) faults.push(`${id} has a row and nobody attached it`)
  return faults
}

function addressFaults(rows: readonly EndpointReport[]): string[] {
  const owners = new Map<string, string>()
  const faults: string[] = []
  for (const { addresses, containerId } of rows) {
    for (const address of addresses) {
      const other = owners.get(address)
      if (other !== undefined) faults.push(`${address} is of ${other} and of ${containerId}`)
      owners.set(address, containerId)
    }
  }
  return faults
}

function poolFaults(
  rows: readonly EndpointReport[],
  status: StatusReport,
  network: string,
): string[] {
  const subnets = status.networks.find(({ name }) => name === network)?.subnets ?? []
  return subnets.flatMap(({ cidr, size, used, quarantined, free }) => {
    const ipv6 = cidr.includes(":")
    const held = rows.flatMap((row) => row.addresses).filter((one) => one.includes(":") === ipv6)
    const faults: string[] = []
    if (used !== held.length) {
      faults.push(`${cidr}: ${used} addresses are used, the rows hold ${held.length}`)
    }
    if (used + quarantined + free !== size) {
      faults.push(
        `${cidr}: ${used} used, ${quarantined} quarantined and ${free} free are not ${size}`,
      )
    }
    return faults
  })
}

async function linkFaults(rows: readonly EndpointReport[]): Promise<string[]> {
  const links = new Set(await ownLinks())
  const faults: string[] = []
  for (const { containerId, hostLink } of rows) {
    if (hostLink === null || !links.delete(hostLink)) {
      faults.push(`${containerId} has a row and no link ${hostLink}`)
    }
  }
  for (const name of links) faults.push(`${name} is a stray link`)
  return faults
}

/** The elements of the sets of masqueraded addresses, by what `nft` says. */
async function masqueradeFaults(
  rows: readonly EndpointReport[],
  containers: readonly Container[],
): Promise<string[]> {
  const masked = new Set(containers.filter(({ conf }) => conf.ipMasq === true).map(({ id }) => id))
  const wanted = rows
    .filter(({ containerId }) => masked.has(containerId))
    .flatMap(({ addresses }) => addresses.map((address) => address.split("/")[0]))
  const found: unknown[] = []
  for (const set of ["masquerade4", "masquerade6"]) {
    const json = JSON.parse(await run(["nft", "-j", "list", "set", "inet", "lariat", set]))
    for (const item of json.nftables) found.push(...(item.set?.elem ?? []))
  }
  const said = found.map((item) =>
    typeof item === "string" ? item : (item as { elem: { val: string } }).elem.val,
  )
  if (said.toSorted().join() === wanted.toSorted().join()) return []
  return [`masqueraded are ${said.sort()}, they should be ${wanted.sort()}`]
}

/** Each attached container from inside, by CHECK. */
async function containerFaults(
  socket: string,
  containers: readonly Container[],
): Promise<string[]> {
  const faults: string[] = []
  for (const container of containers) {
    if (container.belief.is !== "present") continue
    const conf = { ...container.conf, prevResult: container.belief.result }
    const { exit, json } = await askCni(socket, "CHECK", container, conf)
    if (exit !== 0) faults.push(`CHECK ${container.id}: ${json.msg}`)
  }
  return faults
}
