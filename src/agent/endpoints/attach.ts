import { type AttachResult, NO_DNS } from "../../cni/result.ts"
import { type Family, familyOf } from "../../core/address.ts"
import { randomMac } from "../../core/mac.ts"
import { adoptPort, releaseAdopted } from "../../endpoint/adopt_port.ts"
import { announce } from "../../endpoint/announce.ts"
import type { Bridge } from "../../endpoint/bridge.ts"
import { createPort } from "../../endpoint/create_port.ts"
import { enableForwarding } from "../../endpoint/forwarding.ts"
import { hostLinkName } from "../../endpoint/host_link.ts"
import type { RouteSpec } from "../../endpoint/port.ts"
import { removePort } from "../../endpoint/remove_port.ts"
import { LariatError, messageOf } from "../../errors.ts"
import { type Netns, openNetns, sameNetns } from "../../sys/netns/netns.ts"
import { type Caller, refuseGone } from "../caller.ts"
import type { AgentContext } from "../context.ts"
import type { AttachRequest, EndpointKey } from "../networks/attach_request.ts"
import { type EndpointSpec, specJson } from "../networks/endpoint_spec.ts"
import type { EndpointRow, NewEndpoint } from "../state/rows.ts"
import { bridgeAddresses, endpointRoutes, type GivenAddress, withGateways } from "./addressing.ts"
import { detach, forget, leaveBehind } from "./detach.ts"
import { isAlive } from "./liveness.ts"
import { serviceRoutes } from "./service_routes.ts"
import { Undo } from "./undo.ts"
import { takeUnheld } from "./unheld.ts"

/**
 * Attaches a container: takes addresses, writes them down, makes the port, opens the firewall,
 * writes down that it is done. Whatever fails, everything before it is taken back. After a crash
 * at any step the row tells the next start what to take back.
 *
 * Once the namespace is open nothing is awaited on the way to success, so no other call can come in
 * between. Before that others can: clearing the way waits, and so does a lease of a block.
 *
 * @throws LariatError
 */
export function attach(
  context: AgentContext,
  request: AttachRequest,
  caller: Caller,
): Promise<AttachResult> {
  return context.index.trackAttach(request, attachNow(context, request, caller))
}

async function attachNow(
  context: AgentContext,
  request: AttachRequest,
  caller: Caller,
): Promise<AttachResult> {
  await clearTheWay(context, request)
  if (request.pool?.leased === true) {
    await context.cluster?.roomFor(request.pool, request.requested)
  }
  refuseGone(caller, request)
  const netns = openNetns(request.netnsPath)
  const undo = new Undo()
  try {
    refuseOwnNetns(context, request, netns)
    const result = attachIn(context, request, netns, undo)
    tellNeighbours(context, request, netns, result)
    netns.close()
    return result
  } catch (error) {
    const failure = await undo.failed(error)
    netns.close()
    // The bridge was somebody else's to delete, and is made or found again.
    if (context.bridges.isStale(request.bridge.name)) return attachNow(context, request, caller)
    throw failure
  }
}

/**
 * Waits for a detach of the same endpoint, and clears what an earlier life of the container left:
 * an engine that restarts a container attaches it again under the same id.
 */
export async function clearTheWay(context: AgentContext, key: EndpointKey): Promise<void> {
  for (;;) {
    const pending = context.index.pending(key)
    if (pending !== undefined) {
      await pending.catch(() => {})
      continue
    }
    const row = context.index.get(key)
    if (row === undefined) return
    if (row.state === "attached" && isAlive(context, row)) {
      throw new LariatError(
        `Cannot attach ${key.containerId}/${key.ifname} to network ${key.network}: it is attached already`,
        { code: "ifname-exists", hint: "detach it first (CNI DEL)" },
      )
    }
    await detach(context, row)
  }
}

function refuseOwnNetns(context: AgentContext, request: AttachRequest, netns: Netns): void {
  if (request.allowOwnNetns || !sameNetns(netns, context.hostNetns)) return
  throw new LariatError(
    `Cannot attach ${request.containerId}/${request.ifname}: ${request.netnsPath} is the agent's own network namespace`,
    {
      code: "netns-invalid",
      hint: "give the container a namespace of its own; host-network containers need no attach",
    },
  )
}

/**
 * Tells the neighbours where the addresses are now. Before the caller has its answer: the kernel
 * forgets the interface's own neighbours by it, and with them a first packet that waits for one.
 */
