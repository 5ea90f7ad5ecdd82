import { encodeName } from "./name.ts"
import { ZONE } from "./names.ts"
import type { QueryReader } from "./query.ts"
import { nameData, OWNED_BYTES, type RecordBlock } from "./records.ts"
import {
  CLASS_IN,
  EDNS_DO,
  FLAG_CD,
  FLAG_QR,
  FLAG_RA,
  FLAG_RD,
  FLAG_TC,
  HEADER_BYTES,
  MASK_OPCODE,
  MAX_TCP_BYTES,
  MAX_UDP_BYTES,
  OFFSET_ANCOUNT,
  OFFSET_ARCOUNT,
  OFFSET_FLAGS,
  OFFSET_NSCOUNT,
  OFFSET_QDCOUNT,
  OPT_BYTES,
  POINTER_BITS,
  POINTER_TO_QUESTION,
  RECORD_FIXED_BYTES,
  TYPE_CNAME,
  TYPE_OPT,
  TYPE_SOA,
  write16,
  write32,
} from "./wire.ts"

/** The parts of a query that an answer repeats. */
export type Asked = Pick<QueryReader, "bytes" | "flags" | "questionEnd" | "hasEdns" | "wantsDnssec">

/** Times of the zone's SOA record, seconds, as Rancher gave them. */
const SOA_REFRESH = 60
const SOA_RETRY = 10
const SOA_EXPIRE = 86_400
/** For how long a client may remember that a name is not there (RFC 2308 §4), seconds. */
const SOA_MINIMUM = 1

/** Memory behind the longest answer, for a record's fixed part. */
const SPARE_BYTES = 512

const ZONE_DATA = nameData(encodeName(ZONE) ?? new Uint8Array(0))

/**
 * Writes one answer after another into the same memory: {@link finish} gives a view of it that the
 * next answer overwrites.
 */
export class ReplyWriter {
  readonly #out = new Uint8Array(MAX_TCP_BYTES + SPARE_BYTES)
  readonly #random: () => number
  #at = 0
  #answers = 0
  #authorities = 0
  #additionals = 0

