/** How many ports a bridge has, known without listing them each time. */

import { LariatError } from "../errors.ts"
import type { Kernel } from "./kernel.ts"

/** BR_MAX_PORTS of net/bridge/br_private.h is 1,024; number 0 is not given to a port. */
const MAX_BRIDGE_PORTS = 1023

/** Ports by bridge, at most as many too many as others have removed since they were counted. */
const counts = new WeakMap<Kernel, Map<number, number>>()

function countsOf(kernel: Kernel): Map<number, number> {
  const known = counts.get(kernel) ?? new Map<number, number>()
  counts.set(kernel, known)
  return known
}

/**
 * Refuses when the bridge has no room for one more port.
 *
 * @throws LariatError bridge-full; NetlinkError
 */
export function refuseFullBridge(kernel: Kernel, bridgeIndex: number): void {
  const known = countsOf(kernel)
  if ((known.get(bridgeIndex) ?? MAX_BRIDGE_PORTS) < MAX_BRIDGE_PORTS) return
  const count = kernel.links({ master: bridgeIndex }).length
  known.set(bridgeIndex, count)
  if (count >= MAX_BRIDGE_PORTS) throw fullBridge(bridgeIndex)
}

/** The refusal; also for the kernel's own (EXFULL), when another program took the last port. */
export function fullBridge(bridgeIndex: number, cause?: unknown): LariatError {
  return new LariatError(
    `Cannot add a port to bridge ${bridgeIndex}: it has the ${MAX_BRIDGE_PORTS} that a Linux bridge can have`,
    {
      code: "bridge-full",
      hint: "Stop containers on this host, or start new ones on another host.",
      cause,
    },
  )
}

/** Notes a port that was made (1) or removed (-1). */
export function countPort(kernel: Kernel, bridgeIndex: number, difference: 1 | -1): void {
  const known = countsOf(kernel)
  const count = known.get(bridgeIndex)
  if (count !== undefined) known.set(bridgeIndex, Math.max(0, count + difference))
}
