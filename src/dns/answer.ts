import { formatAddress, parsePrefix, prefixContains } from "../core/address.ts"
import type { Model } from "../metadata/model.ts"
import type { ClientView } from "./client_view.ts"
import { encodeName, endsInName, hashLabels, nameText } from "./name.ts"
import type { NameEntry, NameIndex } from "./name_index.ts"
import { ZONE } from "./names.ts"
import { portOfLabels } from "./ports.ts"
import { DROP, QueryReader } from "./query.ts"
import { NO_RECORDS, type RecordBlock, recordBlock } from "./records.ts"
import { ReplyWriter } from "./reply.ts"
import { type ReverseName, readReverse } from "./reverse.ts"
import {
  EXTENDED_BADVERS,
  FLAG_AA,
  FLAG_RA,
  FLAG_RD,
  HEADER_BYTES,
  MAX_TCP_BYTES,
  MAX_UDP_BYTES,
  POINTER_BITS,
  RCODE_NOERROR,
  RCODE_NXDOMAIN,
  RCODE_REFUSED,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_CNAME,
  TYPE_PTR,
  TYPE_SOA,
  TYPE_SRV,
} from "./wire.ts"

/** How a query came. */
export type Transport = "udp" | "tcp"

/** A query that another server must answer. What it holds stays as it is. */
export interface Recursion {
  /** The query, from header to question. */
  readonly bytes: Uint8Array
  readonly flags: number
  readonly nameEnd: number
  readonly questionEnd: number
  readonly type: number
  readonly hasEdns: boolean
  readonly wantsDnssec: boolean
  /** How long the answer may be. */
  readonly limit: number
  /** Where the name is ours and stands for one outside: that one, whose records are wanted. */
  readonly alias: string | undefined
}

/** What becomes of a query: the answer (until the next one), one to ask for, or silence. */
export type Outcome = Uint8Array | Recursion | undefined

/** What an {@link Answerer} works with. */
export interface AnswererOptions {
  /** Whether an address is of a managed network, so that nobody else knows a name for it. */
  readonly isManaged: (address: string) => boolean
  /** 32 bits at random. */
  readonly random: () => number
}

const ZONE_NAME = encodeName(ZONE) ?? new Uint8Array(0)
const LOCALHOST = "localhost"
const LOCALHOST_NAME = encodeName(LOCALHOST) ?? new Uint8Array(0)
const INVALID_NAME = encodeName("invalid") ?? new Uint8Array(0)
const ARPA_NAME = encodeName("arpa") ?? new Uint8Array(0)
/** Addresses that mean another thing on each host or link: nobody else knows who has them (RFC 6303 §4). */
const OWN_ADDRESSES = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "255.255.255.255/32", "::/127", "fe80::/10"],
].map(parsePrefix)
const UNDERSCORE = 0x5f

/**
 * Answers queries from the names of an index. What stands for most of them, an address that is
 * known, is copied from encoded records without any object being made.
 */
export class Answerer {
  readonly reader = new QueryReader()
  readonly writer: ReplyWriter
  readonly #model: Model
  readonly #index: NameIndex
  readonly #isManaged: (address: string) => boolean

  constructor(model: Model, index: NameIndex, options: AnswererOptions) {
    this.#model = model
    this.#index = index
    this.#isManaged = options.isManaged
    this.writer = new ReplyWriter(options.random)
  }