  /** @param random 32 bits at random */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Begins with header and question. Flags besides QR, opcode, RD and CD come as given. */
  begin({ bytes, flags, questionEnd }: Asked, more: number): void {
    const out = this.#out
    out[0] = bytes[0] ?? 0
    out[1] = bytes[1] ?? 0
    write16(out, OFFSET_FLAGS, FLAG_QR | (flags & (MASK_OPCODE | FLAG_RD | FLAG_CD)) | more)
    write16(out, OFFSET_QDCOUNT, questionEnd > 0 ? 1 : 0)
    this.#at = HEADER_BYTES
    for (; this.#at < questionEnd; this.#at++) out[this.#at] = bytes[this.#at] ?? 0
    this.#answers = 0
    this.#authorities = 0
    this.#additionals = 0
  }

  /** Adds records to the answers, in a random order where they have data of one length. */
  answer({ bytes, count }: RecordBlock, owner: number = POINTER_TO_QUESTION): void {
    const start = this.#append(bytes)
    this.#answers += count
    if (count > 1 && bytes.length % count === 0) this.#shuffle(start, bytes.length / count, count)
    if (owner === POINTER_TO_QUESTION) return
    for (let at = start; at < this.#at; at += bytes.length / count) write16(this.#out, at, owner)
  }

  /** Makes the answer longer than any may be: {@link finish} cuts it off. */
  overflow(): void {
    this.#at = MAX_TCP_BYTES + 1
  }

  /**
   * Adds a CNAME record of the question's name.
   *
   * @returns the pointer by which the target is the owner of more records
   */
  alias(target: Uint8Array, ttl: number): number {
    const at = this.#record(POINTER_TO_QUESTION, TYPE_CNAME, ttl, target.length + 1)
    this.#append(target)
    this.#out[this.#at++] = 0
    this.#answers += 1
    return (POINTER_BITS << 8) | at
  }

  /** Adds a record of any owner, its name and the names in its data in full, to the answers. */
  plain(owner: Uint8Array, type: number, ttl: number, data: Uint8Array): void {
    this.#append(owner)
    const at = this.#at
    if (at + RECORD_FIXED_BYTES > this.#out.length - SPARE_BYTES) return
    write16(this.#out, at, type)
    write16(this.#out, at + 2, CLASS_IN)
    write32(this.#out, at + 4, ttl)
    write16(this.#out, at + 8, data.length)
    this.#at += RECORD_FIXED_BYTES
    this.#append(data)
    this.#answers += 1
  }

  /** Adds records of another owner, with its name in full, to the additional ones. */
  additional(owner: Uint8Array, { bytes, count }: RecordBlock): void {
    const stride = bytes.length / count
    for (let at = 0; at < bytes.length; at += stride) {
      this.#append(owner)
      this.#out[this.#at++] = 0
      this.#append(bytes.subarray(at + 2, at + stride))
    }
    this.#additionals += count
  }

  /**
   * Adds the SOA record that lets a client remember that something is not there.
   *
   * @param owner pointer to the zone's name within the question
   */
  soa(owner: number, serial: number, ttl: number): void {
    this.#record(owner, TYPE_SOA, ttl, 2 * ZONE_DATA.length + 20)
    this.#soaData(serial)
    this.#authorities += 1
  }

  /** Adds the SOA record itself, of the question's name, as an answer. */
  soaAnswer(serial: number, ttl: number): void {
    this.#record(POINTER_TO_QUESTION, TYPE_SOA, ttl, 2 * ZONE_DATA.length + 20)
    this.#soaData(serial)
    this.#answers += 1
  }

  #soaData(serial: number): void {
    this.#append(ZONE_DATA)
    this.#append(ZONE_DATA)
    for (const value of [serial >>> 0, SOA_REFRESH, SOA_RETRY, SOA_EXPIRE, SOA_MINIMUM]) {
      write32(this.#out, this.#at, value)
      this.#at += 4
    }
  }

  /**
   * Ends the answer: counts, and an OPT record where the query had one. An answer that is longer
   * than `limit` has nothing but the question, and TC, which has the client ask over TCP.
   *
   * @param extended upper bits of the rcode, which the OPT record carries
   */
  finish(asked: Asked, limit: number, extended = 0): Uint8Array {
    const out = this.#out
    const optBytes = asked.hasEdns ? OPT_BYTES : 0
    if (this.#at + optBytes > limit) {
      this.#at = Math.max(asked.questionEnd, HEADER_BYTES)
      this.#answers = 0
      this.#authorities = 0
      this.#additionals = 0
      out[OFFSET_FLAGS] = (out[OFFSET_FLAGS] ?? 0) | (FLAG_TC >> 8)
    }
    if (asked.hasEdns) this.#opt(asked.wantsDnssec, extended)
    write16(out, OFFSET_ANCOUNT, this.#answers)
    write16(out, OFFSET_NSCOUNT, this.#authorities)
    write16(out, OFFSET_ARCOUNT, this.#additionals)
    return out.subarray(0, this.#at)
  }

  /** An answer that says nothing but a code. */
  code(asked: Asked, rcode: number, extended = 0): Uint8Array {
    this.begin(asked, rcode | FLAG_RA)
    return this.finish(asked, MAX_TCP_BYTES, extended)
  }

  /**
   * Passes on another server's answer, as if it had been given to this query.
   *
   * @param message whose question is that of the query but for case, without OPT record
   * @param counts of the message's records: answers, authorities, additionals
   * @param ttls offsets of the records' TTLs
   * @param age seconds since the message came
   */
  relay(
    asked: Asked,
    rcode: number,
    message: Uint8Array,
    counts: readonly [number, number, number],
    ttls: readonly number[],
    age: number,
    limit: number,
  ): Uint8Array {
    this.begin(asked, rcode | FLAG_RA)
    this.#append(message.subarray(this.#at))
    const view = new DataView(this.#out.buffer)
    for (const at of ttls) view.setUint32(at, Math.max(0, view.getUint32(at) - age))
    ;[this.#answers, this.#authorities, this.#additionals] = counts
    return this.finish(asked, limit)
  }

  #opt(dnssec: boolean, extended: number): void {
    const out = this.#out
    const at = this.#at
    out[at] = 0
    write16(out, at + 1, TYPE_OPT)
    write16(out, at + 3, MAX_UDP_BYTES)
    out[at + 5] = extended
    out[at + 6] = 0
    write16(out, at + 7, dnssec ? EDNS_DO : 0)
    write16(out, at + 9, 0)
    this.#at += OPT_BYTES
    this.#additionals += 1
  }

  #append(bytes: Uint8Array): number {
    const start = this.#at
    // What is longer than an answer can be is cut off by finish, so it need not be there.
    if (start + bytes.length <= this.#out.length - SPARE_BYTES) this.#out.set(bytes, start)
    this.#at += bytes.length
    return start
  }

  #record(owner: number, type: number, ttl: number, length: number): number {
    const out = this.#out
    const at = this.#at
    write16(out, at, owner)
    write16(out, at + 2, type)
    write16(out, at + 4, CLASS_IN)
    write32(out, at + 6, ttl)
    write16(out, at + 10, length)
    this.#at += OWNED_BYTES
    return this.#at
  }

  /** Fisher and Yates, of the data alone: what is before it is equal. */
  #shuffle(start: number, stride: number, count: number): void {
    const out = this.#out
    for (let index = count - 1; index > 0; index--) {
      const other = Math.floor((this.#random() / 2 ** 32) * (index + 1))
      if (other === index) continue
      const [a, b] = [start + index * stride, start + other * stride]
      for (let at = OWNED_BYTES; at < stride; at++) {
        const byte = out[a + at] ?? 0
        out[a + at] = out[b + at] ?? 0
        out[b + at] = byte
      }
    }
  }
}
