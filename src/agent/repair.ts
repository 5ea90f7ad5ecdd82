import { restorePort } from "../endpoint/restore_port.ts"
import { messageOf } from "../errors.ts"
import type { AgentContext } from "./context.ts"
import { specOf } from "./endpoint_spec.ts"
import type { EndpointRow } from "./journal_rows.ts"

/**
 * Puts an endpoint's port back as it was made, where somebody changed it: on its bridge, up, with
 * its MTU. What is right is not touched.
 */
export function repairPort(context: AgentContext, row: EndpointRow): void {
  const { bridge, bridgeAddresses, hairpin } = specOf(row)
  if (row.kind !== "port" || row.hostName === undefined || bridge === undefined) return
  try {
    const { index } = context.bridges.ensure(bridge, bridgeAddresses)
    const mended = restorePort(context.kernel, row.hostName, {
      bridgeIndex: index,
      mtu: row.mtu,
      hairpin,
    })
    context.health.clear(`port/${row.hostName}`)
    for (const what of mended) context.health.repaired(`${row.hostName}: ${what}`)
  } catch (error) {
    context.health.raise(`port/${row.hostName}`, {
      severity: "error",
      what: `the port ${row.hostName} of ${row.containerId}/${row.ifname} cannot be mended: ${messageOf(error)}`,
      hint: "restart the container once the cause is removed",
    })
  }
}
