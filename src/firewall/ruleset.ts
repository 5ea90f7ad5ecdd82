/**
 * The table `inet lariat`: its chains, its rules, its sets. All of it but the limits of services is
 * fixed; what is configured or attached is in the sets alone, so that an attach never touches a rule
 * and a packet meets the same few lookups whether there is one container or a thousand.
 */

import * as n from "../netlink/nftables/constants.ts"
import * as e from "../netlink/nftables/expression.ts"
import { IFNAME_KEY, type SetSpec } from "../netlink/nftables/set.ts"
import type { Chain, Rule, Table } from "../netlink/nftables/table.ts"
import type { Layout } from "./layout.ts"
import { LIMIT_CHAINS, LIMIT_SETS, limitRules, type ServiceLimits } from "./limits.ts"
import { address, type FamilyLayout, IPV4, IPV6, TCP, UDP } from "./packet.ts"
import { ALL_TUNNEL_SETS, TUNNEL_CHAINS, tunnelRules } from "./tunnel_rules.ts"

const TABLE: Table = {
  family: n.NFPROTO_INET,
  table: "lariat",
  flags: 0,
  comment: "Lariat: made by its agent, which mends it; do not edit",
}

/** Source NAT of others is at 100 (NF_IP_PRI_NAT_SRC of linux/netfilter_ipv4.h). */
const NAT_SRC_PRIORITY = 100

const TRANSLATE = "translate"

/**
 * The base chain comes one step before everybody else's source NAT, because chains of one
 * priority run in the order of their making, which differs between boots. The system that this
 * one replaces hooked itself in as the first rule for the same reason.
 */
const POSTROUTING: Chain = {
  name: "postrouting",
  base: {
    type: "nat",
    hook: n.NF_INET_POST_ROUTING,
    priority: NAT_SRC_PRIORITY - 1,
    policy: n.NF_ACCEPT,
  },
}

/** NF_IP_PRI_MANGLE of linux/netfilter_ipv4.h: where packets are changed, before filters see them. */
const MANGLE_PRIORITY = -150

const FORWARD: Chain = {
  name: "forward",
  base: {
    type: "filter",
    hook: n.NF_INET_FORWARD,
    priority: MANGLE_PRIORITY,
    policy: n.NF_ACCEPT,
  },
}
const CLAMP = "clamp"
const SHORTEN = "shorten"

const CHAINS: readonly Chain[] = [
  ...LIMIT_CHAINS,
  ...TUNNEL_CHAINS,
  { name: TRANSLATE, comment: "the host's address becomes the source" },
  POSTROUTING,
  { name: SHORTEN, comment: "TCP offers no larger segments than the path carries" },
  { name: CLAMP, comment: "connections whose path may be narrower than their ends know" },
  FORWARD,
]

/** The sets of one family, by what they are for; their names end in 4 or 6. */
function setsOf({ suffix, key }: FamilyLayout) {
  return {
    never: {
      name: `never${suffix}`,
      key: [key],
      interval: true,
      comment: "destinations that always see the container's own address",
    },
    home: {
      name: `home${suffix}`,
      key: [key, IFNAME_KEY],
      interval: true,
      comment: "subnets and their own bridge, where they keep their source",
    },
    hostnat: {
      name: `hostnat${suffix}`,
      key: [key],
      interval: true,
      comment: "subnets that leave this host under its address (hostNat)",
    },
    inside: {
      name: `inside${suffix}`,
      key: [key, key],
      interval: true,
      comment: "source and destination in one subnet (for ipMasq)",
    },
    masquerade: {
      name: `masquerade${suffix}`,
      key: [key],
      comment: "containers that leave their subnet under the host's address (ipMasq)",
    },
    clamp: {
      name: `clamp${suffix}`,
      key: [key],
      interval: true,
      comment: "subnets whose TCP connections heed the MTU of their path",
    },
  } as const satisfies Record<string, SetSpec>
}

export const SETS = { 4: setsOf(IPV4), 6: setsOf(IPV6) } as const
export const CLAMP_LINKS = {
  name: "clamplinks",
  key: [IFNAME_KEY],
  comment: "devices whose TCP connections heed the MTU of their path",
} as const satisfies SetSpec

export const LAYOUT: Layout = {
  table: TABLE,
  chains: CHAINS,
  filled: [...ALL_TUNNEL_SETS, ...Object.values(SETS[4]), ...Object.values(SETS[6]), CLAMP_LINKS],
  limits: { chains: LIMIT_CHAINS, sets: LIMIT_SETS },
}

const RETURN = e.verdict({ code: "return" })

function translate(comment: string, match: readonly e.Expression[]): Rule {
  const go = e.verdict({ code: "goto", chain: TRANSLATE })
  return { chain: POSTROUTING.name, comment, expressions: [...match, e.counter(), go] }
}

