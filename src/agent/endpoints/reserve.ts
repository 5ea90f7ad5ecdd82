import { type AttachResult, NO_DNS } from "../../cni/result.ts"
import type { RouteSpec } from "../../endpoint/port.ts"
import { openNetns } from "../../sys/netns/netns.ts"
import { type Caller, refuseGone } from "../caller.ts"
import type { AgentContext } from "../context.ts"
import type { EndpointKey } from "../networks/attach_request.ts"
import { addressOnlySpec, specJson } from "../networks/endpoint_spec.ts"
import type { ManagedNetwork } from "../networks/networks.ts"
import type { EndpointNames, NetnsRef } from "../state/rows.ts"
import { clearTheWay } from "./attach.ts"

/** A call of the agent as the IPAM plugin of another one. */
export interface ReserveRequest extends EndpointKey {
  readonly pool: ManagedNetwork
  readonly netnsPath: string
  readonly requested: readonly string[]
  readonly prefixLength: number | undefined
  readonly routes: readonly RouteSpec[]
  readonly names: EndpointNames
}

/**
 * Gives addresses for an interface that another plugin makes. They stay taken until that plugin
 * gives them back, or until the container's namespace is gone.
 *
 * @throws LariatError as Allocator.allocate does, `busy` where the caller has hung up
 */
export async function reserve(
  context: AgentContext,
  request: ReserveRequest,
  caller: Caller,
): Promise<AttachResult> {
  await clearTheWay(context, request)
  const { pool, routes } = request
  await context.cluster?.roomFor(pool, request.requested)
  refuseGone(caller, request)
  const taken = pool.allocator.allocate({ requested: request.requested }).map((one) => ({
    ...one,
    prefix: one.family === 4 ? (request.prefixLength ?? one.prefix) : one.prefix,
  }))
  const result: AttachResult = {
    interfaces: [],
    ips: taken.map(({ address, prefix, gateway }) => ({
      address: `${address}/${prefix}`,
      gateway,
    })),
    routes,
    dns: NO_DNS,
  }
  try {
    const row = context.stateDatabase.record(
      {
        network: request.network,
        pool: pool.name,
        containerId: request.containerId,
        ifname: request.ifname,
        kind: "ipam",
        netns: identify(request.netnsPath),
        names: request.names,
        request: specJson(addressOnlySpec(routes)),
      },
      taken,
      { result: { ...result } },
      { cursors: pool.allocator.cursor() },
    )
    context.index.put(row)
    return result
  } catch (error) {
    for (const { address } of taken) pool.allocator.release(address, { used: false })
    throw error
  }
}

/** The namespace's identity; without one the addresses go back only when they are given back. */
function identify(path: string): NetnsRef | undefined {
  if (path === "") return undefined
  const netns = openNetns(path)
  netns.close()
  return { path, dev: netns.dev, ino: netns.ino }
}
