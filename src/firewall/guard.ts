/**
 * The table `bridge lariat`: what a container sends bears its own addresses, or goes nowhere.
 * Metadata, DNS and policy know a container by its source address; this is what makes that true.
 * The rules are fixed: an attach adds elements alone, and a packet meets the same few lookups
 * whether there is one container or a thousand.
 */

import * as n from "../netlink/nftables/constants.ts"
import * as e from "../netlink/nftables/expression.ts"
import {
  ETHER_KEY,
  IFINDEX_KEY,
  IPV4_KEY,
  IPV6_KEY,
  type SetSpec,
} from "../netlink/nftables/set.ts"
import type { Chain, Rule, Table } from "../netlink/nftables/table.ts"
import type { Layout } from "./layout.ts"
import { UDP } from "./packet.ts"

const TABLE: Table = {
  family: n.NFPROTO_BRIDGE,
  table: "lariat",
  flags: 0,
  comment: "Lariat: made by its agent, which mends it; do not edit",
}

/** Before others of the bridge family: NF_BR_PRI_NAT_DST_BRIDGED (-300) of linux/netfilter_bridge.h. */
const PRIORITY = -310

const GUARD: Chain = {
  name: "guard",
  base: {
    type: "filter",
    hook: n.NF_INET_PRE_ROUTING,
    priority: PRIORITY,
    policy: n.NF_ACCEPT,
  },
}
/** A chain stands before those that jump to it. No name is a word of nft's language. */
const CHAINS: readonly Chain[] = [
  { name: "of_arp" },
  { name: "of_ipv4" },
  { name: "discovery", comment: "link addresses in neighbour discovery" },
  { name: "solicitation", comment: "link addresses in router solicitations" },
  { name: "advertisement", comment: "of neighbours" },
  { name: "of_ipv6" },
  { name: "check" },
  { name: "fast", comment: "most packets are IPv4 of the right source" },
  GUARD,
]

/** By what the port sends; the port is the host's end, by its number. */
export const GUARD_SETS = {
  ports: { name: "ports", key: [IFINDEX_KEY] },
  macs: { name: "macs", key: [IFINDEX_KEY, ETHER_KEY] },
  ipv4: { name: "own4", key: [IFINDEX_KEY, ETHER_KEY, IPV4_KEY] },
  /** The link-local address too. */
  ipv6: { name: "own6", key: [IFINDEX_KEY, ETHER_KEY, IPV6_KEY] },
} as const satisfies Record<string, SetSpec>

export const GUARD_LAYOUT: Layout = {
  table: TABLE,
  chains: CHAINS,
  filled: Object.values(GUARD_SETS),
  limits: { chains: [], sets: [] },
}

/** Registers of a concatenation: port, MAC address, address. */
const PORT = n.NFT_REG_1
const MAC = n.NFT_REG32_01
const ADDRESS = n.NFT_REG32_03

/** Bytes of the Ethernet header (IEEE 802.3). */
const ETHER_SOURCE = 6
const ETHER_TYPE = 12
/** IEEE 802 numbers. Looked up in the frame: `meta protocol` looks through a VLAN tag. */
const ETHER_TYPES = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const
/** RFC 826: hardware type Ethernet, protocol IPv4, lengths 6 and 4; then operation, addresses. */
const ARP_OF_IPV4 = Uint8Array.of(0, 1, 8, 0, 6, 4)
const ARP_OPERATION = 6
const ARP_REQUEST = 1
const ARP_SENDER_MAC = 8
const ARP_SENDER_ADDRESS = 14
/** RFC 791 §3.1, RFC 8200 §3. */
const IPV4_SOURCE = 12
const IPV6_PAYLOAD_LENGTH = 4
const IPV6_SOURCE = 8
/** IANA's number of the protocol. */
const ICMPV6 = 58
/** RFC 4861 §4, RFC 3810 §5.2: types of ICMPv6. */
const ROUTER_SOLICITATION = 133
const ROUTER_ADVERTISEMENT = 134
const NEIGHBOUR_SOLICITATION = 135
const NEIGHBOUR_ADVERTISEMENT = 136
const REDIRECT = 137
const LISTENER_REPORT = 143
/** Bytes from the ICMPv6 header: target of neighbour discovery, first option of it, of a solicitation. */
const TARGET = 8
const DISCOVERY_OPTION = 24
const SOLICITATION_OPTION = 8
/** Bytes of an option that holds a link address, and where in it (RFC 4861 §4.6.1). */
const OPTION_BYTES = 8
const OPTION_ADDRESS = 2
/** RFC 3971 §5.3.2: the option that tells answers of one's own (RFC 7527). */
const NONCE = Uint8Array.of(14)
/** Ports of DHCP servers: RFC 2131 §4.1, RFC 8415 §7.2. */
const DHCP_SERVER = 67
const DHCPV6_SERVER = 547

