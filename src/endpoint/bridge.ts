/** The bridge that containers are attached to. */

import { randomBytes } from "node:crypto"
import { parseMac, randomMac } from "../core/mac.ts"
import { LariatError } from "../errors.ts"
import { deleteAddress, newAddress } from "../netlink/route/addr.ts"
import {
  changeLink,
  deleteLink,
  type LinkChange,
  type LinkInfo,
  newBridge,
} from "../netlink/route/link.ts"
import { IFF_PROMISC } from "../netlink/route/link_constants.ts"
import { EEXIST } from "../sys/ffi/errno.ts"
import { usesIpv6 } from "./container_batch.ts"
import { BRIDGE_GROUP } from "./host_link.ts"
import { enableIpv6, skipDuplicateDetection } from "./ipv6.ts"
import type { Kernel } from "./kernel.ts"
import { failAfterUndo } from "./undo.ts"

/** What the bridge is to be. */
export interface BridgeSpec {
  readonly name: string
  /** Bytes, for a bridge that is made; 0: the kernel's default. */
  readonly mtu: number
  /** For a bridge that is made. Default: random, locally administered. */
  readonly mac?: string | undefined
  /** Whether a missing bridge is made. */
  readonly create: boolean
  /** Set promiscuous; false leaves it as it is. */
  readonly promisc: boolean
  /** With prefix length; added beside those that are there. */
  readonly addresses: readonly string[]
}

/** What the bridge is. */
export interface Bridge {
  readonly index: number
  readonly name: string
  readonly mac: string
  readonly mtu: number
  readonly created: boolean
  /** Whether it was there and down. */
  readonly broughtUp: boolean
  /** All it has now, the primary one first. */
  readonly addresses: readonly string[]
  readonly addedAddresses: readonly string[]
}

/** Bridges whose MAC was pinned by this process: doing it again would only make noise. */
const pinned = new WeakMap<Kernel, Set<number>>()

/**
 * Makes sure that the bridge is there, up, with a MAC that stays, and has the addresses. Never
 * takes an address away. May be called again at any time.
 *
 * @throws LariatError bridge-invalid, config-invalid; NetlinkError. What it made is undone then
 */
export function ensureBridge(kernel: Kernel, spec: BridgeSpec): Bridge {
  const { link, created } = findOrMake(kernel, spec)
  const added: string[] = []
  try {
    settle(kernel, link, spec)
    addMissing(kernel, link, spec.addresses, added)
    const addresses = kernel.addresses(link.index).map(({ address }) => address)
    const { index, name, mac, mtu } = link
    const broughtUp = !link.up
    return { index, name, mac, mtu, created, broughtUp, addresses, addedAddresses: added }
  } catch (error) {
    const steps = created
      ? [() => void kernel.apply([deleteLink(link.index)])]
      : added.map((address) => () => void kernel.apply([deleteAddress(link.index, address)]))
    failAfterUndo(`setting up bridge ${spec.name}`, error, steps)
  }
}

function findOrMake(kernel: Kernel, spec: BridgeSpec): { link: LinkInfo; created: boolean } {
  let link = kernel.link(spec.name)
  const missing = link === undefined
  if (missing) {
    if (!spec.create) throw missingBridge(spec.name)
    make(kernel, spec)
    link = kernel.link(spec.name)
  }
  if (link === undefined) throw missingBridge(spec.name)
  if (link.kind !== "bridge") {
    throw new LariatError(
      `Cannot use ${spec.name} as a bridge: it is ${link.kind === "" ? "a network device" : `a ${link.kind}`}`,
      { code: "bridge-invalid", hint: "Name a bridge, or a name that is free, in `bridge`." },
    )
  }
  return { link, created: missing }
}

function make(kernel: Kernel, { name, mtu, mac }: BridgeSpec): void {
  // Without a MAC of its own a bridge takes that of a port, and changes it as ports come and go.
  const own = mac ?? randomMac((n) => new Uint8Array(randomBytes(n)))
  const bridge = newBridge({
    name,
    mac: parseMac(own),
    group: BRIDGE_GROUP,
    ...(mtu > 0 ? { mtu } : {}),
    up: true,
  })
  // Another program may have been quicker; what it made is looked at as any other.
  kernel.socket.attempt(bridge, EEXIST)
}

function settle(kernel: Kernel, link: LinkInfo, spec: BridgeSpec): void {
  const known = pinned.get(kernel) ?? new Set<number>()
  pinned.set(kernel, known)
  const change: LinkChange = {
    up: link.up ? undefined : true,
    promiscuous: spec.promisc && (link.flags & IFF_PROMISC) === 0 ? true : undefined,
    // Setting the MAC it has keeps that one for good.
    mac: known.has(link.index) ? undefined : parseMac(link.mac),
  }
  if (Object.values(change).every((value) => value === undefined)) return
  kernel.apply([changeLink(link.index, change, `set up bridge ${link.name}`)])
  known.add(link.index)
}

function addMissing(
  kernel: Kernel,
  link: LinkInfo,
  wanted: readonly string[],
  added: string[],
): void {
  const present = kernel.addresses(link.index).map(({ address }) => address)
  const missing = wanted.filter((address) => !present.includes(address))
  if (usesIpv6(missing)) {
    enableIpv6(kernel.netns, link.name)
    // While its link-local address is looked for duplicates of, no neighbour is asked for.
    skipDuplicateDetection(kernel.netns, link.name)
  }
  for (const address of missing) {
    const [outcome] = kernel.tryAll([newAddress(link.index, address)])
    if (outcome?.error?.errno === EEXIST) continue
    if (outcome?.error !== undefined) throw outcome.error
    added.push(address)
  }
}

function missingBridge(name: string): LariatError {
  return new LariatError(`Cannot use bridge ${name}: there is none`, {
    code: "bridge-invalid",
    hint:
      name === "docker0"
        ? "Docker makes it: start Docker, or let Lariat make it with createBridge: always."
        : `Make it, or let Lariat make it with createBridge: always.`,
  })
}
