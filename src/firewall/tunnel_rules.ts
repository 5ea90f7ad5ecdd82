/**
 * Who may speak in tunnels. Containers may not make packets that look like a tunnel's; from other
 * hosts come those of peers alone, and each speaks for its own blocks. All that changes is in sets: a
 * packet meets the same lookups whether there is one peer or a thousand.
 */

import { LIVE_GROUP } from "../core/link_group.ts"
import * as n from "../netlink/nftables/constants.ts"
import * as e from "../netlink/nftables/expression.ts"
import {
  bytesKey,
  IFNAME_KEY,
  PORT_KEY,
  PROTOCOL_KEY,
  type SetSpec,
  SOURCE4,
  SOURCE6,
  UDP_PORT,
} from "../netlink/nftables/set.ts"
import type { Chain, Rule } from "../netlink/nftables/table.ts"
import { address, type FamilyLayout, IPV4, IPV6, UDP } from "./packet.ts"

/** What is dropped, by the names that `status` has. */
export const GUARD_NAMES = [
  /** Packets of containers that look like a tunnel's. */
  "tunnelsOfContainers",
  /** Frames of containers that their port's own device took, past the bridge. */
  "pastTheBridge",
  /** VXLAN of who is no peer, or of a peer for addresses that are not its own. */
  "foreignTunnels",
  /** Packets from addresses of the network that are not where they come from. */
  "foreignSources",
] as const
export type GuardName = (typeof GUARD_NAMES)[number]

const FAMILIES = [IPV4, IPV6] as const

/** Bytes from the UDP header on: RFC 768; RFC 7348 §5; RFC 791; RFC 8200. */
const UDP_DESTINATION = 2
const VXLAN_VNI = 8 + 4
const VNI_BYTES = 3
const INNER_FRAME = 8 + 8
const INNER_ETHERTYPE = INNER_FRAME + 12
const INNER_PACKET = INNER_FRAME + 14

/** Of both families, by what they are for. */
export const BRIDGES = {
  name: "bridges",
  key: [IFNAME_KEY],
  comment: "bridges of containers",
} as const satisfies SetSpec
export const TUNNEL_PORTS = {
  name: "tunnelports",
  key: [PORT_KEY],
  comment: "UDP ports of tunnels that take what comes",
} as const satisfies SetSpec
export const AUTHENTICATED_PORTS = {
  name: "authenticatedports",
  key: [PORT_KEY],
  comment: "UDP ports of tunnels that check a key",
} as const satisfies SetSpec
export const AUTHENTICATED_PROTOCOLS = {
  name: "authenticatedprotocols",
  key: [PROTOCOL_KEY],
  comment: "protocols of tunnels that check a key",
} as const satisfies SetSpec
export const VNIS = {
  name: "vnis",
  key: [{ ...PORT_KEY, place: UDP_PORT }, bytesKey(VXLAN_VNI, VNI_BYTES)],
  comment: "VXLAN of known peers alone: UDP port, VNI",
} as const satisfies SetSpec

function setsOf({ suffix, key }: FamilyLayout) {
  return {
    hosts: { name: `hosts${suffix}`, key: [key], comment: "addresses of other hosts" },
    guarded: {
      name: `guarded${suffix}`,
      key: [key],
      interval: true,
      comment: "networks of which this host's own blocks are known",
    },
    own: {
      name: `own${suffix}`,
      key: [key],
      interval: true,
      comment: "this host's blocks",
    },
    plain: {
      name: `plain${suffix}`,
      key: [key],
      interval: true,
      comment: "networks that are routed between hosts without a tunnel",
    },
    routed: {
      name: `routed${suffix}`,
      key: [IFNAME_KEY, key],
      interval: true,
      comment: "links, and the blocks of the peers behind them",
    },
  } as const satisfies Record<string, SetSpec>
}

export const TUNNEL_SETS = { 4: setsOf(IPV4), 6: setsOf(IPV6) } as const

/** The set of peers' addresses outside, each with a block of that peer. */
export function peersSet(outer: FamilyLayout, inner: FamilyLayout): SetSpec {
  return {
    name: `peers${outer.suffix}${inner.suffix}`,
    key: [
      { ...outer.key, place: outer === IPV4 ? SOURCE4 : SOURCE6 },
      bytesKey(INNER_PACKET + inner.source, inner.key.length),
    ],
    interval: true,
    comment: "addresses of VXLAN peers, and their blocks",
  }
}

/** Those whose elements are kept from an earlier agent until all peers are known. */
export const ALL_TUNNEL_SETS: readonly SetSpec[] = [
  ...[BRIDGES, TUNNEL_PORTS, AUTHENTICATED_PORTS, AUTHENTICATED_PROTOCOLS, VNIS],
  ...Object.values(TUNNEL_SETS[4]),
  ...Object.values(TUNNEL_SETS[6]),
  ...FAMILIES.flatMap((outer) => FAMILIES.map((inner) => peersSet(outer, inner))),
]

const UNWRAP = "unwrap"
const INWARD = "inward"
const OUTWARD = "outward"

/** One step before the limits of services, which others' filters (0) follow. */
const BEFORE_LIMITS = -2

const ARRIVALS: Chain = {
  name: "arrivals",
  base: {
    type: "filter",
    hook: n.NF_INET_LOCAL_IN,
    priority: BEFORE_LIMITS,
    policy: n.NF_ACCEPT,
  },
}

/** A chain stands before those that jump to it. */
export const TUNNEL_CHAINS: readonly Chain[] = [
  { name: UNWRAP, comment: "VXLAN to this host: each peer speaks for its own blocks" },
  { name: INWARD, comment: "what containers send to this host" },
  { name: OUTWARD, comment: "what containers send through this host" },
  ARRIVALS,
]

