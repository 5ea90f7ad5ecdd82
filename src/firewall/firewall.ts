/** The firewall: keeps the tables of this program in this network namespace as they should be. */

import type { Family, Prefix } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { NetlinkError } from "../netlink/error.ts"
import type { MessageWriter } from "../netlink/message.ts"
import type { SetElement } from "../netlink/nftables/element.ts"
import { isStale, NfTables, type Ruleset, unsupported } from "../netlink/nftables/socket.ts"
import type { Rule } from "../netlink/nftables/table.ts"
import { EINVAL, ENOENT, EOPNOTSUPP } from "../sys/ffi/errno.ts"
import { moves, relimit, removal, replacement } from "./changes.ts"
import {
  addressElements,
  contentsOf,
  insideElements,
  type Networks,
  readNetworks,
} from "./contents.ts"
import { type Dropped, droppedBy } from "./dropped.ts"
import { forgedBy, GUARD_LAYOUT, GUARD_RULES } from "./guard.ts"
import { type GuardedPort, guardContents } from "./guarded_port.ts"
import { inspect } from "./inspection.ts"
import type { Contents, WantedTable } from "./layout.ts"
import { LIMIT_NAMES, type LimitName, type ServiceLimits } from "./limits.ts"
import { Masquerades, parseMasquerade, type Undo } from "./masquerades.ts"
import { LAYOUT, rulesFor, SETS } from "./ruleset.ts"
import type { FirewallState } from "./state.ts"
import type { Tunnels } from "./tunnels.ts"

/** What the tables should be. */
interface Wanted {
  readonly networks: Networks
  readonly masquerades: Masquerades
  readonly tunnels: Tunnels | undefined
  readonly limits: ServiceLimits | undefined
  readonly rules: readonly Rule[]
  /** By number; undefined where the kernel has no tables of bridges. */
  readonly guarded: Map<number, GuardedPort> | undefined
}

type ApplyChange = (masquerades: Masquerades, entry: Prefix) => Undo

const FAMILIES: readonly Family[] = [4, 6]

/**
 * Limits that are done without where the kernel refuses them: what counts connections, then rates,
 * which are another part of it, then both.
 */
const DISPENSABLE: readonly (readonly LimitName[])[] = [
  LIMIT_NAMES.filter((name) => !name.endsWith("PerSecond")),
  LIMIT_NAMES.filter((name) => name.endsWith("PerSecond")),
  LIMIT_NAMES,
]

const OPERATION = "change the nftables tables of Lariat"

/** How often a change by others in the midst of ours makes us look again. */
const MAX_ATTEMPTS = 5

/** Linux counts generations from 1 and leaves out 0 (nft_base_seq_inc of nf_tables_api.c). */
function nextGeneration(generation: number): number {
  return generation === 0xffffffff ? 1 : generation + 1
}

/**
 * Every transaction of anybody gives the namespace's ruleset a new generation. So the tables are as
 * we left them while the generation is the one we left, which one request tells; and a transaction
 * that names that generation is refused where somebody came between. Only then are they read
 * and compared.
 */
export class Firewall {
  readonly #nftables: Ruleset
  #wanted: Wanted | undefined
  /** Of this generation the tables are known to be as wanted. */
  #generation: number | undefined
  /** Limits that this kernel cannot hold. */
  #lacking: readonly LimitName[] = []
  /** Whether this kernel has tables of bridges. */
  #canGuard = true

  /** @param ruleset what it keeps right; `open` gives the kernel's */
  constructor(ruleset: Ruleset) {
    this.#nftables = ruleset
  }

  /**
   * Opens the firewall of the current network namespace and changes nothing.
   *
   * @throws LariatError kernel-unsupported: the caller can go on without NAT and say so
   */
  static open(): Firewall {
    return new Firewall(NfTables.open())
  }

