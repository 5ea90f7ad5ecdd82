/** What agents of a lab say, and waiting until they say it. */
import { expect } from "bun:test"
import type { BlockReport, PeerReport } from "../../src/agent/cluster/report.ts"
import type { StatusReport } from "../../src/agent/report.ts"
import { waitFor } from "../clients/program.ts"
import type { LabHost } from "../vm/lab_host.ts"
import type { UdpStream } from "../vm/traffic.ts"

/** Until a host reaches exactly these, by name. */
export async function whole(host: LabHost, others: readonly string[]): Promise<void> {
  await host.until<PeerReport[]>("peers", (peers) => {
    const up = peers.filter(({ alive, paths }) => alive && paths[0]?.state === "up")
    return up.map(({ name }) => name).join() === others.join()
  })
}

export function peersOf(host: LabHost): Promise<PeerReport[]> {
  return host.ask<PeerReport[]>("peers")
}

export async function problemsOf(host: LabHost): Promise<string[]> {
  return (await host.ask<StatusReport>("status")).problems.map(({ what }) => what)
}

/** The blocks that a host holds by its own word. */
export async function blocksOf(host: LabHost): Promise<string[]> {
  return (await host.ask<BlockReport[]>("blocks"))
    .filter(({ mine }) => mine)
    .map(({ block }) => block)
}

/** Until the store is there for a host, and it complains of nothing. */
export async function calm(host: LabHost): Promise<void> {
  let last: unknown
  const quiet = async () => {
    const { problems, cluster } = await host.ask<StatusReport>("status")
    last = { problems, store: cluster?.store }
    return (problems.length === 0 && cluster?.store.reachable) || undefined
  }
  await waitFor("quiet", quiet, 20_000).catch((cause: unknown) => {
    throw new Error(`${host.name} said last: ${JSON.stringify(last)}`, { cause })
  })
}

/** Ends a stream, of which each datagram came once. */
export async function expectUntouched(stream: UdpStream): Promise<void> {
  const { lost, duplicates, sendErrors } = await stream.stop()
  expect({ lost, duplicates, sendErrors }).toEqual({ lost: [], duplicates: 0, sendErrors: 0 })
}

export async function idOf(host: LabHost): Promise<string> {
  return (await host.ask<StatusReport>("status")).host.uuid
}
