/**
 * Lets containers' traffic pass where another firewall drops what it does not know: iptables of an
 * nft back end, as ufw and Docker use it, whose FORWARD is at DROP. A drop is final whatever other
 * tables say, so the rule has to stand in the chain that drops, or that is kept open for others.
 */

import { familyOf, networkOf, parsePrefix } from "../core/address.ts"
import * as n from "../netlink/nftables/constants.ts"
import * as e from "../netlink/nftables/expression.ts"
import { NfTables } from "../netlink/nftables/socket.ts"
import {
  type Chain,
  deleteRule,
  describeTable,
  newRule,
  type PlacedRule,
  type Rule,
  type TableRef,
} from "../netlink/nftables/table.ts"
import { type FamilyLayout, IPV4, IPV6 } from "./packet.ts"

/** What can be asked of the ruleset; {@link NfTables} asks the kernel. */
export type ForeignRules = Pick<NfTables, "chain" | "placedRules" | "commit" | "close">

/** What tells our rules from those of others; `iptables-save` shows it too. */
export const MARK = "lariat: "

/** A chain of somebody else's, and whether it needs rules of ours. */
interface Place extends TableRef {
  readonly chain: string
  readonly isShut: boolean
}

export class ForwardPass {
  readonly #ruleset: ForeignRules

  /** @param ruleset `open` gives the kernel's */
  constructor(ruleset: ForeignRules) {
    this.#ruleset = ruleset
  }

  /** Of the current network namespace. @throws as {@link NfTables.open} */
  static open(): ForwardPass {
    return new ForwardPass(NfTables.open())
  }

  /**
   * Brings the rules to what these subnets need, and takes back those of others; may be called at
   * any time.
   *
   * @returns what was done, one sentence each
   * @throws NetlinkError
   */
  ensure(subnets: readonly string[]): string[] {
    return [IPV4, IPV6].flatMap((layout) => {
      const own = subnets.filter((cidr) => `${familyOf(cidr)}` === layout.suffix)
      return this.#placesOf(layout.nfproto).flatMap((place) => this.#settle(place, own, layout))
    })
  }

  close(): void {
    this.#ruleset.close()
  }

  /** Docker leaves a chain to its users; its nft back end has a table of its own. */
  #placesOf(family: number): Place[] {
    const filter = { family, table: "filter" }
    const bridges = { family, table: "docker-bridges" }
    const users = this.#ruleset.chain(filter, "DOCKER-USER")
    const forward = this.#ruleset.chain(filter, "FORWARD")
    const docker = this.#ruleset.chain(bridges, "filter-FORWARD")
    const place = (ref: TableRef, chain: Chain | undefined, isShut: boolean): Place[] =>
      chain === undefined ? [] : [{ ...ref, chain: chain.name, isShut }]
    return [
      ...place(filter, users, true),
      ...place(filter, forward, users === undefined && forward?.base?.policy === n.NF_DROP),
      ...place(bridges, docker, true),
    ]
  }

  #settle(place: Place, subnets: readonly string[], layout: FamilyLayout): string[] {
    const { chain, isShut } = place
    const wanted = isShut ? subnets.flatMap((cidr) => rulesFor(chain, cidr, layout)) : []
    const present = this.#ruleset.placedRules(place).filter((rule) => isOurs(rule, chain))
    const missing = wanted.filter((rule) => !present.some((one) => one.comment === rule.comment))
    const stale = present.filter((one) => !wanted.some((rule) => rule.comment === one.comment))
    if (missing.length + stale.length === 0) return []
    this.#ruleset.commit(
      [
        ...stale.map((rule) => deleteRule(place, rule)),
        ...missing.map((rule) => newRule(place, rule, { first: true })),
      ],
      { operation: `let containers pass chain ${chain} of ${describeTable(place)}` },
    )
    return passReport(`chain ${chain} of ${describeTable(place)}`, missing, stale)
  }
}

/** What was done in a chain of another firewall, one sentence each. */
export function passReport(
  where: string,
  missing: readonly unknown[],
  stale: readonly unknown[],
): string[] {
  return [
    ...(missing.length > 0
      ? [`containers may pass ${where}, which drops what it does not know`]
      : []),
    ...(stale.length > 0 ? [`what let containers pass ${where} was taken back`] : []),
  ]
}

function isOurs({ chain, comment }: PlacedRule, name: string): boolean {
  return chain === name && comment?.startsWith(MARK) === true
}

/** Whatever comes from a subnet, and whatever goes to it. */
function rulesFor(chain: string, cidr: string, layout: FamilyLayout): Rule[] {
  const { bytes, length } = networkOf(parsePrefix(cidr))
  const mask = bytes.map((_, at) => 0xff & (0xff00 >> Math.min(8, Math.max(0, length - 8 * at))))
  const directions = [
    ["from", layout.source],
    ["to", layout.destination],
  ] as const
  return directions.map(([direction, offset]) => ({
    chain,
    comment: `${MARK}${direction} ${cidr}`,
    expressions: [
      e.payload("network", offset, bytes.length),
      e.bitwiseAnd(mask),
      e.cmp(bytes),
      e.counter(),
      e.verdict({ code: "accept" }),
    ],
  }))
}