const UNSPECIFIED_IPV4 = new Uint8Array(4)
const UNSPECIFIED_IPV6 = new Uint8Array(16)

const ACCEPT = e.verdict({ code: "accept" })
const DROP = [e.counter(), e.verdict({ code: "drop" })]
const go = (chain: string): e.Expression => e.verdict({ code: "goto", chain })

const holds = (
  base: e.PayloadBase,
  offset: number,
  value: Uint8Array,
  op: e.CmpOp = "eq",
): e.Expression[] => [e.payload(base, offset, value.length), e.cmp(value, { op })]

const network = (offset: number, value: Uint8Array): e.Expression[] =>
  holds("network", offset, value)
const icmpv6 = (type: number): e.Expression[] => [
  ...protocol(ICMPV6),
  ...holds("transport", 0, Uint8Array.of(type)),
]

function protocol(number: number): e.Expression[] {
  return [e.meta(n.NFT_META_L4PROTO), e.cmp(Uint8Array.of(number))]
}

function fromUdp(port: number): e.Expression[] {
  return [...protocol(UDP), ...holds("transport", 0, e.port(port))]
}

function etherType(type: number): e.Expression[] {
  return holds("link", ETHER_TYPE, e.port(type))
}

const port = e.meta(n.NFT_META_IIF, PORT)
const ofPort = [port, e.lookup(GUARD_SETS.ports.name)]
const source = e.payload("link", ETHER_SOURCE, ETHER_KEY.length, MAC)

/** Whether the port has the MAC address that stands somewhere in the packet. */
function isOwnMac(mac: e.Expression, negate = false): e.Expression[] {
  return [port, mac, e.lookup(GUARD_SETS.macs.name, { negate })]
}

/** Whether the port has the address that stands somewhere in the packet, with the MAC address. */
function isOwn(
  set: typeof GUARD_SETS.ipv4 | typeof GUARD_SETS.ipv6,
  { base, offset, mac = source }: { base: e.PayloadBase; offset: number; mac?: e.Expression },
  negate = false,
): e.Expression[] {
  const [, , { length }] = set.key
  return [port, mac, e.payload(base, offset, length, ADDRESS), e.lookup(set.name, { negate })]
}

const senderMac = e.payload("network", ARP_SENDER_MAC, ETHER_KEY.length, MAC)
const optionMac = (option: number): e.Expression =>
  e.payload("transport", option + OPTION_ADDRESS, ETHER_KEY.length, MAC)

const ARP: readonly Row[] = [
  [
    "of_arp",
    [
      ...network(0, ARP_OF_IPV4),
      ...isOwn(GUARD_SETS.ipv4, { base: "network", offset: ARP_SENDER_ADDRESS, mac: senderMac }),
      ACCEPT,
    ],
  ],
  [
    "of_arp",
    [
      ...network(ARP_OPERATION, e.port(ARP_REQUEST)),
      ...network(ARP_SENDER_ADDRESS, UNSPECIFIED_IPV4),
      ...isOwnMac(senderMac),
      ACCEPT,
    ],
    "address probes (RFC 5227)",
  ],
  ["of_arp", DROP, "ARP for others"],
]

const ownSource4 = isOwn(GUARD_SETS.ipv4, { base: "network", offset: IPV4_SOURCE })
const ownSource6 = (negate: boolean): e.Expression[] =>
  isOwn(GUARD_SETS.ipv6, { base: "network", offset: IPV6_SOURCE }, negate)
const ownTarget = (negate: boolean): e.Expression[] =>
  isOwn(GUARD_SETS.ipv6, { base: "transport", offset: TARGET }, negate)

/** How long an ICMPv6 message without other headers before it is. */
const isBytes = (length: number, op: e.CmpOp = "eq"): e.Expression[] =>
  holds("network", IPV6_PAYLOAD_LENGTH, e.port(length), op)

const IPV4: readonly Row[] = [
  ["of_ipv4", [...fromUdp(DHCP_SERVER), ...DROP], "DHCP server"],
  ["of_ipv4", [...ownSource4, ACCEPT]],
  ["of_ipv4", DROP, "IPv4 source"],
]

