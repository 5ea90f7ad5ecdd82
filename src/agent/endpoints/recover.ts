import { LIVE_GROUP } from "../../endpoint/host_link.ts"
import { removePort, sweepParked } from "../../endpoint/remove_port.ts"
import { messageOf } from "../../errors.ts"
import type { AgentContext } from "../context.ts"
import { onItsBridge, retireBridges } from "./bridge_change.ts"
import { detach } from "./detach.ts"
import { isAlive } from "./liveness.ts"
import { stillLost, takeInLost } from "./lost_ports.ts"
import { repairPort } from "./repair.ts"
import { holdSetAside } from "./set_aside_rows.ts"

/** What a start found and did. */
export interface Recovery {
  /** Endpoints that go on as they are. */
  readonly kept: number
  /** Endpoints that were taken down: half made, half gone, or without their container. */
  readonly removed: number
  /** Links of ours that no row knew. */
  readonly strays: number
}

/**
 * Brings rows and kernel together at start. Attaches that never finished are taken back, detaches
 * are finished, endpoints whose container is gone are released, links that no row knows are
 * deleted; what is alive is left alone, so that no packet is lost.
 */
export async function recover(context: AgentContext): Promise<Recovery> {
  const known = new Set<string>()
  const going: Promise<void>[] = []
  let kept = 0
  for (const stored of context.stateDatabase.endpoints()) {
    const row = onItsBridge(context, stored)
    context.index.put(row)
    if (row.hostName !== undefined && row.kind === "port") known.add(row.hostName)
    if (row.state === "attached" && isAlive(context, row)) {
      context.firewall.restore(row)
      kept += 1
      repairPort(context, row)
      continue
    }
    context.log.info("taking {containerId}/{ifname} down: it was {state} when the agent stopped", {
      containerId: row.containerId,
      ifname: row.ifname,
      state: row.state,
    })
    going.push(detach(context, row).catch((error) => leftOver(context, error)))
  }
  const unknown = context.kernel.links({ group: LIVE_GROUP }).filter(({ name }) => !known.has(name))
  holdSetAside(context)
  const left = takeInLost(context, unknown)
  context.unrecorded.look()
  const strays = unknown.filter((link) => !left.has(link))
  for (const { index } of strays) {
    going.push(removePort(context.kernel, index).catch((error) => leftOver(context, error)))
  }
  await sweepParked(context.kernel)
  await Promise.all(going)
  retireBridges(context)
  return { kept, removed: going.length - strays.length, strays: strays.length }
}

/**
 * Releases endpoints whose container went away without a detach. Ports are noticed at once by the
 * kernel's notification; addresses on other engines' interfaces only here. What could not be taken
 * down before, or taken in, is tried again.
 */
export async function collectGarbage(context: AgentContext): Promise<void> {
  for (const row of context.index.unfinished()) {
    if (context.index.pending(row) !== undefined) continue
    // Why it fails again stands in status.
    await detach(context, row).then(
      () => context.health.repaired(`released ${row.containerId}/${row.ifname}, which had failed`),
      () => {},
    )
  }
  takeInLost(context, stillLost(context))
  context.unrecorded.look()
  for (const row of context.index.attached()) {
    if (context.index.pending(row) !== undefined || isAlive(context, row)) continue
    try {
      await detach(context, row)
      context.health.repaired(`released ${row.containerId}/${row.ifname}: its container is gone`)
    } catch (error) {
      leftOver(context, error)
    }
  }
}

function leftOver(context: AgentContext, error: unknown): void {
  context.log.error("{why}", { why: messageOf(error) })
}