  /**
   * Answers one message.
   *
   * @param bytes of the message, which may change after the call
   * @param view of the client that asks
   * @param mostOverUdp what an answer over UDP may have whatever the client takes, bytes
   */
  answer(
    bytes: Uint8Array,
    view: ClientView,
    transport: Transport,
    mostOverUdp = MAX_UDP_BYTES,
  ): Outcome {
    const { reader, writer } = this
    const rcode = reader.read(bytes)
    if (rcode === DROP) return undefined
    if (rcode !== RCODE_NOERROR) return writer.code(reader, rcode)
    if (reader.ednsVersion !== 0) return writer.code(reader, RCODE_NOERROR, EXTENDED_BADVERS)
    const limit = transport === "udp" ? Math.min(reader.udpBytes, mostOverUdp) : MAX_TCP_BYTES
    const { hash, nameEnd } = reader
    const exact = view.find(hash, bytes, HEADER_BYTES, nameEnd)
    if (exact !== undefined) return this.#known(exact, view, limit)
    if (bytes[HEADER_BYTES + 1] === UNDERSCORE) {
      const port = this.#port(view, limit)
      if (port !== undefined) return port
    }
    const special = this.#special(view, limit)
    if (special !== undefined) return special
    if (nameEnd > HEADER_BYTES && !endsInName(bytes, HEADER_BYTES, nameEnd, ARPA_NAME)) {
      const found = view.search(hash, bytes, HEADER_BYTES, nameEnd)
      if (found !== undefined) return this.#known(found, view, limit)
    }
    // Without RD the client wants to know what we know, which is nothing (RFC 1034 §4.3.1).
    if ((reader.flags & FLAG_RD) === 0) return writer.code(reader, RCODE_REFUSED)
    return this.#recursion(limit, undefined)
  }