function tellNeighbours(
  context: AgentContext,
  { ifname }: AttachRequest,
  netns: Netns,
  { interfaces, ips }: AttachResult,
): void {
  const mac = interfaces.find(({ sandbox }) => sandbox !== undefined)?.mac
  if (mac === undefined) return
  try {
    announce(
      netns,
      ifname,
      mac,
      ips.map(({ address }) => address),
    )
  } catch (error) {
    // The container may be gone again by now; neighbours learn by themselves, only later.
    context.log.debug("no announcement of {ifname}: {why}", { ifname, why: messageOf(error) })
  }
}

function attachIn(
  context: AgentContext,
  request: AttachRequest,
  netns: Netns,
  undo: Undo,
): AttachResult {
  const taken = takeUnheld(context, request)
  const written: Written = { row: undefined }
  undo.push(() => giveBack(context, request, taken, { written, isClean: undo.isClean }))

  const wanted = bridgeAddresses(withGateways(taken, request, []), request)
  const bridge = context.bridges.ensure(request.bridge, wanted)
  undo.push(() => context.bridges.takeBack(bridge))
  const given = withGateways(taken, request, bridge.addresses)
  const addresses = given.map(({ address, prefix }) => `${address}/${prefix}`)
  const own = endpointRoutes(given, request)
  const ours = bridge.addresses.map(withoutPrefix)
  const routes = [...own, ...serviceRoutes(context.serviceAddresses, addresses, own, ours)]
  const hostName = hostLinkName(request.containerId, request.ifname, request.network)

  const spec: EndpointSpec = {
    bridge: request.bridge,
    bridgeAddresses: wanted,
    hairpin: request.hairpin,
    masquerade: request.masquerade,
    antiSpoofing: request.antiSpoofing,
    hostNat: request.hostNat,
    routes,
    kept: request.kept,
  }
  const endpoint: NewEndpoint = {
    network: request.network,
    pool: request.pool?.name ?? request.network,
    containerId: request.containerId,
    ifname: request.ifname,
    kind: "port",
    netns: { path: request.netnsPath, dev: netns.dev, ino: netns.ino },
    hostName,
    names: request.names,
    request: specJson(spec),
  }
  const cursors = request.pool?.allocator.cursor()
  const id = context.stateDatabase.begin(endpoint, given, { cursors })
  const begun: EndpointRow = {
    ...endpoint,
    id,
    pool: endpoint.pool ?? endpoint.network,
    state: "attaching",
    createdAt: Date.now(),
    bootId: context.bootId,
    result: undefined,
    addresses: given,
  }
  written.row = begun

  const port = { written, bridge, hostName, addresses, routes }
  const link = makeLink(context, request, netns, port, undo)
  for (const family of familiesOf(given)) enableForwarding(family, context.kernel)
  if (request.masquerade) {
    undo.push(() => context.firewall.removeMasquerade(addresses))
    context.firewall.addMasquerade(addresses)
  }
  context.firewall.bridges(context.bridges.ofContainers())
  context.firewall.addNetwork(request.pool?.subnets ?? [], request.hostNat)

  const result = resultOf(request, bridgeNow(context, bridge), link, given, routes)
  const { kind, foreignAddresses, ...made } = link
  const attached = { ...made, result: { ...result, foreignAddresses } }
  const row: EndpointRow = { ...begun, ...attached, kind, state: "attached" }
  undo.push(() => context.firewall.unguard(link.hostIndex))
  context.firewall.guard(row)
  context.stateDatabase.finish(row.id, attached)
  context.index.put(row)
  if (request.pool !== undefined) context.ahead.soon(bridge.name, request.pool.allocator)
  return result
}

/** What the state database knows of an attach that is under way. */
interface Written {
  row: EndpointRow | undefined
}

/** What a port is made from, beside the request. */
interface PortInput {
  readonly written: Written
  readonly bridge: Bridge
  readonly hostName: string
  readonly addresses: readonly string[]
  readonly routes: readonly RouteSpec[]
}

/** What the container is reached by. */
interface PortLink {
  readonly kind: "port" | "adopted"
  readonly hostName: string
  readonly hostIndex: number
  readonly hostMac: string | undefined
  readonly mac: string
  readonly mtu: number
  /** Addresses of an adopted interface that are not ours, without prefix length. */
  readonly foreignAddresses: readonly string[]
}