/**
 * With bridge-nf-call-iptables=1 frames between two containers of one bridge come through here
 * too. The kernel then names the bridge as outgoing interface, so `home` and `inside` let them
 * pass as they are, and with 0 they never come: the rules are the same for both.
 */
function rulesOf(family: FamilyLayout): { exempt: Rule[]; masquerade: Rule[] } {
  const sets = setsOf(family)
  const { key, source, destination, second } = family
  const from = address(family, source)
  const chain = POSTROUTING.name
  return {
    exempt: [
      {
        chain,
        expressions: [...address(family, destination), e.lookup(sets.never.name), RETURN],
      },
      {
        chain,
        expressions: [
          ...from,
          e.meta(n.NFT_META_OIFNAME, second),
          e.lookup(sets.home.name),
          RETURN,
        ],
      },
    ],
    masquerade: [
      translate("hostNat", [...from, e.lookup(sets.hostnat.name)]),
      translate("ipMasq", [
        ...from,
        e.lookup(sets.masquerade.name),
        e.payload("network", source, key.length),
        e.payload("network", destination, key.length, second),
        e.lookup(sets.inside.name, { negate: true }),
      ]),
    ],
  }
}

/** First and last source port of masqueraded connections, as in the system that this replaces. */
const PORTS = { first: 1024, last: 65535 }

/**
 * Ports are drawn at random (fully-random) although that gives every connection a new one, so that
 * hole punching from a container needs a relay. By default the kernel keeps a port where it looks
 * free, but it is taken only when the first packet has left: two containers that ask one DNS
 * server from the same port at once then draw the same answer, and one packet is dropped, which
 * costs a lookup its whole timeout. A port that cannot be guessed also shields DNS answers
 * (RFC 6056).
 */
const RANDOM = n.NF_NAT_RANGE_PROTO_RANDOM_FULLY

function translatePorts(protocol: number): Rule {
  return {
    chain: TRANSLATE,
    expressions: [
      e.meta(n.NFT_META_L4PROTO),
      e.cmp(Uint8Array.of(protocol)),
      e.immediate(n.NFT_REG_1, e.port(PORTS.first)),
      e.immediate(n.NFT_REG_2, e.port(PORTS.last)),
      e.masquerade(n.NF_NAT_RANGE_PROTO_SPECIFIED | RANDOM, {
        min: n.NFT_REG_1,
        max: n.NFT_REG_2,
      }),
    ],
  }
}

/** Byte of the TCP header that holds the flags, and the one that opens connections: RFC 9293 §3.1. */
const TCP_FLAGS = 13
const SYN = Uint8Array.of(0x02)

/** All that a forwarded packet that opens no connection meets. */
const SYN_ALONE: Rule = {
  chain: FORWARD.name,
  expressions: [
    e.meta(n.NFT_META_L4PROTO),
    e.cmp(Uint8Array.of(TCP)),
    e.payload("transport", TCP_FLAGS, 1),
    e.bitwiseAnd(SYN),
    e.cmp(Uint8Array.of(0), { op: "neq" }),
    e.verdict({ code: "jump", chain: CLAMP }),
  ],
}

function clamp(match: readonly e.Expression[], set: SetSpec): Rule {
  const go = e.verdict({ code: "goto", chain: SHORTEN })
  return { chain: CLAMP, expressions: [...match, e.lookup(set.name), go] }
}

/** Either end may be the one whose path is narrow; the answer's SYN is a packet of its own. */
function clampsOf(family: FamilyLayout): Rule[] {
  const set = setsOf(family).clamp
  return [
    clamp(address(family, family.source), set),
    clamp(address(family, family.destination), set),
  ]
}

/** What the host says to itself, from 10.42.0.1 too, must not get lo's address as source. */
const TO_THIS_HOST: Rule = {
  chain: POSTROUTING.name,
  comment: "to this host itself",
  expressions: [e.meta(n.NFT_META_OIFNAME), e.cmp(e.interfaceName("lo")), RETURN],
}

const FIXED_RULES: readonly Rule[] = [
  { chain: SHORTEN, expressions: e.clampMss() },
  ...clampsOf(IPV4),
  ...clampsOf(IPV6),
  clamp([e.meta(n.NFT_META_IIFNAME)], CLAMP_LINKS),
  clamp([e.meta(n.NFT_META_OIFNAME)], CLAMP_LINKS),
  ...tunnelRules(FORWARD.name),
  SYN_ALONE,
  translatePorts(TCP),
  translatePorts(UDP),
  { chain: TRANSLATE, expressions: [e.masquerade(RANDOM)] },
  TO_THIS_HOST,
  ...rulesOf(IPV4).exempt,
  ...rulesOf(IPV6).exempt,
  ...rulesOf(IPV4).masquerade,
  ...rulesOf(IPV6).masquerade,
]

/** All rules, chain by chain. @param limits default none */
export function rulesFor(limits?: ServiceLimits): readonly Rule[] {
  return [...FIXED_RULES, ...limitRules(limits)]
}
