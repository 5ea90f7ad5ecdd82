import type { AgentContext } from "../context.ts"
import { addressesOf, nameOf, type SetAsideRow } from "../state/set_aside.ts"
import { openOwnNetns } from "./liveness.ts"

/** How many rows that were set aside are named; of the others the number is told. */
const MOST_NAMED = 5

/** Tells of rows that could not be read, and holds the addresses of their containers. */
export function holdSetAside(context: AgentContext): void {
  const rows = context.stateDatabase.setAside()
  const [first] = rows
  if (first === undefined) return
  for (const one of rows) {
    if (one.source !== "endpoint") continue
    const { network, container_id: containerId, ifname } = one.row
    const key = {
      network: String(network),
      containerId: String(containerId),
      ifname: String(ifname),
    }
    for (const address of addressesOf(one)) {
      if (context.index.byAddress(address) !== undefined) continue
      context.unrecorded.hold({ key, address, isUsed: () => isShown(context, one) })
    }
  }
  const named = rows.slice(0, MOST_NAMED).map((one) => `${nameOf(one)}: ${one.why}`)
  const more = rows.length > MOST_NAMED ? `; and ${rows.length - MOST_NAMED} more` : ""
  context.health.raise("set-aside", {
    severity: "warning",
    what: `${rows.length} rows of the state database cannot be read and were set aside: ${named.join("; ")}${more}`,
    hint: "something else changed lariat.db, or the disk did; they are kept in its table set_aside, and are told of until they are deleted there",
  })
}

/** Whether the kernel shows what an endpoint belongs to that was set aside; also where it says nothing. */
function isShown({ kernel, bootId }: AgentContext, { row }: SetAsideRow): boolean {
  const { boot_id: boot, host_name: hostName } = row
  if (typeof boot === "string" && boot !== bootId) return false
  if (typeof hostName === "string") return kernel.link(hostName) !== undefined
  const { netns_path: path, netns_dev: dev, netns_ino: ino } = row
  if (typeof path !== "string" || !isDecimal(dev) || !isDecimal(ino)) return true
  const netns = openOwnNetns({ netns: { path, dev: BigInt(dev), ino: BigInt(ino) } })
  netns?.close()
  return netns !== undefined
}

function isDecimal(value: unknown): value is string {
  return typeof value === "string" && /^[0-9]+$/.test(value)
}