/** Makes a port; where the container has the interface already, adds our addresses to that. */
function makeLink(
  context: AgentContext,
  request: AttachRequest,
  netns: Netns,
  port: PortInput,
  undo: Undo,
): PortLink {
  try {
    return makePort(context, request, netns, port, undo)
  } catch (error) {
    if (!(error instanceof LariatError) || error.code !== "ifname-exists") throw error
    const { written } = port
    if (written.row !== undefined) {
      context.stateDatabase.adopt(written.row.id)
      written.row = { ...written.row, kind: "adopted", hostName: undefined }
    }
    return joinPort(context, request, netns, port, undo)
  }
}

function makePort(
  context: AgentContext,
  request: AttachRequest,
  netns: Netns,
  { bridge, hostName, addresses, routes }: PortInput,
  undo: Undo,
): PortLink {
  const port = createPort(context.kernel, netns, {
    hostName,
    ifname: request.ifname,
    bridgeIndex: bridge.index,
    mac: request.mac ?? randomMac(context.random, request.pool?.macPrefix),
    mtu: request.mtu,
    addresses,
    routes,
    hairpin: request.hairpin,
    alias: `lariat ${request.network} ${request.containerId}/${request.ifname}`,
  })
  undo.push(() => removePort(context.kernel, port.hostIndex))
  return { ...port, kind: "port", foreignAddresses: [] }
}

/**
 * Adds our addresses to an interface that another engine made on the same bridge.
 *
 * @throws LariatError `ifname-exists` when it is somebody else's
 */
function joinPort(
  context: AgentContext,
  request: AttachRequest,
  netns: Netns,
  { bridge, addresses, routes }: PortInput,
  undo: Undo,
): PortLink {
  const { ifname, mac, mtu } = request
  const first = context.index.adopter(netns, ifname)
  if (first !== undefined && isAlive(context, first)) {
    throw new LariatError(
      `Cannot adopt ${ifname}: ${first.containerId} of network ${first.network} has it already`,
      { code: "ifname-exists", hint: "detach that one first (CNI DEL)" },
    )
  }
  const bridgeIndex = bridge.index
  const port = adoptPort(context.kernel, netns, {
    ifname,
    bridgeIndex,
    addresses,
    routes,
    mac,
    mtu,
  })
  if (port === undefined) {
    throw new LariatError(`Cannot adopt ${ifname}: it went away in the midst of the attach`, {
      code: "busy",
      hint: "try again",
    })
  }
  undo.push(() => releaseAdopted(netns, { ifname, addresses, routes }))
  const foreignAddresses = port.ownAddresses.map(withoutPrefix)
  return { ...port, kind: "adopted", hostMac: undefined, foreignAddresses }
}

/**
 * Frees what an attach took that failed: addresses that were written down rest. Where its port or
 * its row could not be taken back, the endpoint stays known and is taken down later.
 */
function giveBack(
  context: AgentContext,
  request: AttachRequest,
  taken: readonly GivenAddress[],
  { written, isClean }: { readonly written: Written; readonly isClean: boolean },
): void {
  const { row } = written
  if (row !== undefined) {
    if (!isClean) {
      leaveBehind(context, row, "its attach failed, and so did taking that back")
      return
    }
    try {
      forget(context, row)
    } catch (error) {
      leaveBehind(context, row, messageOf(error))
      throw error
    }
    return
  }
  for (const { address, fromPool } of taken) {
    if (fromPool) request.pool?.allocator.release(address, { used: false })
  }
}

/** The kernel lowers the MTU of a bridge to that of its smallest port, unless somebody set it. */
function bridgeNow(context: AgentContext, bridge: Bridge): Bridge {
  return { ...bridge, mtu: context.kernel.link(bridge.index)?.mtu ?? bridge.mtu }
}

function resultOf(
  request: AttachRequest,
  bridge: Bridge,
  link: PortLink,
  given: readonly GivenAddress[],
  routes: readonly RouteSpec[],
): AttachResult {
  const container = 2
  return {
    interfaces: [
      { name: bridge.name, mac: bridge.mac, mtu: bridge.mtu },
      { name: link.hostName, mac: link.hostMac, mtu: link.mtu },
      { name: request.ifname, mac: link.mac, mtu: link.mtu, sandbox: request.netnsPath },
    ],
    ips: given.map(({ address, prefix, gateway }) => ({
      address: `${address}/${prefix}`,
      gateway,
      interface: container,
    })),
    routes,
    dns: NO_DNS,
  }
}

function familiesOf(given: readonly GivenAddress[]): Family[] {
  return [...new Set(given.map(({ address }) => familyOf(address)))]
}

function withoutPrefix(text: string): string {
  return text.split("/")[0] ?? text
}
