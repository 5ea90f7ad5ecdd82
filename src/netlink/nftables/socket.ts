/** Operations on nftables in the current network namespace: transactions and reading back. */

import { LariatError } from "../../errors.ts"
import { EINVAL, ENOENT, EPERM, SystemError } from "../../sys/ffi/errno.ts"
import { NETLINK_NETFILTER } from "../constants.ts"
import { NetlinkError } from "../error.ts"
import type { Message, MessageWriter } from "../message.ts"
import { NetlinkSocket } from "../socket.ts"
import { getElements, parseElements, type SetElement } from "./element.ts"
import { batch, getGeneration, parseGeneration } from "./message.ts"
import { getSets, parseSet, type SetInfo } from "./set.ts"
import * as t from "./table.ts"

/** asm-generic/errno.h: the generation that a transaction was made for has passed. */
const ERESTART = 85

const UNSUPPORTED_HINT =
  "Use a kernel of 5.6 or later with nf_tables, nft_masq and nft_chain_nat, or load those modules."

/** Whether a transaction was refused because the ruleset changed since its generation. */
export function isStale(error: unknown): boolean {
  return error instanceof NetlinkError && error.errno === ERESTART
}

/** What can be asked of a ruleset; {@link NfTables} asks the kernel. */
export type Ruleset = Pick<
  NfTables,
  "generation" | "commit" | "table" | "chain" | "rules" | "sets" | "elements" | "close"
>

export class NfTables {
  readonly #socket: NetlinkSocket

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket
  }

  /**
   * Opens nftables of the current network namespace; it stays bound to that.
   *
   * @throws LariatError kernel-unsupported without nf_tables; permission without CAP_NET_ADMIN
   */
  static open(): NfTables {
    const socket = openSocket()
    const nftables = new NfTables(socket)
    try {
      nftables.generation()
      return nftables
    } catch (error) {
      socket.close()
      throw explainOpen(error)
    }
  }

  /** Number of the last transaction of anybody in this namespace. @throws NetlinkError */
  generation(): number {
    const [answer] = this.#socket.request(getGeneration())
    if (answer === undefined) throw noAnswer("read the nftables generation")
    return parseGeneration(answer)
  }

  /**
   * Does all of the messages or none.
   *
   * @param options generation: refuse (see `isStale`) unless the ruleset is still of this
   * generation; default: whatever it is. operation: what the whole is for, in errors.
   * @throws NetlinkError of the first message that was refused, which names its object
   */
  commit(
    messages: readonly MessageWriter[],
    options: { readonly generation?: number | undefined; readonly operation?: string } = {},
  ): void {
    this.#socket.requestAll(batch(messages, options))
  }

  /** @throws NetlinkError */
  table(ref: t.TableRef): t.Table | undefined {
    return this.#find(t.getTable(ref), t.parseTable)
  }

  /** @throws NetlinkError */
  chain(ref: t.TableRef, name: string): t.Chain | undefined {
    return this.#find(t.getChain(ref, name), t.parseChain)
  }

  /** All rules of a table, chain by chain in their order. @throws NetlinkError */
  rules(ref: t.TableRef): t.Rule[] {
    return this.#list(t.getRules(ref), t.parseRule)
  }

  /** The same, with what tells each from the others. @throws NetlinkError */
  placedRules(ref: t.TableRef): t.PlacedRule[] {
    return this.#list(t.getRules(ref), t.parsePlacedRule)
  }

  /** @throws NetlinkError */
  sets(ref: t.TableRef): SetInfo[] {
    return this.#list(getSets(ref), parseSet)
  }

  /** @throws NetlinkError */
  elements(ref: t.TableRef, set: string): SetElement[] {
    return this.#list(getElements(ref, set), parseElements).flat()
  }

  close(): void {
    this.#socket.close()
  }

  #find<T>(request: MessageWriter, parse: (message: Message) => T): T | undefined {
    const answer = this.#socket.attempt(request, ENOENT)
    return answer === undefined ? undefined : parse(answer)
  }

  #list<T>(request: MessageWriter, parse: (message: Message) => T): T[] {
    try {
      return this.#socket.dump(request).map(parse)
    } catch (error) {
      // The table or set is not there, or went while it was read.
      if (error instanceof NetlinkError && error.errno === ENOENT) return []
      throw error
    }
  }
}

function openSocket(): NetlinkSocket {
  try {
    return NetlinkSocket.open(NETLINK_NETFILTER)
  } catch (error) {
    throw explainOpen(error)
  }
}

/**
 * What a failure to reach nf_tables means: a kernel without netfilter's netlink has no such
 * protocol, one without nf_tables calls the first request invalid.
 */
export function explainOpen(error: unknown): unknown {
  const missing =
    (error instanceof SystemError && error.code === "kernel-unsupported") ||
    (error instanceof NetlinkError && error.errno === EINVAL)
  if (missing) return unsupported("open nftables", "this kernel has no nf_tables", error)
  if (error instanceof SystemError && error.errno === EPERM) {
    const message = "Cannot open nftables: this process may not change the network"
    const hint = "Run as root or with CAP_NET_ADMIN in this network namespace."
    return new LariatError(message, { code: "permission", hint, cause: error })
  }
  return error
}

/** The error for a kernel that lacks a part of nf_tables. */
export function unsupported(what: string, why: string, cause: unknown): LariatError {
  const hint = UNSUPPORTED_HINT
  return new LariatError(`Cannot ${what}: ${why}`, { code: "kernel-unsupported", hint, cause })
}

function noAnswer(operation: string): LariatError {
  return new LariatError(`Cannot ${operation}: the kernel gave no answer`, { code: "kernel" })
}
