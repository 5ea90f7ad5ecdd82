/**
 * Lets containers' traffic pass where *legacy* iptables drops what it does not know. Its tables are
 * not those of nf_tables: they are read by getsockopt(2), and changed by their own program, since
 * a change by hand would replace the whole table, the counters of others included.
 */

import { familyOf, parsePrefix } from "../core/address.ts"
import { LariatError, messageOf } from "../errors.ts"
import type { XtablesChains } from "../sys/xtables/rules.ts"
import { readXtables } from "../sys/xtables/table.ts"
import { MARK, passReport } from "./forward_pass.ts"
import { runLegacyIptables } from "./legacy_program.ts"

/** How the tables are read and changed; default the kernel's, and the program. */
export interface LegacyTables {
  readonly read: typeof readXtables
  readonly run: typeof runLegacyIptables
}

/** The chain that Docker leaves to its users, before its own rules. */
const USERS = "DOCKER-USER"
const FORWARD = "FORWARD"
const REJECTING: readonly (string | undefined)[] = ["DROP", "REJECT"]
const PASSING: readonly (string | undefined)[] = ["ACCEPT", "QUEUE", "NFQUEUE"]

/** A rule of ours, in words of the program. */
interface Rule {
  readonly comment: string
  readonly words: readonly string[]
}

/** The legacy tables of one address family. */
export class LegacyPass {
  readonly #family: 4 | 6
  readonly #tables: LegacyTables

  constructor(family: 4 | 6, tables: LegacyTables = { read: readXtables, run: runLegacyIptables }) {
    this.#family = family
    this.#tables = tables
  }

  /**
   * Brings the rules to what these subnets need, and takes back those of others; may be called at
   * any time. Where there is no legacy table, or it is as wanted, no program is started.
   *
   * @returns what was done, one sentence each
   * @throws LariatError naming the chain, with the commands as its hint; SystemError
   */
  async ensure(subnets: readonly string[]): Promise<string[]> {
    const chains = this.#tables.read(this.#family, "filter")
    if (chains === undefined) return []
    const own = subnets.filter((cidr) => familyOf(cidr) === this.#family)
    const hasUsers = chains.has(USERS)
    return [
      ...(hasUsers ? await this.#settle(chains, USERS, own) : []),
      ...(await this.#settle(chains, FORWARD, !hasUsers && isShut(chains) ? own : [])),
    ]
  }

  async #settle(
    chains: XtablesChains,
    chain: string,
    subnets: readonly string[],
  ): Promise<string[]> {
    const wanted = subnets.flatMap((cidr) => [ruleOf("from", cidr), ruleOf("to", cidr)])
    const present = (chains.get(chain) ?? []).flatMap(({ comment = "" }) => ourRule(comment))
    const missing = without(wanted, present)
    const stale = without(present, wanted)
    const program = this.#family === 4 ? "iptables" : "ip6tables"
    const where = `chain ${chain} of the legacy ${program} table filter`
    const commands = [
      ...missing.map(({ words }) => ["-I", chain, ...words]),
      ...stale.map(({ words }) => ["-D", chain, ...words]),
    ]
    for (const [at, command] of commands.entries()) {
      try {
        await this.#tables.run(this.#family, command)
      } catch (error) {
        const lines = commands.slice(at).map((one) => [`${program}-legacy`, ...one.map(quoted)])
        throw refused(where, command[0] === "-I", error, lines)
      }
    }
    return passReport(where, missing, stale)
  }
}

/** Whatever comes from a subnet, or whatever goes to it. */
function ruleOf(direction: "from" | "to", cidr: string): Rule {
  const comment = `${MARK}${direction} ${cidr}`
  const match = [direction === "from" ? "-s" : "-d", cidr, "-m", "comment", "--comment", comment]
  return { comment, words: [...match, "-j", "ACCEPT"] }
}

/** The rule that has this comment, when it is one of ours. */
function ourRule(comment: string): Rule[] {
  if (!comment.startsWith(MARK)) return []
  const [direction, cidr = ""] = comment.slice(MARK.length).split(" ")
  if (direction !== "from" && direction !== "to") return []
  try {
    parsePrefix(cidr)
    return [ruleOf(direction, cidr)]
  } catch {
    return []
  }
}

function without(rules: readonly Rule[], others: readonly Rule[]): Rule[] {
  return rules.filter(({ comment }) => !others.some((other) => other.comment === comment))
}

/** Whether packets that no rule knows are dropped. Rules for some packets are their owner's will. */
function isShut(chains: XtablesChains): boolean {
  const policy = chains.get(FORWARD)?.at(-1)?.target
  return REJECTING.includes(endOf(chains, FORWARD) ?? policy)
}

/** Where a packet ends that only rules for all packets match; undefined when it comes back. */
function endOf(chains: XtablesChains, name: string): string | undefined {
  for (const { target, isForAll, isGoto } of chains.get(name) ?? []) {
    if (!isForAll || target === undefined) continue
    if (target === "RETURN") return undefined
    if (REJECTING.includes(target) || PASSING.includes(target)) return target
    const end = endOf(chains, target)
    if (end !== undefined || isGoto) return end
  }
  return undefined
}

/** @param lines what is left to be done, in words of a shell */
function refused(
  where: string,
  isMissing: boolean,
  error: unknown,
  lines: readonly (readonly string[])[],
): LariatError {
  const what = isMissing
    ? `Cannot let containers pass ${where}, which drops what it does not know`
    : `Cannot take back what let containers pass ${where}`
  return new LariatError(`${what}: ${messageOf(error)}`, {
    code: "io",
    hint: `install ${lines[0]?.[0]}, or run: ${lines.map((line) => line.join(" ")).join("; ")}`,
    cause: error,
  })
}

function quoted(word: string): string {
  return word.includes(" ") ? `'${word}'` : word
}
