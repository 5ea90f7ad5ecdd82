import type { Bridge } from "../../endpoint/bridge.ts"
import { restorePort } from "../../endpoint/restore_port.ts"
import { messageOf } from "../../errors.ts"
import type { AgentContext } from "../context.ts"
import { specOf } from "../networks/endpoint_spec.ts"
import type { EndpointRow } from "../state/rows.ts"

/**
 * Puts an endpoint's port back as it was made, where somebody changed it: on its bridge, up, with
 * its MTU. What is right is not touched.
 */
export function repairPort(context: AgentContext, row: EndpointRow): void {
  const { bridge, bridgeAddresses, hairpin } = specOf(row)
  if (row.kind !== "port" || row.hostName === undefined || bridge === undefined) return
  try {
    const found = context.bridges.ensure(bridge, bridgeAddresses)
    for (const what of mendedBridge(found)) context.health.repaired(`${found.name}: ${what}`)
    const mended = restorePort(context.kernel, row.hostName, {
      bridgeIndex: found.index,
      mtu: row.mtu,
      hairpin,
    })
    context.index.unmended.delete(row)
    context.health.clear(`port/${row.hostName}`)
    for (const what of mended) context.health.repaired(`${row.hostName}: ${what}`)
  } catch (error) {
    context.index.unmended.add(row)
    context.health.raise(`port/${row.hostName}`, {
      severity: "error",
      what: `the port ${row.hostName} of ${row.containerId}/${row.ifname} cannot be mended: ${messageOf(error)}`,
      hint: "remove the cause: the agent tries again when a link appears, and when it starts",
    })
  }
}

function mendedBridge({ created, broughtUp, addedAddresses }: Bridge): string[] {
  const mended: string[] = []
  if (created) mended.push("made again")
  if (broughtUp) mended.push("brought up")
  if (addedAddresses.length > 0) mended.push(`${addedAddresses.join(", ")} put back`)
  return mended
}
