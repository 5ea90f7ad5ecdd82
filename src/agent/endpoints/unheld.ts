import { type AddressHolder, foreignHolder } from "../../endpoint/address_holder.ts"
import { LariatError, messageOf } from "../../errors.ts"
import type { AgentContext } from "../context.ts"
import type { AttachRequest } from "../networks/attach_request.ts"
import { type GivenAddress, takeAddresses } from "./addressing.ts"

/** How many addresses in a row may be somebody else's before the attach is refused. */
const MOST_HELD = 64

/**
 * The addresses of an attach, none of which somebody unknown has on the bridge, such as a container
 * of the engine's that the host had before: such an address rests, and the next is taken.
 *
 * @throws LariatError `address-taken` for a requested one, or where too many are held; else as
 *   {@link takeAddresses} does. Nothing is taken then
 */
export function takeUnheld(context: AgentContext, request: AttachRequest): GivenAddress[] {
  for (let held = 0; ; held++) {
    const taken = takeAddresses(request)
    const found = firstHeld(context, request, taken)
    if (found === undefined) return taken
    const { address, holder } = found
    const isRequested = request.requested.length > 0
    for (const one of taken) {
      if (!one.fromPool) continue
      request.pool?.allocator.release(one.address, {
        used: one.address === address && !isRequested,
      })
    }
    const who = `${holder.mac} behind ${holder.port} of ${request.bridge.name}`
    if (isRequested || held >= MOST_HELD) {
      throw new LariatError(`Cannot give ${address} of network ${request.network}: ${who} has it`, {
        code: "address-taken",
        hint: "stop who has it, or use another address or subnet",
      })
    }
    context.health.repaired(`${address} was not given out: ${who} has it`)
  }
}

function firstHeld(
  context: AgentContext,
  { bridge }: AttachRequest,
  taken: readonly GivenAddress[],
): { readonly address: string; readonly holder: AddressHolder } | undefined {
  const index = context.bridges.indexOf(bridge.name)
  if (index === undefined || !context.ahead.isShared(index)) return undefined
  try {
    for (const { address, fromPool } of taken) {
      const holder = fromPool ? foreignHolder(context.kernel, index, address) : undefined
      if (holder !== undefined) return { address, holder }
    }
  } catch (error) {
    // The bridge may just have been deleted; it is made again by this attach.
    context.log.debug("no holders on {bridge}: {why}", {
      bridge: bridge.name,
      why: messageOf(error),
    })
  }
  return undefined
}
