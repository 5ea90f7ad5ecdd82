/**
 * What one source may ask of this host's services, held by the kernel: what is beyond it takes
 * neither a place in a socket's queue nor the agent's time, so that others are answered as before.
 */

import { parseAddress } from "../core/address.ts"
import * as n from "../netlink/nftables/constants.ts"
import * as e from "../netlink/nftables/expression.ts"
import { IPV4_KEY, IPV6_KEY, type SetSpec } from "../netlink/nftables/set.ts"
import type { Chain, Rule } from "../netlink/nftables/table.ts"
import { address, type FamilyLayout, IPV4, IPV6, TCP, UDP } from "./packet.ts"

/** The limits, by the names of their settings. */
export const LIMIT_NAMES = [
  "connections",
  "connectionsInAll",
  "connectionsPerSecond",
  "bytesPerSecond",
  "queriesPerSecond",
] as const
export type LimitName = (typeof LIMIT_NAMES)[number]

/** What single sources may do, and all together; 0 bounds nothing. */
export type LimitValues = Readonly<Record<LimitName, number>>

/** Where a service listens; `0.0.0.0` and `::` are all addresses of the host. */
export interface Service {
  readonly protocol: "tcp" | "udp"
  readonly address: string
  readonly port: number
}

export interface ServiceLimits {
  readonly services: readonly Service[]
  readonly values: LimitValues
}

/** Others filter at 0 (NF_IP_PRI_FILTER of linux/netfilter_ipv4.h). */
const BEFORE_FILTERS = -1

const INPUT: Chain = {
  name: "input",
  base: {
    type: "filter",
    hook: n.NF_INET_LOCAL_IN,
    priority: BEFORE_FILTERS,
    policy: n.NF_ACCEPT,
  },
}
const CONNECTIONS = "connections"
const QUERIES = "queries"

/** A chain stands before those that jump to it. */
export const LIMIT_CHAINS: readonly Chain[] = [
  { name: CONNECTIONS, comment: "TCP to this host's services" },
  { name: QUERIES, comment: "datagrams to this host's services" },
  INPUT,
]

/** Sources beyond so many are not bounded: forged ones must not take all memory. */
const MAX_SOURCES = 65_535
const FORGOTTEN_AFTER_MS = 60_000

const SET_NAMES: Readonly<Record<LimitName, string>> = {
  connections: "open",
  connectionsInAll: "together",
  connectionsPerSecond: "opening",
  bytesPerSecond: "sending",
  queriesPerSecond: "asking",
}

/** One set of sources for each limit and family. Connections are forgotten when they end. */
export const LIMIT_SETS: readonly SetSpec[] = LIMIT_NAMES.flatMap((name) =>
  [IPV4, IPV6].map(({ suffix }) => ({
    name: setName(name, suffix),
    key: [suffix === "4" ? IPV4_KEY : IPV6_KEY],
    dynamic: name.endsWith("PerSecond")
      ? { size: MAX_SOURCES, timeoutMs: FORGOTTEN_AFTER_MS }
      : { size: MAX_SOURCES },
  })),
)

function setName(name: LimitName, suffix: string): string {
  return SET_NAMES[name] + suffix
}

/** Byte of the TCP header that holds the flags, SYN and ACK: RFC 9293 §3.1. */
const TCP_FLAGS = 13
const SYN = 0x02
const ACK = 0x10
const DESTINATION_PORT = 2

/** The rules of {@link LIMIT_CHAINS}; none without limits. */
export function limitRules(limits: ServiceLimits | undefined): Rule[] {
  if (limits === undefined) return []
  const { values } = limits
  if (LIMIT_NAMES.every((name) => values[name] === 0)) return []
  const { connections, connectionsInAll, connectionsPerSecond, bytesPerSecond } = values
  const ofGroup = Math.ceil(connectionsInAll / GROUPS)
  return [
    ...beyond(CONNECTIONS, "bytesPerSecond", rateOf("bytes", bytesPerSecond)),
    OPENS_NONE,
    ...beyond(CONNECTIONS, "connectionsPerSecond", rateOf("packets", connectionsPerSecond)),
    ...beyond(CONNECTIONS, "connections", { kind: "connections-over", count: connections }),
    ...beyond(CONNECTIONS, "connectionsInAll", { kind: "connections-over", count: ofGroup }),
    ...beyond(QUERIES, "queriesPerSecond", rateOf("packets", values.queriesPerSecond)),
    FROM_THIS_HOST,
    ...limits.services.map(toService),
  ]
}

/** A second's worth may come at once; of bytes two, since the kernel adds one. */
function rateOf(of: "packets" | "bytes", perSecond: number): e.Limit {
  return { kind: "rate-over", of, perSecond, burst: perSecond }
}

function beyond(chain: string, name: LimitName, limit: e.Limit): Rule[] {
  if ((limit.kind === "rate-over" ? limit.perSecond : limit.count) === 0) return []
  const renew = limit.kind === "rate-over"
  return [IPV4, IPV6].map((family) => ({
    chain,
    comment: name,
    expressions: [
      ...address(family, family.source),
      ...(name === "connectionsInAll" ? [e.bitwiseAnd(groupMask(family))] : []),
      e.limitEach(setName(name, family.suffix), limit, { renew }),
      e.counter(),
      e.verdict({ code: "drop" }),
    ],
  }))
}

/**
 * The kernel goes through the list of all that it counts together at each new connection: 8,000 take
 * 0.65 ms. So sources are counted in groups, by the last bits of their addresses; one that has all
 * that it may have leaves room in its group.
 */
const GROUPS = 16

function groupMask({ key }: FamilyLayout): Uint8Array {
  const mask = new Uint8Array(key.length)
  mask[key.length - 1] = GROUPS - 1
  return mask
}

/** What follows is of new connections. */
const OPENS_NONE: Rule = {
  chain: CONNECTIONS,
  comment: "of a connection that there is",
  expressions: [
    // For people who list it: what comes here is TCP.
    e.meta(n.NFT_META_L4PROTO),
    e.cmp(Uint8Array.of(TCP)),
    e.payload("transport", TCP_FLAGS, 1),
    e.bitwiseAnd(Uint8Array.of(SYN | ACK)),
    e.cmp(Uint8Array.of(SYN), { op: "neq" }),
    e.verdict({ code: "return" }),
  ],
}

/** What containers in the host's own network ask comes by it too. */
const FROM_THIS_HOST: Rule = {
  chain: INPUT.name,
  comment: "from this host itself",
  expressions: [
    e.meta(n.NFT_META_IIFNAME),
    e.cmp(e.interfaceName("lo")),
    e.verdict({ code: "return" }),
  ],
}

function toService({ protocol, address: text, port }: Service): Rule {
  const { bytes, family } = parseAddress(text)
  const layout = family === 4 ? IPV4 : IPV6
  const isAny = bytes.every((byte) => byte === 0)
  const chain = protocol === "tcp" ? CONNECTIONS : QUERIES
  return {
    chain: INPUT.name,
    expressions: [
      ...(isAny ? [] : [...address(layout, layout.destination), e.cmp(bytes)]),
      e.meta(n.NFT_META_L4PROTO),
      e.cmp(Uint8Array.of(protocol === "tcp" ? TCP : UDP)),
      e.payload("transport", DESTINATION_PORT, 2),
      e.cmp(e.port(port)),
      e.verdict({ code: "jump", chain }),
    ],
  }
}
