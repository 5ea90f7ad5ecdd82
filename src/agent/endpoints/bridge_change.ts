import { parseAddress } from "../../core/address.ts"
import { messageOf } from "../../errors.ts"
import type { AgentContext } from "../context.ts"
import { bridgeConfFor, bridgeConfs } from "../networks/bridge_confs.ts"
import { specJson, specOf } from "../networks/endpoint_spec.ts"
import type { EndpointRow } from "../state/rows.ts"
import { repairPort } from "./repair.ts"

/**
 * The row as the configuration wants it now: on another bridge, where the YAML of its network names
 * another. An interface that an engine made stays on the engine's.
 */
export function onItsBridge(context: AgentContext, row: EndpointRow): EndpointRow {
  const spec = specOf(row)
  const { configured } = context.networks.get(row.pool) ?? {}
  const bridge = bridgeConfFor(configured, row.network)?.bridge
  const { bridge: before } = spec
  if (row.kind !== "port" || before === undefined) return row
  if (bridge === undefined || bridge === before.name) return row
  context.bridges.inherit(before.name, bridge)
  const request = specJson({
    ...spec,
    bridge: { ...before, name: bridge },
    hostNat: spec.hostNat.map((one) => ({ ...one, bridge })),
  })
  try {
    context.stateDatabase.putRequest(row.id, request)
  } catch (error) {
    // The next start does all of this again.
    context.log.warn("{why}", { why: messageOf(error) })
  }
  context.health.repaired(`${row.hostName}: goes from ${before.name} to ${bridge}, as configured`)
  return { ...row, request }
}

/** Moves the ports of attached endpoints to the bridges that the configuration names now. */
export function followBridges(context: AgentContext): void {
  for (const row of context.index.attached()) {
    const now = onItsBridge(context, row)
    if (now === row) continue
    context.index.put(now)
    repairPort(context, now)
  }
  retireBridges(context)
}

/** Takes back what this agent put on bridges and neither configuration nor endpoints name any more. */
export function retireBridges(context: AgentContext): void {
  const wanted = new Map<string, Set<string>>()
  const want = (bridge: string, addresses: readonly string[]) => {
    const known = wanted.get(bridge) ?? new Set()
    wanted.set(bridge, known)
    for (const address of addresses) known.add(address)
  }
  for (const network of context.networks.all()) {
    const gateways = network.subnets.map(({ cidr, gateway }) => `${gateway}/${cidr.split("/")[1]}`)
    for (const { conf } of bridgeConfs(network.configured)) {
      want(conf.bridge, [...gateways, ...conf.bridgeIPs])
    }
  }
  for (const row of context.stateDatabase.endpoints()) {
    const { bridge, bridgeAddresses } = specOf(row)
    if (bridge !== undefined) want(bridge.name, bridgeAddresses)
  }
  // What a runtime's own configuration brought along is named again by its next attach.
  const isLearned = (address: string) => {
    const network = context.networks.containing(parseAddress(address.split("/")[0] ?? ""))
    return network !== undefined && network.configured === undefined
  }
  try {
    const done = context.bridges.retire((bridge, address) =>
      address === undefined
        ? wanted.has(bridge)
        : wanted.get(bridge)?.has(address) === true || isLearned(address),
    )
    for (const what of done) context.health.repaired(what)
  } catch (error) {
    context.log.error("{why}", { why: messageOf(error) })
  }
}
