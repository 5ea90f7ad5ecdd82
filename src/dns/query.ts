import { hashLabels } from "./name.ts"
import {
  CLASS_IN,
  FLAG_QR,
  HEADER_BYTES,
  MASK_OPCODE,
  MAX_NAME_BYTES,
  MAX_UDP_BYTES,
  MIN_UDP_BYTES,
  OFFSET_ANCOUNT,
  OFFSET_ARCOUNT,
  OFFSET_FLAGS,
  OFFSET_NSCOUNT,
  OFFSET_QDCOUNT,
  POINTER_BITS,
  RCODE_FORMERR,
  RCODE_NOERROR,
  RCODE_NOTIMP,
  RECORD_FIXED_BYTES,
  read16,
  TYPE_FIRST_META,
  TYPE_LAST_META,
  TYPE_OPT,
} from "./wire.ts"

/** Not to be answered at all: no query, or an answer, which may come from a loop or a forger. */
export const DROP = -1

/**
 * A query as it came, read without making objects: the one reader takes one query after another.
 * Everything it says holds until the next {@link read}.
 */
export class QueryReader {
  bytes: Uint8Array = new Uint8Array(0)
  flags = 0
  /** Where the labels of the name end: at the root's zero. They begin at {@link HEADER_BYTES}. */
  nameEnd = 0
  /** The name's hash ({@link hashLabels}). */
  hash = 0
  type = 0
  /** Where the question ends. */
  questionEnd = 0
  hasEdns = false
  /** The EDNS version asked for; only 0 exists. */
  ednsVersion = 0
  /** Whether the client wants DNSSEC records (DO). */
  wantsDnssec = false
  /** How long an answer over UDP may be. */
  udpBytes = MIN_UDP_BYTES

  /**
   * Reads a message.
   *
   * @returns {@link DROP}, or an rcode: NOERROR when it is a query to be answered. With another
   * rcode the question may not have been read: `questionEnd` is then 0.
   */
  read(bytes: Uint8Array): number {
    this.bytes = bytes
    this.questionEnd = 0
    this.hasEdns = false
    this.ednsVersion = 0
    this.wantsDnssec = false
    this.udpBytes = MIN_UDP_BYTES
    if (bytes.length < HEADER_BYTES) return DROP
    this.flags = read16(bytes, OFFSET_FLAGS)
    if ((this.flags & FLAG_QR) !== 0) return DROP
    if ((this.flags & MASK_OPCODE) !== 0) return RCODE_NOTIMP
    // RFC 9619: a query has one question.
    if (read16(bytes, OFFSET_QDCOUNT) !== 1) return RCODE_FORMERR
    if (read16(bytes, OFFSET_ANCOUNT) !== 0 || read16(bytes, OFFSET_NSCOUNT) !== 0) {
      return RCODE_FORMERR
    }
    const end = labelsEnd(bytes, HEADER_BYTES)
    if (end < 0 || end + 5 > bytes.length) return RCODE_FORMERR
    this.nameEnd = end
    this.hash = hashLabels(bytes, HEADER_BYTES, end)
    this.type = read16(bytes, end + 1)
    this.questionEnd = end + 5
    const additional = this.#readAdditional(read16(bytes, OFFSET_ARCOUNT))
    if (additional !== RCODE_NOERROR) return additional
    if (read16(bytes, end + 3) !== CLASS_IN) return RCODE_NOTIMP
    if (this.type >= TYPE_FIRST_META && this.type <= TYPE_LAST_META) return RCODE_NOTIMP
    return this.type === TYPE_OPT ? RCODE_FORMERR : RCODE_NOERROR
  }

  #readAdditional(count: number): number {
    const { bytes } = this
    let at = this.questionEnd
    for (let index = 0; index < count; index++) {
      const isRoot = bytes[at] === 0
      const end = skipName(bytes, at)
      if (end < 0 || end + RECORD_FIXED_BYTES > bytes.length) return RCODE_FORMERR
      const dataEnd = end + RECORD_FIXED_BYTES + read16(bytes, end + 8)
      if (dataEnd > bytes.length) return RCODE_FORMERR
      if (read16(bytes, end) === TYPE_OPT) {
        // RFC 6891 §6.1.1: one, owned by the root.
        if (this.hasEdns || !isRoot) return RCODE_FORMERR
        this.hasEdns = true
        this.udpBytes = Math.min(Math.max(read16(bytes, end + 2), MIN_UDP_BYTES), MAX_UDP_BYTES)
        this.ednsVersion = bytes[end + 5] ?? 0
        this.wantsDnssec = ((bytes[end + 6] ?? 0) & 0x80) !== 0
      }
      at = dataEnd
    }
    return RCODE_NOERROR
  }
}

/** Where labels without pointers end, at the root's zero; -1 when they do not. */
function labelsEnd(bytes: Uint8Array, start: number): number {
  let at = start
  for (;;) {
    const length = bytes[at]
    if (length === undefined || (length & POINTER_BITS) !== 0) return -1
    if (length === 0) return at
    at += 1 + length
    if (at - start >= MAX_NAME_BYTES) return -1
  }
}

/** The offset behind a name that may end in a pointer, which is not followed; -1 when broken. */
export function skipName(bytes: Uint8Array, start: number): number {
  let at = start
  for (;;) {
    const length = bytes[at]
    if (length === undefined) return -1
    if (length === 0) return at + 1
    if ((length & POINTER_BITS) === POINTER_BITS) return at + 2 <= bytes.length ? at + 2 : -1
    if ((length & POINTER_BITS) !== 0) return -1
    at += 1 + length
    if (at - start >= MAX_NAME_BYTES) return -1
  }
}
