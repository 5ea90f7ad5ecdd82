/** What an agent must look like after it was fuzzed: alive, and nothing of it has grown. */
import { expect } from "bun:test"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import type { EndpointReport } from "../../src/agent/report.ts"
import { run, waitFor } from "../clients/program.ts"
import { askCni, askOperation } from "../netns/control_call.ts"
import { type Lab, ownLinks, SEED_CONF } from "../netns/lab.ts"

/** What a process holds. */
export interface Holdings {
  readonly pid: number
  readonly fds: number
  /** Bytes. */
  readonly rss: number
}

/** The collector takes its time: 80,000 inputs leave it between 110 and 180 MB, with no trend. */
const RSS_GROWTH = 96 * 1024 * 1024

/** Sockets that the agent keeps for deleting links, as many as it once needed at a time. */
const DELETERS = 8

export function holdingsOf(pid: number): Holdings {
  const fds = readdirSync(`/proc/${pid}/fd`).length
  const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return { pid, fds, rss: Number(kibibytes) * 1024 }
}

/** Waits until the agent holds no more descriptors than before. @throws Error that names them */
async function descriptorsClosed({ pid }: Lab, before: Holdings): Promise<void> {
  try {
    await waitFor("descriptors to be closed", () =>
      holdingsOf(pid).fds <= before.fds + DELETERS ? true : undefined,
    )
  } catch (cause) {
    const targets = readdirSync(`/proc/${pid}/fd`).map((fd) =>
      readlinkSync(`/proc/${pid}/fd/${fd}`),
    )
    throw new Error(`${before.fds} descriptors have become ${targets.join(", ")}`, { cause })
  }
}

/** Uses the agent once as it is meant to be, so that all it opens lazily is open. */
export async function useWell(lab: Lab, id: string): Promise<void> {
  const attachment = { id, netns: `/run/netns/${id}`, ifname: "eth0" }
  for (const command of ["ADD", "DEL"]) {
    const { exit, stdout } = await askCni(lab.socket, command, attachment, SEED_CONF)
    if (exit !== 0) throw new Error(`${command} ${id}: ${stdout}`)
  }
}

/** Detaches whatever is attached. @throws Error when the agent refuses */
export async function detachAll(lab: Lab): Promise<void> {
  for (const row of await askOperation<EndpointReport[]>(lab.socket, "endpoints")) {
    const attachment = { id: row.containerId, netns: "", ifname: row.ifname }
    const conf = { cniVersion: "1.1.0", name: row.network, type: "rancher-bridge" }
    const { exit, stdout } = await askCni(lab.socket, "DEL", attachment, conf)
    if (exit !== 0) throw new Error(`DEL ${row.containerId}/${row.ifname}: ${stdout}`)
  }
}

/** Compares with what it was before: the same process, no row, link or descriptor more. */
export async function expectUnharmed(
  lab: Lab,
  before: Holdings,
  namespaces: readonly string[],
): Promise<void> {
  expect(await askOperation<EndpointReport[]>(lab.socket, "endpoints")).toEqual([])
  expect(await ownLinks()).toEqual([])
  for (const name of namespaces) {
    const links: { ifname: string }[] = JSON.parse(await run(["ip", "-n", name, "-json", "link"]))
    expect(links.map(({ ifname }) => ifname)).toEqual(["lo"])
    await useWell(lab, name)
  }
  await descriptorsClosed(lab, before)
  const after = holdingsOf(lab.pid)
  expect(after.pid).toBe(before.pid)
  expect(after.rss - before.rss).toBeLessThan(RSS_GROWTH)
}
