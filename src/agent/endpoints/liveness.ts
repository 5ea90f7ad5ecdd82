import { type Netns, openNetns } from "../../sys/netns/netns.ts"
import type { AgentContext } from "../context.ts"
import type { EndpointRow } from "../state/rows.ts"

/**
 * Whether what an endpoint belongs to still exists. A port lives as long as its host link: the
 * kernel deletes that with the container's namespace, whatever became of the namespace's path. An
 * address on somebody else's interface has only the path to go by.
 */
export function isAlive(context: AgentContext, row: EndpointRow): boolean {
  if (row.bootId !== context.bootId) return false
  if (row.kind === "port") {
    return row.hostName !== undefined && context.kernel.link(row.hostName) !== undefined
  }
  if (row.netns === undefined) return true
  const netns = openOwnNetns(row)
  netns?.close()
  return netns !== undefined
}

/**
 * Opens the namespace in which an endpoint was made, or undefined when it is gone. A path can be
 * reused by another namespace: device and inode tell.
 */
export function openOwnNetns(row: Pick<EndpointRow, "netns">): Netns | undefined {
  if (row.netns === undefined) return undefined
  let netns: Netns
  try {
    netns = openNetns(row.netns.path)
  } catch {
    return undefined
  }
  if (netns.dev === row.netns.dev && netns.ino === row.netns.ino) return netns
  netns.close()
  return undefined
}
