import { networkOfDevice, OVERLAY_GROUP } from "../../../drivers/overlay_device.ts"
import { deleteLink } from "../../../netlink/route/link.ts"
import type { AgentContext } from "../../context.ts"

/**
 * Takes away devices of networks that this host does not have any more: they were called otherwise,
 * or were there, when the process ended that made them.
 *
 * @param kept names of the networks that it has
 */
export function removeStrayDevices(
  { kernel, health }: Pick<AgentContext, "kernel" | "health">,
  kept: ReadonlySet<string>,
): void {
  for (const link of kernel.links({ group: OVERLAY_GROUP })) {
    const network = networkOfDevice(link)
    if (network === undefined || kept.has(network)) continue
    const [outcome] = kernel.tryAll([deleteLink(link.index)])
    // One that cannot be deleted is tried again with the next change of the configuration.
    if (outcome?.error !== undefined) continue
    health.repaired(`${link.name} was removed: no network is called ${network} any more`)
  }
}
