import { releaseAdopted } from "../../endpoint/adopt_port.ts"
import { inheritRoutes } from "../../endpoint/inherit_routes.ts"
import { removePort } from "../../endpoint/remove_port.ts"
import { messageOf, runAllInTurn } from "../../errors.ts"
import { deleteNeigh } from "../../netlink/route/neigh.ts"
import type { AgentContext } from "../context.ts"
import type { EndpointKey } from "../networks/attach_request.ts"
import { prefixesOf, specOf } from "../networks/endpoint_spec.ts"
import type { EndpointRow } from "../state/rows.ts"
import { openOwnNetns } from "./liveness.ts"

/**
 * Detaches an endpoint; one that is not there counts as detached. Resolves when the container's
 * end is gone and the row with it; the addresses rest from then on. Called twice, both callers
 * wait for the one teardown.
 *
 * @throws LariatError with everything that failed; the row stays `detaching`, stands in status,
 *   and the next detach, regular check or start of the agent tries again
 */
export function detach(context: AgentContext, key: EndpointKey): Promise<void> {
  const pending = context.index.pending(key)
  if (pending !== undefined) return pending
  const row = context.index.get(key)
  if (row === undefined) return Promise.resolve()
  return context.index.track(key, takeDownOrTell(context, row))
}

/**
 * {@link detach} for the runtime, which may ask for it while its attach still waits for addresses:
 * that one would make the port after the answer that it is gone.
 */
export async function detachOnceAttached(context: AgentContext, key: EndpointKey): Promise<void> {
  await context.index.attaching(key)?.catch(() => {})
  await detach(context, key)
}

/** Takes an endpoint down whose runtime was gone before it heard of it, and may never ask for that. */
export function takeBack(context: AgentContext, { id, ...key }: EndpointRow): void {
  if (context.index.get(key)?.id !== id) return
  detach(context, key).then(
    () =>
      context.health.repaired(
        `${key.containerId}/${key.ifname} was taken down: its runtime hung up before it had its answer`,
      ),
    (error) => context.log.error("{why}", { why: messageOf(error) }),
  )
}

async function takeDownOrTell(context: AgentContext, row: EndpointRow): Promise<void> {
  try {
    await takeDown(context, row)
  } catch (error) {
    leaveBehind(context, row, messageOf(error))
    throw error
  }
}

/** An endpoint that could not be taken down stays known: its key and its addresses are not free. */
export function leaveBehind(context: AgentContext, row: EndpointRow, why: string): void {
  context.index.put({ ...(context.index.get(row) ?? row), state: "detaching" })
  context.health.raise(problemOf(row), {
    severity: "error",
    what: `${row.containerId}/${row.ifname} of network ${row.network} cannot be taken down: ${why}`,
    hint: "remove the cause: the agent tries again every 10 seconds, and when the runtime asks",
  })
}

function problemOf({ id }: EndpointRow): string {
  return `endpoint/${id}`
}

async function takeDown(context: AgentContext, row: EndpointRow): Promise<void> {
  context.index.put({ ...row, state: "detaching" })
  context.stateDatabase.detach(row.id)
  await runAllInTurn(`the detach of ${row.containerId}/${row.ifname}`, [
    () => removeMasquerade(context, row),
    () => removeInterface(context, row),
  ])
  // Not before: whoever cannot be taken off the bridge must not send under others' addresses either.
  if (row.hostIndex !== undefined) context.firewall.unguard(row.hostIndex)
  // The network may be called otherwise by now.
  forget(context, context.index.get(row) ?? row)
  context.health.clear(`port/${row.hostName}`)
  moveRoutes(context, row)
}

/** What is left of the container takes over the routes that the interface was first with. */
function moveRoutes(context: AgentContext, row: EndpointRow): void {
  const left = context.index
    .attached()
    .filter(({ kind, netns }) => kind !== "ipam" && isSame(netns, row.netns))
    .map((one) => ({
      ifname: one.ifname,
      addresses: prefixesOf(one),
      routes: specOf(one).routes,
    }))
  if (left.length === 0) return
  const netns = openOwnNetns(row)
  if (netns === undefined) return
  try {
    inheritRoutes(netns, left)
  } catch (error) {
    context.log.warn("{id} may have lost a route: {why}", {
      id: row.containerId,
      why: messageOf(error),
    })
  } finally {
    netns.close()
  }
}

function isSame(one: EndpointRow["netns"], other: EndpointRow["netns"]): boolean {
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino
}

function removeMasquerade(context: AgentContext, row: EndpointRow): void {
  if (specOf(row).masquerade) context.firewall.removeMasquerade(prefixesOf(row))
}

async function removeInterface(context: AgentContext, row: EndpointRow): Promise<void> {
  if (row.kind === "port") {
    // Before an attach was done only the name of its link is known.
    const index = row.hostIndex ?? context.kernel.link(row.hostName ?? "")?.index
    if (index !== undefined) await removePort(context.kernel, index)
    return
  }
  if (row.kind !== "adopted") return
  const netns = openOwnNetns(row)
  if (netns === undefined) return
  try {
    releaseAdopted(netns, {
      ifname: row.ifname,
      addresses: prefixesOf(row),
      routes: specOf(row).routes,
    })
  } finally {
    netns.close()
  }
  forgetNeighbours(context, row)
}

/** Its container goes on with other addresses: who is asked for these must not be sent to it. */
function forgetNeighbours({ kernel, bridges }: AgentContext, row: EndpointRow): void {
  const bridge = bridges.indexOf(specOf(row).bridge?.name ?? "")
  if (bridge === undefined) return
  kernel.tryAll(row.addresses.map(({ address }) => deleteNeigh(bridge, address)))
}

/**
 * Forgets an endpoint. Its addresses rest from then on, and not before: one whose row stays, since
 * it cannot be written for instance, is given to nobody.
 *
 * @throws LariatError where the state database cannot be written; nothing is changed then
 */
export function forget(context: AgentContext, row: EndpointRow): void {
  const allocator = context.networks.get(row.pool)?.allocator
  const resting = row.addresses.flatMap(({ address }) => allocator?.restOf(address) ?? [])
  context.stateDatabase.remove(row.id, resting)
  for (const { address } of resting) allocator?.release(address)
  context.index.remove(row)
  context.health.clear(problemOf(row))
}
