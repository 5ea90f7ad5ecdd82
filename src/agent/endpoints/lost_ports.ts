import { type AttachResult, NO_DNS } from "../../cni/result.ts"
import { parsePrefix } from "../../core/address.ts"
import { hostLinkName, LIVE_GROUP } from "../../endpoint/host_link.ts"
import { type ContainerEnd, containerEnds } from "../../endpoint/read_port.ts"
import { LariatError, messageOf } from "../../errors.ts"
import type { LinkInfo } from "../../netlink/route/link.ts"
import { namespacesInSight } from "../../sys/netns/in_sight.ts"
import type { AgentContext } from "../context.ts"
import type { EndpointKey } from "../networks/attach_request.ts"
import { bridgeConfFor } from "../networks/bridge_confs.ts"
import { type EndpointSpec, specJson } from "../networks/endpoint_spec.ts"
import type { AddressRow, EndpointRow } from "../state/rows.ts"
import { onItsBridge } from "./bridge_change.ts"
import { cachedNames } from "./cni_cache.ts"
import { repairPort } from "./repair.ts"

/** A port of ours that no row knows. */
interface LostPort extends EndpointKey {
  readonly link: LinkInfo
}

/**
 * Takes in ports that no row knows and whose container lives, as after the loss of the state
 * directory: what they are is read from the kernel, who they are from the link's alias. What is
 * right on them is not touched. Names and labels are those that the container's runtime keeps, if it
 * does.
 *
 * @returns the links that are left alone: those taken in, and those whose container cannot be seen
 *   but is there
 */
export function takeInLost(context: AgentContext, links: readonly LinkInfo[]): Set<LinkInfo> {
  const ports = links.flatMap((link) => {
    const key = keyOf(link)
    return key === undefined || link.linkNetnsId === undefined ? [] : [{ ...key, link }]
  })
  if (ports.length === 0) return new Set()
  const ends = containerEnds(context.kernel, ports, namespacesInSight())
  for (const port of ports) {
    const { link, containerId, ifname } = port
    const end = ends.get(link.index)
    try {
      if (end === undefined) throw outOfSight(link)
      const addresses = takeIn(context, port, end).join(", ")
      context.unrecorded.ports.delete(link.name)
      context.health.repaired(
        `${containerId}/${ifname} with ${addresses} was taken in: it runs, and the state directory did not know it`,
      )
    } catch (error) {
      context.unrecorded.ports.add(link.name)
      context.health.raise(`port/${link.name}`, {
        severity: "warning",
        what: `the port ${link.name} of ${containerId}/${ifname} was found and cannot be taken in: ${messageOf(error)}`,
        hint: "it is left as it is and tried again; restart the container to have it attached anew",
      })
    }
  }
  return new Set(ports.map(({ link }) => link))
}

/** Ports that could not be taken in and are there still, by name; those that went are forgotten. */
export function stillLost(context: AgentContext): readonly LinkInfo[] {
  const { unrecorded, kernel, health, index } = context
  if (unrecorded.ports.size === 0) return []
  const links = kernel
    .links({ group: LIVE_GROUP })
    .filter((link) => unrecorded.ports.has(link.name) && !index.byHostIndex(link.index))
  const there = new Set(links.map(({ name }) => name))
  for (const name of unrecorded.ports) {
    if (there.has(name)) continue
    unrecorded.ports.delete(name)
    health.clear(`port/${name}`)
  }
  return links
}

/** Whose port a link is by its alias; undefined where its name is not the one that follows. */
function keyOf({ name, alias }: LinkInfo): EndpointKey | undefined {
  const match = /^lariat (.+) ([^ ]+)\/([^ /]+)$/.exec(alias)
  const [, network = "", containerId = "", ifname = ""] = match ?? []
  const isOurs = match !== null && hostLinkName(containerId, ifname, network) === name
  return isOurs ? { network, containerId, ifname } : undefined
}

