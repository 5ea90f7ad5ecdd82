/** Making a container's port: one veth pair, one transaction. */

import { parseMac } from "../core/mac.ts"
import { LariatError } from "../errors.ts"
import type { NetlinkError } from "../netlink/error.ts"
import {
  changeBridgePort,
  changeLink,
  deleteLink,
  getLink,
  newVeth,
  queryLink,
} from "../netlink/link.ts"
import { decodeLink, type LinkInfo } from "../netlink/link_codec.ts"
import { newRoute } from "../netlink/route.ts"
import type { Outcome } from "../netlink/socket.ts"
import { EEXIST, ENODEV } from "../sys/errno.ts"
import type { Netns } from "../sys/netns.ts"
import { countPort, fullBridge, refuseFullBridge } from "./bridge_ports.ts"
import { addressMessages, routeRequests, usesIpv6 } from "./container_batch.ts"
import { LIVE_GROUP, PARKED_GROUP } from "./host_link.ts"
import { enableIpv6, skipDuplicateDetection } from "./ipv6.ts"
import { type Kernel, openInside } from "./kernel.ts"
import type { Port, PortSpec } from "./port.ts"
import { failAfterUndo } from "./undo.ts"

/** asm-generic/errno.h: what a bridge with all its ports says. */
const EXFULL = 54
/** IFALIASZ of linux/if.h, less its zero. */
const MAX_ALIAS_BYTES = 255

/**
 * Makes a veth pair whose one end is a port of the bridge and whose other end is born in the
 * container with its name, MAC, MTU, addresses and routes, up. A route that is there already
 * stays as it is: another interface of the container was first.
 *
 * @throws LariatError ifname-exists, bridge-full, config-invalid; NetlinkError. Nothing is left
 * behind then; a TeardownError says what could not be undone
 */
export function createPort(kernel: Kernel, netns: Netns, spec: PortSpec): Port {
  refuseFullBridge(kernel, spec.bridgeIndex)
  const host = makePair(kernel, netns, spec)
  try {
    configureInside(netns, spec, host.link ?? 0)
  } catch (error) {
    failAfterUndo(`making the port ${host.name}`, error, [() => removeNow(kernel, host.index)])
  }
  countPort(kernel, spec.bridgeIndex, 1)
  return {
    hostName: host.name,
    hostIndex: host.index,
    hostMac: host.mac,
    containerIndex: host.link ?? 0,
    mac: spec.mac,
    mtu: spec.mtu,
  }
}

/** @returns the host's end */
function makePair(kernel: Kernel, netns: Netns, spec: PortSpec, again = true): LinkInfo {
  const [made, told, , hairpin] = tryPair(kernel, netns, spec)
  if (made?.error !== undefined) {
    if (!again || made.error.errno !== EEXIST) throw explain(made.error, spec)
    clearStale(kernel, netns, spec, made.error)
    return makePair(kernel, netns, spec, false)
  }
  const answer = told?.answers[0]
  if (answer === undefined) throw told?.error ?? vanished(spec)
  const host = decodeLink(answer)
  if (hairpin?.error !== undefined) {
    const steps = [() => removeNow(kernel, host.index)]
    failAfterUndo(`making the port ${host.name}`, hairpin.error, steps)
  }
  return host
}

function tryPair(kernel: Kernel, netns: Netns, spec: PortSpec): readonly Outcome[] {
  const both = { mtu: spec.mtu, queues: 1 }
  const batch = [
    newVeth({
      ...both,
      name: spec.hostName,
      master: spec.bridgeIndex,
      group: LIVE_GROUP,
      alias: cutAlias(spec.alias),
      up: true,
      peer: { ...both, name: spec.ifname, mac: parseMac(spec.mac), netnsFd: netns.fd },
    }),
    queryLink(spec.hostName),
    // A bridge's port needs no address of its own. Kernels without IPv6 refuse; that is as good.
    changeLink(spec.hostName, { noLinkLocal: true }),
  ]
  if (spec.hairpin) batch.push(changeBridgePort(spec.hostName, { hairpin: true }))
  return kernel.tryAll(batch)
}

/** Brings the container's end up, with addresses and routes. */
function configureInside(netns: Netns, spec: PortSpec, index: number): void {
  const { addresses, routes, ifname } = spec
  const socket = openInside(netns, () => {
    if (!usesIpv6(addresses)) return
    enableIpv6(ifname)
    skipDuplicateDetection(ifname)
  })
  try {
    const up = changeLink(index, { up: true }, `bring ${ifname} up`)
    const settings = [up, ...addressMessages(index, addresses)]
    const rest = routeRequests(index, routes, addresses).map((route) => newRoute(route))
    socket.tryAll([...settings, ...rest]).forEach(({ error }, at) => {
      const isRoute = at >= settings.length
      if (error !== undefined && !(isRoute && error.errno === EEXIST)) throw error
    })
  } finally {
    socket.close()
  }
}

/**
 * Deals with a name that is taken: an interface of the container is an error; a link in the host
 * that bears this attachment's name is what an attach before left behind.
 */
function clearStale(kernel: Kernel, netns: Netns, spec: PortSpec, error: NetlinkError): void {
  const inside = openInside(netns)
  let taken: boolean
  try {
    taken = getLink(inside, spec.ifname) !== undefined
  } finally {
    inside.close()
  }
  if (taken) throw ifnameExists(spec.ifname, error)
  const stale = kernel.link(spec.hostName)
  if (stale === undefined) return
  if (stale.group !== LIVE_GROUP && stale.group !== PARKED_GROUP) throw error
  removeNow(kernel, stale.index)
}

/** Deletes a link and waits for it, about 20 ms: for the ways that end in an error anyhow. */
function removeNow(kernel: Kernel, index: number): void {
  const [outcome] = kernel.tryAll([deleteLink(index)])
  const error = outcome?.error
  if (error !== undefined && error.errno !== ENODEV) throw error
}

/** The refusal of an interface name that the container has already. */
export function ifnameExists(ifname: string, cause?: unknown): LariatError {
  return new LariatError(
    `Cannot make ${ifname} in the container: it has an interface of that name`,
    {
      code: "ifname-exists",
      hint: "Detach the container first, or give the interface another name.",
      cause,
    },
  )
}

function explain(error: NetlinkError, spec: PortSpec): LariatError {
  return error.errno === EXFULL ? fullBridge(spec.bridgeIndex, error) : error
}

function vanished({ hostName }: PortSpec): LariatError {
  return new LariatError(`Cannot find ${hostName}: somebody deleted it as soon as it was made`, {
    code: "kernel",
    hint: "Look for another program that removes interfaces.",
  })
}

/** Cut to what fits; an alias is for people and no reason to fail. */
function cutAlias(alias: string): string {
  let cut = alias
  while (new TextEncoder().encode(cut).byteLength > MAX_ALIAS_BYTES) cut = cut.slice(0, -1)
  return cut
}