/**
 * What Linux sends has no option, or one: its own link address or a nonce. More than one is not
 * looked through.
 */
const IPV6: readonly Row[] = [
  ["advertisement", [...ownSource6(true), ...DROP], "neighbour advertisement"],
  ["advertisement", [...ownTarget(true), ...DROP], "neighbour advertisement"],
  ["advertisement", [go("discovery")]],
  ["discovery", [...isBytes(DISCOVERY_OPTION), ACCEPT]],
  ["discovery", [...isBytes(DISCOVERY_OPTION + OPTION_BYTES, "neq"), ...DROP], "link address"],
  ["discovery", [...holds("transport", DISCOVERY_OPTION, NONCE), ACCEPT]],
  ["discovery", [...isOwnMac(optionMac(DISCOVERY_OPTION)), ACCEPT]],
  ["discovery", DROP, "link address"],
  ["solicitation", [...isBytes(SOLICITATION_OPTION), ACCEPT]],
  ["solicitation", [...isOwnMac(optionMac(SOLICITATION_OPTION)), ACCEPT]],
  ["solicitation", DROP, "link address"],
  ["of_ipv6", [...icmpv6(ROUTER_ADVERTISEMENT), ...DROP], "router advertisement"],
  ["of_ipv6", [...icmpv6(REDIRECT), ...DROP], "redirect"],
  ["of_ipv6", [...fromUdp(DHCPV6_SERVER), ...DROP], "DHCP server"],
  ["of_ipv6", [...icmpv6(NEIGHBOUR_ADVERTISEMENT), go("advertisement")]],
  [
    "of_ipv6",
    [
      ...icmpv6(NEIGHBOUR_SOLICITATION),
      ...network(IPV6_SOURCE, UNSPECIFIED_IPV6),
      ...ownTarget(false),
      ACCEPT,
    ],
    "whether somebody else has its address",
  ],
  [
    "of_ipv6",
    [...icmpv6(LISTENER_REPORT), ...network(IPV6_SOURCE, UNSPECIFIED_IPV6), ACCEPT],
    "groups of a port that has no address yet",
  ],
  [
    "of_ipv6",
    [
      ...icmpv6(ROUTER_SOLICITATION),
      ...network(IPV6_SOURCE, UNSPECIFIED_IPV6),
      ...isBytes(SOLICITATION_OPTION),
      ACCEPT,
    ],
  ],
  ["of_ipv6", [...ownSource6(true), ...DROP], "IPv6 source"],
  ["of_ipv6", [...icmpv6(NEIGHBOUR_SOLICITATION), go("discovery")]],
  ["of_ipv6", [...icmpv6(ROUTER_SOLICITATION), go("solicitation")]],
  ["of_ipv6", [ACCEPT]],
]

/** Chain, expressions, and what is dropped or why it is let through. */
type Row = readonly [chain: string, expressions: readonly e.Expression[], comment?: string]

const ROWS: readonly Row[] = [
  ...ARP,
  ...IPV4,
  ...IPV6,
  ["check", [...isOwnMac(source, true), ...DROP], "MAC address"],
  ["check", [...etherType(ETHER_TYPES.ipv4), go("of_ipv4")]],
  ["check", [...etherType(ETHER_TYPES.ipv6), go("of_ipv6")]],
  ["check", [...etherType(ETHER_TYPES.arp), go("of_arp")]],
  ["check", DROP, "protocol"],
  ["fast", [...fromUdp(DHCP_SERVER), ...ofPort, go("check")]],
  ["fast", [...ownSource4, ACCEPT]],
  ["fast", [...ofPort, go("check")]],
  [GUARD.name, [...etherType(ETHER_TYPES.ipv4), go("fast")]],
  [GUARD.name, [...ofPort, go("check")]],
]

export const GUARD_RULES: readonly Rule[] = ROWS.map(([chain, expressions, comment]) => ({
  chain,
  expressions,
  comment,
}))

/** Frames that were dropped, counted by the rules of the table: by what was wrong. */
export function forgedBy(rules: readonly Rule[]): Readonly<Record<string, number>> {
  const forged: Record<string, number> = {}
  for (const { comment, expressions } of rules) {
    for (const one of expressions) {
      if (one.kind !== "counter" || comment === undefined) continue
      forged[comment] = (forged[comment] ?? 0) + Number(one.packets)
    }
  }
  return forged
}
