import { Bailiwick } from "./bailiwick.ts"
import { lowerCase } from "./name.ts"
import { skipName } from "./query.ts"
import {
  FLAG_QR,
  FLAG_TC,
  HEADER_BYTES,
  MASK_OPCODE,
  MASK_RCODE,
  MAX_NAME_BYTES,
  OFFSET_ANCOUNT,
  OFFSET_ARCOUNT,
  OFFSET_FLAGS,
  OFFSET_NSCOUNT,
  OFFSET_QDCOUNT,
  POINTER_BITS,
  RCODE_NOERROR,
  RCODE_NXDOMAIN,
  RECORD_FIXED_BYTES,
  read16,
  read32,
  TYPE_CNAME,
  TYPE_OPT,
  TYPE_PTR,
  TYPE_SOA,
  write16,
} from "./wire.ts"

/** Another server's answer, checked, as it is kept and passed on. */
export interface CheckedMessage {
  /** Header, question and records, but for those that are not of the question ({@link Bailiwick}). */
  readonly bytes: Uint8Array
  readonly rcode: number
  readonly isTruncated: boolean
  /** Of answers, authorities and additionals. */
  readonly counts: readonly [number, number, number]
  /** Offsets of the TTLs. */
  readonly ttls: readonly number[]
  /** How long it may be kept (RFC 2181 §5.2, RFC 2308 §5), seconds; 0 is not at all. */
  readonly ttlSeconds: number
}

/** NS, MD, MF, CNAME, SOA, MB, MG, MR, PTR, MX: data with names that may have pointers. */
const FIRST_WITH_NAME: Readonly<Record<number, number>> = {
  2: 0,
  3: 0,
  4: 0,
  [TYPE_CNAME]: 0,
  [TYPE_SOA]: 0,
  7: 0,
  8: 0,
  9: 0,
  [TYPE_PTR]: 0,
  15: 2,
}

/** A pointer leads to one before it, so this only bounds the work for names made to be slow. */
const MAX_POINTERS = 32

/**
 * Checks an answer that came from another server: that it answers `query`, and that every record
 * and every name in it is whole. Undefined when not; nothing of such a message is to be used.
 *
 * @param query with the same question, byte for byte unless `anyCase`
 */
export function checkMessage(
  bytes: Uint8Array,
  query: Uint8Array,
  anyCase: boolean,
): CheckedMessage | undefined {
  const flags = read16(bytes, OFFSET_FLAGS)
  if (bytes.length < HEADER_BYTES || (flags & FLAG_QR) === 0) return undefined
  if ((flags & MASK_OPCODE) !== 0 || read16(bytes, OFFSET_QDCOUNT) !== 1) return undefined
  const questionEnd = skipName(query, HEADER_BYTES) + 4
  if (!sameQuestion(bytes, query, questionEnd, anyCase)) return undefined
  const counts: [number, number, number] = [
    read16(bytes, OFFSET_ANCOUNT),
    read16(bytes, OFFSET_NSCOUNT),
    read16(bytes, OFFSET_ARCOUNT),
  ]
  const rcode = flags & MASK_RCODE
  const isTruncated = (flags & FLAG_TC) !== 0
  if (isTruncated) {
    // Records may be cut off, and none is used: it is asked for again over TCP.
    const head = new Uint8Array(bytes.subarray(0, questionEnd))
    for (const at of [OFFSET_ANCOUNT, OFFSET_NSCOUNT, OFFSET_ARCOUNT]) write16(head, at, 0)
    return { bytes: head, rcode, isTruncated, counts: [0, 0, 0], ttls: [], ttlSeconds: 0 }
  }
  const bailiwick = new Bailiwick(query.subarray(HEADER_BYTES, questionEnd - 5))
  const walk = walkRecords(bytes, questionEnd, counts, bailiwick)
  // Answers, and none of them to the question, are no answer.
  if (walk === undefined || (counts[0] > 0 && walk.counts[0] === 0)) return undefined
  const type = read16(query, questionEnd - 4)
  const isPositive = rcode === RCODE_NOERROR && (walk.types.has(type) || walk.counts[0] > 0)
  const isNegative = !walk.types.has(type) && (rcode === RCODE_NXDOMAIN || rcode === RCODE_NOERROR)
  let ttlSeconds = isPositive ? walk.least : 0
  // RFC 2308 §5: without an SOA record a negative answer is not kept.
  if (isNegative) ttlSeconds = walk.negative === undefined ? 0 : Math.min(walk.least, walk.negative)
  // A copy: what it came with may be more, and slice() of a Buffer is none.
  const taken = new Uint8Array(bytes.subarray(0, walk.end))
  for (const owner of walk.owners) foldLabels(taken, owner)
  return {
    bytes: taken,
    rcode,
    isTruncated,
    counts: walk.counts,
    ttls: walk.ttls,
    ttlSeconds,
  }
}