function outOfSight({ name }: LinkInfo): LariatError {
  return new LariatError(`the namespace of ${name}'s other end has neither a name nor a process`, {
    code: "netns-invalid",
  })
}

function takeIn(context: AgentContext, port: LostPort, end: ContainerEnd): readonly string[] {
  const { network, containerId, ifname, link } = port
  const { kernel, stateDatabase } = context
  const pool = end.addresses
    .map((address) => context.networks.containing(parsePrefix(address)))
    .find((found) => found !== undefined)
  const bridge = link.master === 0 ? undefined : kernel.link(link.master)
  const conf = bridgeConfFor(pool?.configured, network)
  const gateways = pool?.subnets.map(({ cidr, gateway }) => `${gateway}/${cidr.split("/")[1]}`)
  const name = bridge?.name ?? conf?.bridge
  if (name === undefined) {
    throw new LariatError("it is on no bridge, and no network says on which it belongs", {
      code: "bridge-invalid",
    })
  }
  const onBridge = bridge === undefined ? [] : kernel.addresses(bridge.index)
  const spec: EndpointSpec = {
    bridge: {
      name,
      promisc: conf?.promiscMode ?? false,
      configureIp: conf?.skipBridgeConfigureIP !== true,
      mtu: bridge?.mtu ?? link.mtu,
      ...(pool?.leased === true ? { proxyArp: true } : {}),
      addresses: conf?.bridgeIPs ?? [],
    },
    bridgeAddresses:
      gateways?.filter((gateway) => onBridge.some(({ address }) => address === gateway)) ?? [],
    hairpin: link.port?.hairpin ?? conf?.hairpinMode ?? false,
    masquerade: conf?.ipMasq ?? false,
    antiSpoofing: conf?.antiSpoofing ?? false,
    hostNat: conf?.hostNat
      ? (pool?.subnets.map(({ cidr }) => ({ subnet: cidr, bridge: name })) ?? [])
      : [],
    routes: end.routes,
    kept: { portMappings: [], bandwidth: undefined },
  }
  const addresses = end.addresses.map((text) => addressRow(text, end))
  const { mac, mtu } = end
  const result = { ...resultOf(port, end, name), foreignAddresses: [] }
  // The container has them, whether that can be written down or not.
  for (const { address } of addresses) {
    context.unrecorded.hold({
      ...{ key: port, address },
      isUsed: () => kernel.link(link.name) !== undefined,
    })
  }
  const row = stateDatabase.record(
    {
      ...{ network, containerId, ifname, kind: "port", netns: end.netns, hostName: link.name },
      pool: pool?.name ?? network,
      names: cachedNames(port) ?? { aliases: [], labels: {} },
      request: specJson(spec),
    },
    addresses,
    { hostIndex: link.index, mac, mtu, result },
  )
  takeUp(context, onItsBridge(context, row))
  return addresses.map(({ address }) => address)
}

/** Has the rest of the agent know it as any other. */
function takeUp(context: AgentContext, row: EndpointRow): void {
  context.index.put(row)
  context.firewall.restore(row)
  repairPort(context, row)
}

function addressRow(text: string, { routes }: ContainerEnd): AddressRow {
  const { family, length } = parsePrefix(text)
  const everywhere = family === 4 ? "0.0.0.0/0" : "::/0"
  const gateway = routes.find(({ dst }) => dst === everywhere)?.gw
  return { address: text.split("/")[0] ?? text, prefix: length, gateway }
}

function resultOf(port: LostPort, end: ContainerEnd, bridge: string): AttachResult {
  const { link, ifname } = port
  return {
    interfaces: [
      { name: bridge },
      { name: link.name, mac: link.mac, mtu: link.mtu },
      { name: ifname, mac: end.mac, mtu: end.mtu, sandbox: end.netns.path },
    ],
    ips: end.addresses.map((address) => ({ address, interface: 2 })),
    routes: end.routes,
    dns: NO_DNS,
  }
}
