/** Making a container's port: one veth pair, one transaction. */

import { parseMac } from "../core/mac.ts"
import { LariatError } from "../errors.ts"
import type { NetlinkError } from "../netlink/error.ts"
import {
  changeLink,
  deleteLink,
  getLink,
  type LinkRef,
  newVeth,
  queryLink,
} from "../netlink/route/link.ts"
import { decodeLink, type LinkInfo } from "../netlink/route/link_codec.ts"
import type { Outcome } from "../netlink/socket.ts"
import { EEXIST, ENODEV } from "../sys/ffi/errno.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { countPort, fullBridge, refuseFullBridge } from "./bridge_ports.ts"
import {
  configureEnd,
  openContainer,
  settleIpv6,
  vanished,
  withoutLinkLocal,
} from "./container_end.ts"
import { LIVE_GROUP, PARKED_GROUP } from "./host_link.ts"
import { type Kernel, openInside } from "./kernel.ts"
import type { Port, PortSpec } from "./port.ts"
import { untilRunning } from "./running.ts"
import { shieldNewLink } from "./shield.ts"
import { failAfterUndo } from "./undo.ts"

/** asm-generic/errno.h: what a bridge with all its ports says. */
const EXFULL = 54
/** IFALIASZ of linux/if.h, less its zero. */
const MAX_ALIAS_BYTES = 255

/**
 * Makes a veth pair whose one end is a port of the bridge and whose other end is born in the
 * container with its name, MAC, MTU, addresses and routes, up. A route that is there already
 * stays as it is: another interface of the container was first. Without an IPv6 address the
 * container's end has no link-local one either.
 *
 * @throws LariatError ifname-exists, bridge-full, config-invalid; NetlinkError. Nothing is left
 * behind then; a TeardownError says what could not be undone
 */
export function createPort(kernel: Kernel, netns: Netns, spec: PortSpec): Port {
  refuseFullBridge(kernel, spec.bridgeIndex)
  makePair(kernel, netns, spec)
  try {
    const port = connect(kernel, netns, spec)
    countPort(kernel, spec.bridgeIndex, 1)
    return port
  } catch (error) {
    failAfterUndo(`making the port ${spec.hostName}`, error, [
      () => removeNow(kernel, spec.hostName),
    ])
  }
}

function connect(kernel: Kernel, netns: Netns, spec: PortSpec): Port {
  const socket = openContainer(netns, spec)
  try {
    const end = configureEnd(socket, spec)
    const host = openGate(kernel, spec)
    shieldNewLink(kernel, host)
    untilRunning([end], () => [getLink(socket, spec.ifname) ?? end])
    settleIpv6(socket, spec.addresses)
    return {
      hostName: host.name,
      hostIndex: host.index,
      hostMac: host.mac,
      containerIndex: end.index,
      mac: spec.mac,
      mtu: spec.mtu,
    }
  } finally {
    socket.close()
  }
}

/**
 * Waits until the port and its bridge pass packets, which asking for them makes recent kernels do
 * at once: first the port forwards, then a bridge whose first port it is has a carrier.
 *
 * @returns the host's end
 */
function openGate(kernel: Kernel, { hostName, bridgeIndex }: PortSpec): LinkInfo {
  const ask = (): readonly [LinkInfo, ...LinkInfo[]] => {
    const told = kernel.tryAll([queryLink(hostName), queryLink(bridgeIndex)])
    const [port, bridge] = told.map(({ answers: [answer] }) => answer && decodeLink(answer))
    if (port === undefined) throw told[0]?.error ?? vanished(hostName)
    return bridge === undefined ? [port] : [port, bridge]
  }
  const [host] = untilRunning(ask(), ask)
  return host
}

function makePair(kernel: Kernel, netns: Netns, spec: PortSpec, again = true): void {
  const [made, described] = tryPair(kernel, netns, spec)
  if (made?.error !== undefined) {
    if (!again || made.error.errno !== EEXIST) throw explain(made.error, spec)
    clearStale(kernel, netns, spec, made.error)
    makePair(kernel, netns, spec, false)
    return
  }
  if (described?.error === undefined) return
  failAfterUndo(`making the port ${spec.hostName}`, described.error, [
    () => removeNow(kernel, spec.hostName),
  ])
}

function tryPair(kernel: Kernel, netns: Netns, spec: PortSpec): readonly Outcome[] {
  const both = { mtu: spec.mtu, queues: 1 }
  return kernel.tryAll([
    newVeth({
      ...both,
      name: spec.hostName,
      master: spec.bridgeIndex,
      group: LIVE_GROUP,
      up: true,
      peer: { ...both, name: spec.ifname, mac: parseMac(spec.mac), netnsFd: netns.fd },
    }),
    // The kernel takes neither of these from the message that makes a link.
    changeLink(spec.hostName, {
      alias: cutAlias(spec.alias),
      port: spec.hairpin ? { hairpin: true } : undefined,
    }),
    withoutLinkLocal(spec.hostName),
  ])
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
function removeNow(kernel: Kernel, link: LinkRef): void {
  kernel.socket.attempt(deleteLink(link), ENODEV)
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

/** Cut to what fits; an alias is for people and no reason to fail. */
function cutAlias(alias: string): string {
  let cut = alias
  while (new TextEncoder().encode(cut).byteLength > MAX_ALIAS_BYTES) cut = cut.slice(0, -1)
  return cut
}
