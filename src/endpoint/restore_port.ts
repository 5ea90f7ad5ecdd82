/** Putting a port back as it was made, where somebody changed it. */

import type { MessageWriter } from "../netlink/message.ts"
import { changeBridgePort, changeLink, type LinkChange } from "../netlink/route/link.ts"
import { LIVE_GROUP } from "./host_link.ts"
import type { Kernel } from "./kernel.ts"
import { shieldLink } from "./shield.ts"

/** What a port is to be. */
export interface PortShape {
  readonly bridgeIndex: number
  /** Bytes; undefined: as it is. */
  readonly mtu?: number | undefined
  readonly hairpin: boolean
}

/**
 * Puts a port's host end back on its bridge, up, with its MTU and hairpin mode. What is right is
 * not touched, so that no packet is lost.
 *
 * @returns what was mended, one sentence each; empty when all was right or the link is gone
 * @throws NetlinkError; SystemError
 */
export function restorePort(kernel: Kernel, hostName: string, shape: PortShape): string[] {
  const link = kernel.link(hostName)
  if (link === undefined) return []
  shieldLink(kernel, link)
  const mended: string[] = []
  const batch: MessageWriter[] = []
  const moved = link.master !== shape.bridgeIndex
  const change: LinkChange = {
    master: moved ? shape.bridgeIndex : undefined,
    up: link.up ? undefined : true,
    mtu: shape.mtu === undefined || shape.mtu === link.mtu ? undefined : shape.mtu,
    group: link.group === LIVE_GROUP ? undefined : LIVE_GROUP,
  }
  if (moved) mended.push("put back on its bridge")
  if (change.up !== undefined) mended.push("brought up")
  if (change.mtu !== undefined) mended.push(`MTU set from ${link.mtu} to ${shape.mtu}`)
  if (change.group !== undefined) mended.push("marked as ours")
  if (mended.length > 0) batch.push(changeLink(link.index, change, `mend port ${hostName}`))
  if (moved || link.port?.hairpin !== shape.hairpin) {
    batch.push(changeBridgePort(link.index, { hairpin: shape.hairpin }))
    if (!moved) mended.push(`hairpin mode turned ${shape.hairpin ? "on" : "off"}`)
  }
  if (batch.length > 0) kernel.apply(batch)
  return mended
}