  /**
   * Makes the table what the state says, in one transaction. Only what differs is changed, so
   * that packets never meet a rule without its elements; where nothing differs nothing is done.
   *
   * @returns whether the kernel's table had to be changed
   * @throws LariatError config-invalid, kernel-unsupported; NetlinkError. The table is then as it
   * was, and so is what `matches` compares with.
   */
  ensure(state: FirewallState): boolean {
    let refusal: unknown
    for (const canGuard of this.#canGuard ? [true, false] : [false]) {
      for (const lacking of [this.#lacking, ...DISPENSABLE]) {
        try {
          const limits = without(lacking, state.limits)
          const changed = this.#ensure({
            networks: readNetworks(state),
            masquerades: new Masquerades(state.masquerade.map(parseMasquerade)),
            tunnels: state.tunnels,
            limits,
            rules: rulesFor(limits),
            guarded: canGuard
              ? new Map((state.guarded ?? []).map((port) => [port.index, port]))
              : undefined,
          })
          this.#lacking = lacking.filter((name) => (state.limits?.values[name] ?? 0) > 0)
          this.#canGuard = canGuard
          return changed
        } catch (error) {
          if (!isLacking(error)) throw error
          refusal = error
        }
      }
    }
    // It was for none of what can be done without.
    throw explain(refusal)
  }

  /** Limits that were asked for and that this kernel cannot hold: the table is without them. */
  lacking(): readonly LimitName[] {
    return this.#lacking
  }

  /** Whether ports are guarded: false where this kernel has no tables of bridges. */
  get canGuard(): boolean {
    return this.#canGuard
  }

  /** Packets that were dropped since the rules for it were made. @throws NetlinkError */
  dropped(): Dropped {
    return droppedBy(this.#nftables.rules(LAYOUT.table))
  }

  /** Frames of guarded ports that were dropped, by what was wrong. @throws NetlinkError */
  forged(): Readonly<Record<string, number>> {
    return this.#canGuard ? forgedBy(this.#nftables.rules(GUARD_LAYOUT.table)) : {}
  }

  #ensure(wanted: Wanted): boolean {
    const old = this.#wanted
    if (old === undefined) wanted.tunnels?.keep((set) => this.#nftables.elements(LAYOUT.table, set))
    const followed = takenFrom(wanted)
    const quick = old === undefined ? [] : [...changesBetween(old, wanted), ...followed]
    const done = old !== undefined && this.#commitQuickly(quick)
    const changed = done ? quick.length > 0 : this.#assert(wanted)
    this.#wanted = wanted
    return changed
  }

  /**
   * Brings to the kernel what changed in the state's `tunnels`, and nothing else where the table is
   * as it should be.
   *
   * @throws LariatError internal before the first `ensure`; NetlinkError
   */
  follow(): void {
    const wanted = this.#known("follow a change of tunnels")
    const messages = takenFrom(wanted)
    if (messages.length > 0 && !this.#commitQuickly(messages)) this.#assert(wanted)
  }

  /**
   * Masquerades containers' addresses (`10.42.0.2/16`) towards everything outside their subnet.
   * One transaction for all; those that are masqueraded already stay so. Mends the table where it
   * is not as it should be.
   *
   * @throws LariatError config-invalid; internal before the first `ensure`; NetlinkError
   */
  addMasquerade(...addresses: readonly string[]): void {
    this.#masquerade(addresses, (masquerades, entry) => masquerades.add(entry))
  }

  /** Masquerades addresses no longer; the prefix length may be left out. See `addMasquerade`. */
  removeMasquerade(...addresses: readonly string[]): void {
    this.#masquerade(addresses, (masquerades, entry) => masquerades.remove(entry))
  }

  /**
   * Has ports send under their own addresses alone, in the place of what they were guarded for. One
   * transaction for all; nothing happens where the kernel cannot.
   *
   * @param options.gone number of a port that may send what it likes from now on. Default none
   * @throws LariatError config-invalid; internal before the first `ensure`; NetlinkError
   */
  guard(ports: readonly GuardedPort[], { gone }: { readonly gone?: number } = {}): void {
    const wanted = this.#known("guard a port")
    const { guarded } = wanted
    if (guarded === undefined) return
    const numbers = new Set(ports.map(({ index }) => index))
    if (gone !== undefined) numbers.add(gone)
    const before = [...numbers].flatMap((index) => guarded.get(index) ?? [])
    const set = (those: readonly GuardedPort[]): void => {
      for (const index of numbers) guarded.delete(index)
      for (const port of those) guarded.set(port.index, port)
    }
    const messages = moves(GUARD_LAYOUT.table, guardContents(before), guardContents(ports))
    set(ports)
    try {
      if (!this.#commitQuickly(messages)) this.#assert(wanted)
    } catch (error) {
      set(before)
      throw explain(error)
    }
  }

  /** Whether the kernel's table is as wanted; false before the first `ensure`. */
  matches(): boolean {
    return this.differences().length === 0
  }

  /** What is wrong with the kernel's table, one sentence each. @throws NetlinkError */
  differences(): string[] {
    const wanted = this.#wanted
    if (wanted === undefined) return ["nothing was set up yet"]
    const generation = this.#nftables.generation()
    if (generation === this.#generation) return []
    const found = tablesOf(wanted).map((table) => inspect(this.#nftables, table))
    const differences = found.flatMap((one) => one.differences)
    if (differences.length === 0 && this.#nftables.generation() === generation) {
      this.#generation = generation
    }
    return differences
  }

  /** Deletes the tables; there need be none. */
  remove(): void {
    const layouts = this.#canGuard ? [LAYOUT, GUARD_LAYOUT] : [LAYOUT]
    this.#generation = undefined
    this.#wanted = undefined
    const operation = "delete the nftables tables of Lariat"
    this.#nftables.commit(
      layouts.flatMap(({ table }) => removal(table)),
      { operation },
    )
  }

  /** Closes the socket; the tables stay. */
  close(): void {
    this.#nftables.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Compares the kernel's tables with the wanted ones and mends them. True: it had to. */
  #assert(wanted: Wanted): boolean {
    this.#generation = undefined
    const tables = tablesOf(wanted)
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const generation = this.#nftables.generation()
      const all = tables.map((table) => ({ table, ...inspect(this.#nftables, table) }))
      const wrong = all.filter(({ differences }) => differences.length > 0)
      if (wrong.length > 0) {
        const repairs = wrong.map(({ repair, table }) => repair ?? replacement(table))
        if (this.#commitQuickly(repairs.flat(), generation)) return true
        const whole = wrong.flatMap(({ table }) => replacement(table))
        if (this.#commit(whole, generation)) return true
      } else if (this.#nftables.generation() === generation) {
        this.#generation = generation
        return false
      }
    }
    // Others change the ruleset without end: ours goes in, but is not known to be the last word.
    this.#commit(tables.flatMap(replacement), undefined)
    return true
  }

  /** False where somebody came between. @throws NetlinkError */
  #commit(messages: readonly MessageWriter[], generation: number | undefined): boolean {
    this.#generation = undefined
    try {
      this.#nftables.commit(messages, { generation, operation: OPERATION })
    } catch (error) {
      if (isStale(error)) return false
      throw error
    }
    this.#generation = generation === undefined ? undefined : nextGeneration(generation)
    return true
  }

  #masquerade(addresses: readonly string[], apply: ApplyChange): void {
    const entries = addresses.map(parseMasquerade)
    const wanted = this.#known("masquerade an address")
    const { masquerades } = wanted
    const before = affected(masquerades, entries)
    const undos = entries.map((entry) => apply(masquerades, entry))
    try {
      const after = affected(masquerades, entries)
      if (!this.#commitQuickly(moves(LAYOUT.table, before, after))) this.#assert(wanted)
    } catch (error) {
      for (const undo of undos.toReversed()) undo()
      throw explain(error)
    }
  }

  #known(what: string): Wanted {
    if (this.#wanted !== undefined) return this.#wanted
    throw new LariatError(`Cannot ${what}: the firewall is not set up yet`, { code: "internal" })
  }

  /** Changes a part of the tables; false where that is not enough or not known to be. */
  #commitQuickly(messages: readonly MessageWriter[], generation = this.#generation): boolean {
    if (messages.length === 0) return this.matches()
    if (generation === undefined) return false
    try {
      return this.#commit(messages, generation)
    } catch (error) {
      // A table that is not as it seemed, or an old kernel that takes intervals changed in one
      // transaction for overlapping ones. The whole table goes next, and tells what is wrong.
      if (error instanceof NetlinkError) return false
      throw error
    }
  }
}

function without(
  lacking: readonly LimitName[],
  limits: ServiceLimits | undefined,
): ServiceLimits | undefined {
  if (limits === undefined) return undefined
  const none = Object.fromEntries(lacking.map((name) => [name, 0]))
  return { ...limits, values: { ...limits.values, ...none } }
}

function tablesOf({ networks, masquerades, tunnels, rules, guarded }: Wanted): WantedTable[] {
  const own = contentsOf(networks, masquerades)
  const main = {
    layout: LAYOUT,
    contents: new Map([...own, ...(tunnels?.contents() ?? [])]),
    rules,
  }
  if (guarded === undefined) return [main]
  const contents = guardContents([...guarded.values()])
  return [main, { layout: GUARD_LAYOUT, contents, rules: GUARD_RULES }]
}

/** What changed of the tunnels since it was asked last. */
function takenFrom({ tunnels }: Wanted): MessageWriter[] {
  const changes = tunnels?.take()
  return changes === undefined ? [] : moves(LAYOUT.table, changes.gone, changes.come)
}

/** What makes the old tables the wanted ones, where they are as they should be. */
function changesBetween(old: Wanted, wanted: Wanted): MessageWriter[] {
  const isSameLimits = JSON.stringify(old.limits) === JSON.stringify(wanted.limits)
  const before = tablesOf(old)
  return [
    ...(isSameLimits ? [] : relimit(LAYOUT, wanted.rules)),
    ...tablesOf(wanted).flatMap(({ layout: { table }, contents }, at) =>
      moves(table, before[at]?.contents ?? new Map(), contents),
    ),
  ]
}

/** Elements that a change of these addresses may touch, by set. */
function affected(masquerades: Masquerades, entries: readonly Prefix[]): Contents {
  const there = entries.filter((entry) => masquerades.has(entry))
  return new Map(
    FAMILIES.flatMap((family): [string, SetElement[]][] => [
      [SETS[family].inside.name, insideElements(masquerades, family)],
      [SETS[family].masquerade.name, addressElements(there, family)],
    ]),
  )
}

/** Whether the kernel may have no expression of the name, or no such one in an element of a set. */
function isLacking(error: unknown): error is NetlinkError {
  if (!(error instanceof NetlinkError)) return false
  return [ENOENT, EOPNOTSUPP, EINVAL].includes(error.errno)
}

/** Nothing that the messages refer to can be missing, unless the kernel lacks a part. */
function explain(error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error
  if (error.errno !== ENOENT && error.errno !== EOPNOTSUPP) return error
  return unsupported(error.operation, "this kernel lacks a part of nf_tables", error)
}