const ETHERTYPES = { "4": [0x08, 0x00], "6": [0x86, 0xdd] } as const

const RETURN = e.verdict({ code: "return" })

function jump(chain: string): e.Expression {
  return e.verdict({ code: "jump", chain })
}

function drop(name: GuardName, chain: string, expressions: readonly e.Expression[]): Rule {
  return {
    chain,
    comment: name,
    expressions: [...expressions, e.counter(), e.verdict({ code: "drop" })],
  }
}

function udpTo(set: SetSpec): e.Expression[] {
  return [
    e.meta(n.NFT_META_L4PROTO),
    e.cmp(Uint8Array.of(UDP)),
    e.payload("transport", UDP_DESTINATION, 2),
    e.lookup(set.name),
  ]
}

const AUTHENTICATED = [e.meta(n.NFT_META_L4PROTO), e.lookup(AUTHENTICATED_PROTOCOLS.name)]

function fromContainers(negate = false): e.Expression[] {
  return [e.meta(n.NFT_META_IIFNAME), e.lookup(BRIDGES.name, { negate })]
}

/** VXLAN of peers alone, by the address outside and the source inside. */
function unwrapRules(): Rule[] {
  const known = FAMILIES.flatMap((outer) =>
    FAMILIES.map((inner): Rule => {
      const second = outer === IPV4 ? n.NFT_REG32_01 : n.NFT_REG_2
      return {
        chain: UNWRAP,
        expressions: [
          e.payload("transport", INNER_ETHERTYPE, 2),
          e.cmp(Uint8Array.from(ETHERTYPES[inner.suffix])),
          ...address(outer, outer.source),
          e.payload("transport", INNER_PACKET + inner.source, inner.key.length, second),
          e.lookup(peersSet(outer, inner).name),
          RETURN,
        ],
      }
    }),
  )
  return [...known, drop("foreignTunnels", UNWRAP, [])]
}

/** Of networks that are routed: a source comes by a link behind which a peer has it. */
function routedRules(chain: string): Rule[] {
  return FAMILIES.map((family) => {
    const { plain, routed } = setsOf(family)
    return drop("foreignSources", chain, [
      ...address(family, family.source),
      e.lookup(plain.name),
      ...fromContainers(true),
      e.meta(n.NFT_META_IIFNAME),
      e.payload("network", family.source, family.key.length, n.NFT_REG_2),
      e.lookup(routed.name, { negate: true }),
    ])
  })
}

function outwardRules(): Rule[] {
  const { name } = BRIDGES
  const ofFamily = FAMILIES.flatMap((family) => {
    const { hosts, guarded, own } = setsOf(family)
    const to = address(family, family.destination)
    return [
      // To whom else may be a business of the container's own.
      drop("tunnelsOfContainers", OUTWARD, [
        ...to,
        e.lookup(hosts.name),
        ...udpTo(AUTHENTICATED_PORTS),
      ]),
      drop("tunnelsOfContainers", OUTWARD, [...to, e.lookup(hosts.name), ...AUTHENTICATED]),
      drop("foreignSources", OUTWARD, [
        ...to,
        e.lookup(guarded.name),
        e.payload("network", family.source, family.key.length),
        e.lookup(own.name, { negate: true }),
      ]),
    ]
  })
  return [
    // Between containers of this host; with bridge-nf-call-iptables also on one bridge.
    {
      chain: OUTWARD,
      expressions: [e.meta(n.NFT_META_OIFNAME), e.lookup(name), RETURN],
    },
    drop("tunnelsOfContainers", OUTWARD, udpTo(TUNNEL_PORTS)),
    ...ofFamily,
  ]
}

const ARRIVAL_RULES: readonly Rule[] = [
  {
    chain: ARRIVALS.name,
    comment: "from this host itself",
    expressions: [e.meta(n.NFT_META_IIFNAME), e.cmp(e.interfaceName("lo")), RETURN],
  },
  // A bridge gives what is sent to some groups of IEEE 802.1 to the port's own device.
  drop("pastTheBridge", ARRIVALS.name, [e.meta(n.NFT_META_IIFGROUP), e.cmp(hostOrder(LIVE_GROUP))]),
  { chain: ARRIVALS.name, expressions: [...fromContainers(), jump(INWARD)] },
  ...routedRules(ARRIVALS.name),
  {
    chain: ARRIVALS.name,
    expressions: [
      e.meta(n.NFT_META_L4PROTO),
      e.cmp(Uint8Array.of(UDP)),
      e.payload("transport", UDP_DESTINATION, 2),
      e.payload("transport", VXLAN_VNI, VNI_BYTES, n.NFT_REG32_01),
      e.lookup(VNIS.name),
      jump(UNWRAP),
    ],
  },
]

/** @param forward the chain of what passes through; these rules come first there */
export function tunnelRules(forward: string): readonly Rule[] {
  return [
    ...unwrapRules(),
    drop("tunnelsOfContainers", INWARD, udpTo(TUNNEL_PORTS)),
    drop("tunnelsOfContainers", INWARD, udpTo(AUTHENTICATED_PORTS)),
    drop("tunnelsOfContainers", INWARD, AUTHENTICATED),
    ...outwardRules(),
    ...ARRIVAL_RULES,
    { chain: forward, expressions: [...fromContainers(), jump(OUTWARD)] },
    ...routedRules(forward),
  ]
}

/** A number of 32 bits as the kernel's registers hold it. */
function hostOrder(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
