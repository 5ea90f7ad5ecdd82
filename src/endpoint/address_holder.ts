/** Who else has an address on a bridge: somebody whose port is not Lariat's. */

import { askForNeigh, getNeigh, portOfMac } from "../netlink/route/neigh.ts"
import { LIVE_GROUP } from "./host_link.ts"
import type { Kernel } from "./kernel.ts"

/** Somebody with an address. */
export interface AddressHolder {
  readonly mac: string
  /** The bridge's port behind which it is. */
  readonly port: string
}

/**
 * The holder of an address as the kernel knows it now, without asking anybody: a neighbour whose
 * MAC address the bridge has seen behind a port that is not ours. What is left of a container that
 * went is none: the bridge forgets MAC addresses with their port.
 *
 * @throws NetlinkError
 */
export function foreignHolder(
  kernel: Kernel,
  bridge: number,
  address: string,
): AddressHolder | undefined {
  const { socket } = kernel
  const mac = getNeigh(socket, bridge, address)?.mac ?? ""
  if (mac === "") return undefined
  const port = portOfMac(socket, bridge, mac)
  const link = port === undefined || port === bridge ? undefined : kernel.link(port)
  if (link === undefined || link.group === LIVE_GROUP) return undefined
  return { mac, port: link.name }
}

/** The ports of a bridge that are not ours, by name, in the kernel's order. */
export function foreignPorts(kernel: Kernel, bridge: number): string[] {
  return kernel
    .links({ master: bridge })
    .filter(({ group }) => group !== LIVE_GROUP)
    .map(({ name }) => name)
}

/** Has the kernel ask who has these addresses, so that {@link foreignHolder} knows a moment later. */
export function askForHolders(kernel: Kernel, bridge: number, addresses: readonly string[]): void {
  // A family that the bridge does not speak is refused, which costs nothing.
  kernel.tryAll(addresses.map((address) => askForNeigh(bridge, address)))
}