interface Walk {
  readonly end: number
  readonly counts: readonly [number, number, number]
  readonly ttls: readonly number[]
  /** Offsets of the records' names. */
  readonly owners: readonly number[]
  /** The smallest TTL. */
  readonly least: number
  /** The SOA record's word on negative answers (RFC 2308 §5). */
  readonly negative: number | undefined
  /** Of the answers. */
  readonly types: ReadonlySet<number>
}

function walkRecords(
  bytes: Uint8Array,
  start: number,
  counts: readonly [number, number, number],
  bailiwick: Bailiwick,
): Walk | undefined {
  const taken: [number, number, number] = [0, 0, 0]
  const ttls: number[] = []
  const owners: number[] = []
  const types = new Set<number>()
  let least = Number.POSITIVE_INFINITY
  let negative: number | undefined
  let at = start
  /** Where the records end that are taken: what follows one that is not goes with it. */
  let cut: number | undefined
  for (const [section, count] of counts.entries()) {
    for (let index = 0; index < count; index++) {
      const fixed = isWholeName(bytes, at) ? skipName(bytes, at) : -1
      if (fixed < 0 || fixed + RECORD_FIXED_BYTES > bytes.length) return undefined
      const type = read16(bytes, fixed)
      const data = fixed + RECORD_FIXED_BYTES
      const end = data + read16(bytes, fixed + 8)
      if (end > bytes.length || !isWholeData(bytes, type, data, end)) return undefined
      if (type === TYPE_OPT && section < 2) return undefined
      if (cut === undefined && !bailiwick.takes(bytes, section, at, type, data)) cut = at
      if (cut !== undefined) {
        at = end
        continue
      }
      // RFC 2181 §8: a TTL with the highest bit set is zero.
      const ttl = read32(bytes, fixed + 4) > 0x7fff_ffff ? 0 : read32(bytes, fixed + 4)
      ttls.push(fixed + 4)
      owners.push(at)
      taken[section] = index + 1
      least = Math.min(least, ttl)
      if (section === 0) types.add(type)
      if (section === 1 && type === TYPE_SOA) negative = Math.min(ttl, read32(bytes, end - 4))
      at = end
    }
  }
  return { end: cut ?? at, counts: taken, ttls, owners, least, negative, types }
}

/** Puts labels in lower case, up to a pointer: the case that was asked in is between servers. */
function foldLabels(bytes: Uint8Array, start: number): void {
  let at = start
  for (;;) {
    const length = bytes[at] ?? 0
    if (length === 0 || (length & POINTER_BITS) !== 0) return
    for (let end = at + length; at < end; ) {
      at += 1
      bytes[at] = lowerCase(bytes[at] ?? 0)
    }
    at += 1
  }
}

function isWholeData(bytes: Uint8Array, type: number, data: number, end: number): boolean {
  if (type === 1) return end - data === 4
  if (type === 28) return end - data === 16
  const offset = FIRST_WITH_NAME[type]
  if (offset === undefined) return true
  const after = isWholeName(bytes, data + offset) ? skipName(bytes, data + offset) : -1
  if (after < 0 || after > end) return false
  if (type !== TYPE_SOA) return after === end
  const last = isWholeName(bytes, after) ? skipName(bytes, after) : -1
  return last >= 0 && last + 20 === end
}

/**
 * Whether a name with its pointers followed is one: not too long, each pointer to what is before it
 * (RFC 1035 §4.1.4), so that there is no loop, and no bomb of pointers to pointers.
 */
export function isWholeName(bytes: Uint8Array, start: number): boolean {
  let at = start
  let floor = start
  let length = 0
  let pointers = 0
  for (;;) {
    const byte = bytes[at]
    if (byte === undefined) return false
    if (byte === 0) return length < MAX_NAME_BYTES
    if ((byte & POINTER_BITS) === POINTER_BITS) {
      const target = read16(bytes, at) & 0x3fff
      if (at + 2 > bytes.length || target >= floor || target < HEADER_BYTES) return false
      if (++pointers > MAX_POINTERS) return false
      floor = target
      at = target
      continue
    }
    if ((byte & POINTER_BITS) !== 0) return false
    length += 1 + byte
    if (length >= MAX_NAME_BYTES || at + 1 + byte > bytes.length) return false
    at += 1 + byte
  }
}

function sameQuestion(
  bytes: Uint8Array,
  query: Uint8Array,
  end: number,
  anyCase: boolean,
): boolean {
  if (bytes.length < end) return false
  for (let at = HEADER_BYTES; at < end; at++) {
    const [a, b] = [bytes[at] ?? 0, query[at] ?? 0]
    if (a === b) continue
    const letter = a | 0x20
    if (!anyCase || letter !== (b | 0x20) || letter < 0x61 || letter > 0x7a) return false
  }
  return true
}
