/** What each set of the table holds, for a state of the firewall. */

import { type Family, networkOf, type Prefix, parsePrefix } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import type { SetElement } from "../netlink/nftables/element.ts"
import { interfaceName } from "../netlink/nftables/expression.ts"
import { elementKey } from "./element_key.ts"
import { intervalElements, outermost, prefixTwice, prefixWith } from "./intervals.ts"
import type { Contents } from "./layout.ts"
import type { Masquerades } from "./masquerades.ts"
import { CLAMP_LINKS, SETS } from "./ruleset.ts"
import type { FirewallState, HostNat } from "./state.ts"

/** Everything but the masqueraded addresses, read and checked. */
export interface Networks {
  readonly hostNat: readonly { readonly subnet: Prefix; readonly bridge: string }[]
  readonly overlay: readonly Prefix[]
  readonly clamp: { readonly prefixes: readonly Prefix[]; readonly links: readonly string[] }
}

/**
 * Where the source always stays. Multicast and the broadcast of the own link reach postrouting
 * only as frames of a bridge; NAT would make their answers go astray. IPv6 link-local likewise.
 */
const ALWAYS: Readonly<Record<Family, readonly string[]>> = {
  4: [
    // Metadata and DNS know the asker by its source; matters where the address is routed.
    "169.254.169.250/32",
    "224.0.0.0/4", // multicast, RFC 5771
    "255.255.255.255/32", // limited broadcast, RFC 919
  ],
  6: [
    "fe80::/10", // link-local, RFC 4291 §2.5.6
    "ff00::/8", // multicast, RFC 4291 §2.7
  ],
}

const FAMILIES: readonly Family[] = [4, 6]

/** IFNAMSIZ of linux/if.h, less the terminating zero; a name has no slash and no white space. */
const INTERFACE_NAME = /^[^\s/]{1,15}$/

/** @throws LariatError config-invalid where a prefix, a bridge's or a device's name is none */
export function readNetworks({ hostNat, overlay, clamp = [] }: FirewallState): Networks {
  return {
    hostNat: hostNat.map(readHostNat),
    overlay: overlay.map(parsePrefix),
    clamp: {
      prefixes: clamp.filter(isPrefix).map(parsePrefix),
      links: clamp.filter((entry) => !isPrefix(entry)).map(readLink),
    },
  }
}

/** No interface's name has a slash. */
function isPrefix(entry: string): boolean {
  return entry.includes("/")
}

function isInterfaceName(text: string): boolean {
  return INTERFACE_NAME.test(text) && new TextEncoder().encode(text).length <= 15
}

function readLink(link: string): string {
  if (isInterfaceName(link)) return link
  throw new LariatError(
    `Cannot clamp the MSS of ${JSON.stringify(link)}: it is neither a prefix nor an interface name`,
    { code: "config-invalid", hint: "Give a prefix such as 10.42.0.0/16, or a device's name." },
  )
}

function readHostNat({ subnet, bridge }: HostNat): Networks["hostNat"][number] {
  if (!isInterfaceName(bridge)) {
    throw new LariatError(
      `Cannot masquerade ${subnet}: ${JSON.stringify(bridge)} is no interface name`,
      { code: "config-invalid", hint: "Name the network's bridge, at most 15 characters." },
    )
  }
  return { subnet: networkOf(parsePrefix(subnet)), bridge }
}

/** The wanted elements of every set. */
export function contentsOf(networks: Networks, masquerades: Masquerades): Contents {
  const contents = new Map<string, readonly SetElement[]>()
  for (const family of FAMILIES) {
    const ours = (prefix: Prefix): boolean => prefix.family === family
    const sets = SETS[family]
    const always = ALWAYS[family].map(parsePrefix)
    const subnets = networks.hostNat.map(({ subnet }) => subnet).filter(ours)
    contents.set(sets.never.name, intervalElements([...always, ...networks.overlay.filter(ours)]))
    contents.set(sets.hostnat.name, intervalElements(subnets))
    contents.set(sets.home.name, homes(networks, family))
    contents.set(sets.masquerade.name, addressElements(masquerades.addresses, family))
    contents.set(sets.inside.name, insideElements(masquerades, family))
    contents.set(sets.clamp.name, intervalElements(networks.clamp.prefixes.filter(ours)))
  }
  const links = [...new Set(networks.clamp.links)]
  contents.set(
    CLAMP_LINKS.name,
    links.map((link) => ({ key: interfaceName(link) })),
  )
  return contents
}

function homes({ hostNat }: Networks, family: Family): SetElement[] {
  const bridges = new Set(hostNat.map(({ bridge }) => bridge))
  return [...bridges].flatMap((bridge) => {
    const subnets = hostNat.filter((entry) => entry.bridge === bridge).map(({ subnet }) => subnet)
    return outermost(subnets)
      .filter((subnet) => subnet.family === family)
      .map((subnet) => prefixWith(subnet, interfaceName(bridge)))
  })
}

/** Elements of the set of masqueraded addresses. */
export function addressElements(addresses: readonly Prefix[], family: Family): SetElement[] {
  return addresses.filter((entry) => entry.family === family).map(({ bytes }) => ({ key: bytes }))
}

/** Elements that say which pairs of addresses share a subnet. */
export function insideElements(masquerades: Masquerades, family: Family): SetElement[] {
  return outermost(masquerades.subnets)
    .filter((subnet) => subnet.family === family)
    .map(prefixTwice)
}

/** Elements of `a` that `b` has not, each once. */
export function without(a: readonly SetElement[], b: readonly SetElement[]): SetElement[] {
  const left = new Map(a.map((element) => [elementKey(element), element]))
  for (const element of b) left.delete(elementKey(element))
  return [...left.values()]
}