  /** A name that is there; it may lack what was asked for. */
  #known(entry: NameEntry, view: ClientView, limit: number): Outcome {
    const { reader, writer } = this
    const { a, aaaa, ptr, alias } = view.recordsOf(entry)
    if (alias !== undefined) return this.#alias(alias, view, limit)
    const { type } = reader
    const isAny = type === TYPE_ANY
    writer.begin(reader, FLAG_AA | FLAG_RA)
    let count = 0
    if (type === TYPE_A || isAny) count += this.#add(a, limit)
    if (type === TYPE_AAAA || isAny) count += this.#add(aaaa, limit)
    if (type === TYPE_PTR || isAny) count += this.#add(ptr, limit)
    if (count === 0) this.#soa()
    return writer.finish(reader, limit)
  }

  #add(block: RecordBlock, limit: number): number {
    // What does not fit is cut off anyway: thousands of records need not be put in order for it.
    if (block.bytes.length > limit) this.writer.overflow()
    else if (block.count > 0) this.writer.answer(block)
    return block.count
  }

  /** The name of an external service that is a name elsewhere. */
  #alias(alias: string, view: ClientView, limit: number): Outcome {
    const { reader, writer } = this
    const target = encodeName(alias)
    if (target === undefined) return writer.code(reader, RCODE_NXDOMAIN)
    const inside = this.#index.named(alias.toLowerCase().replace(/\.$/, ""))
    if (reader.type !== TYPE_CNAME && inside === undefined) {
      if ((reader.flags & FLAG_RD) !== 0) return this.#recursion(limit, alias)
    }
    writer.begin(reader, FLAG_AA | FLAG_RA)
    const owner = writer.alias(target, this.#index.ttlSeconds)
    if (inside !== undefined && reader.type !== TYPE_CNAME) {
      const { a, aaaa } = view.recordsOf(inside)
      const records = reader.type === TYPE_A ? a : reader.type === TYPE_AAAA ? aaaa : NO_RECORDS
      if (records.count > 0) writer.answer(records, owner)
    }
    return writer.finish(reader, limit)
  }

  /** `_80._tcp` before a name that is there (RFC 2782); undefined where it is no such name. */
  #port(view: ClientView, limit: number): Outcome {
    const { reader, writer } = this
    const { bytes, nameEnd } = reader
    const second = HEADER_BYTES + 1 + (bytes[HEADER_BYTES] ?? 0)
    const start = second + 1 + (bytes[second] ?? 0)
    if (start >= nameEnd) return undefined
    const port = portOfLabels(nameText(bytes, HEADER_BYTES, start))
    if (port === undefined) return undefined
    const hash = hashLabels(bytes, start, nameEnd)
    const entry = view.find(hash, bytes, start, nameEnd) ?? view.search(hash, bytes, start, nameEnd)
    const targets = entry === undefined ? undefined : this.#index.portsOf(entry).get(port)
    if (targets === undefined) return undefined
    writer.begin(reader, FLAG_AA | FLAG_RA)
    if (reader.type !== TYPE_SRV && reader.type !== TYPE_ANY) {
      this.#soa()
      return writer.finish(reader, limit)
    }
    writer.answer(recordBlock(TYPE_SRV, targets, this.#index.ttlSeconds))
    for (const data of targets) {
      const owner = data.subarray(6, -1)
      const found = this.#index.named(nameText(owner, 0, owner.length))
      if (found === undefined) continue
      const { a, aaaa } = view.recordsOf(found)
      for (const block of [a, aaaa]) if (block.count > 0) writer.additional(owner, block)
    }
    return writer.finish(reader, limit)
  }

  /** Names that nobody else must be asked for. */
  #special(view: ClientView, limit: number): Outcome {
    const { reader, writer } = this
    const { bytes, nameEnd, type } = reader
    if (endsInName(bytes, HEADER_BYTES, nameEnd, ZONE_NAME)) {
      const isApex = nameEnd - HEADER_BYTES === ZONE_NAME.length
      writer.begin(reader, FLAG_AA | FLAG_RA | (isApex ? RCODE_NOERROR : RCODE_NXDOMAIN))
      if (isApex && (type === TYPE_SOA || type === TYPE_ANY)) {
        writer.soaAnswer(this.#model.version, this.#index.ttlSeconds)
      } else this.#soa()
      return writer.finish(reader, limit)
    }
    if (endsInName(bytes, HEADER_BYTES, nameEnd, LOCALHOST_NAME)) {
      const entry = this.#index.named(LOCALHOST)
      if (entry !== undefined) return this.#known(entry, view, limit)
    }
    if (endsInName(bytes, HEADER_BYTES, nameEnd, INVALID_NAME)) {
      return writer.code(reader, RCODE_NXDOMAIN)
    }
    const reverse = endsInName(bytes, HEADER_BYTES, nameEnd, ARPA_NAME)
      ? readReverse(nameText(bytes, HEADER_BYTES, nameEnd))
      : undefined
    if (reverse === undefined || !this.#isOurs(reverse)) return undefined
    // There are names below it (RFC 8020).
    if (reverse.isPrefix) return writer.code(reader, RCODE_NOERROR)
    writer.begin(reader, FLAG_AA | FLAG_RA | RCODE_NXDOMAIN)
    const parent = HEADER_BYTES + 1 + (bytes[HEADER_BYTES] ?? 0)
    writer.soa((POINTER_BITS << 8) | parent, this.#model.version, this.#index.ttlSeconds)
    return writer.finish(reader, limit)
  }

  /** Whether nobody else knows names of these addresses. */
  #isOurs({ first, last }: ReverseName): boolean {
    const both = [first, last]
    if (both.every((address) => this.#isManaged(formatAddress(address)))) return true
    return OWN_ADDRESSES.some((prefix) => both.every((one) => prefixContains(prefix, one)))
  }

  /** The zone's SOA, where the question is in the zone: elsewhere a client would not believe it. */
  #soa(): void {
    const { bytes, nameEnd } = this.reader
    if (!endsInName(bytes, HEADER_BYTES, nameEnd, ZONE_NAME)) return
    const owner = (POINTER_BITS << 8) | (nameEnd - ZONE_NAME.length)
    this.writer.soa(owner, this.#model.version, this.#index.ttlSeconds)
  }

  #recursion(limit: number, alias: string | undefined): Recursion {
    const { bytes, flags, nameEnd, questionEnd, type, hasEdns, wantsDnssec } = this.reader
    const copy = new Uint8Array(bytes.subarray(0, questionEnd))
    return { bytes: copy, flags, nameEnd, questionEnd, type, hasEdns, wantsDnssec, limit, alias }
  }
}
