/** Numbers of the DNS wire format. RFC 1035 unless another is named. */

/** §4.1.1: id, flags, and four counts, two bytes each. */
export const HEADER_BYTES = 12
export const OFFSET_FLAGS = 2
export const OFFSET_QDCOUNT = 4
export const OFFSET_ANCOUNT = 6
export const OFFSET_NSCOUNT = 8
export const OFFSET_ARCOUNT = 10

/** §4.1.1, flags as one 16-bit number. */
export const FLAG_QR = 0x8000
export const FLAG_AA = 0x0400
export const FLAG_TC = 0x0200
export const FLAG_RD = 0x0100
export const FLAG_RA = 0x0080
/** RFC 4035 §3.1.6, §3.2.2. */
export const FLAG_CD = 0x0010
export const MASK_OPCODE = 0x7800
export const MASK_RCODE = 0x000f

export const RCODE_NOERROR = 0
export const RCODE_FORMERR = 1
export const RCODE_SERVFAIL = 2
export const RCODE_NXDOMAIN = 3
export const RCODE_NOTIMP = 4
export const RCODE_REFUSED = 5
/** RFC 6891 §6.1.3: 16, of which the OPT record carries all but the low four bits. */
export const EXTENDED_BADVERS = 1

export const TYPE_A = 1
export const TYPE_NS = 2
export const TYPE_CNAME = 5
export const TYPE_SOA = 6
export const TYPE_PTR = 12
export const TYPE_AAAA = 28
/** RFC 2782. */
export const TYPE_SRV = 33
/** RFC 6672. */
export const TYPE_DNAME = 39
/** RFC 6891. */
export const TYPE_OPT = 41
/** RFC 4034, RFC 5155. */
export const TYPE_DS = 43
export const TYPE_RRSIG = 46
export const TYPE_NSEC = 47
export const TYPE_DNSKEY = 48
export const TYPE_NSEC3 = 50
/** Transfers and the like (IXFR, AXFR, MAILB, MAILA) are no types of records. */
export const TYPE_FIRST_META = 251
export const TYPE_LAST_META = 254
export const TYPE_ANY = 255
export const CLASS_IN = 1

/** §2.3.4: with length bytes and the root's zero. */
export const MAX_NAME_BYTES = 255
export const MAX_LABEL_BYTES = 63
/** §4.1.4: the first two bits of a pointer. */
export const POINTER_BITS = 0xc0
/** A pointer to the question's name, which is always right behind the header. */
export const POINTER_TO_QUESTION = 0xc00c
/** §4.1.3: type, class, TTL and length of the data, behind the name. */
export const RECORD_FIXED_BYTES = 10
/** RFC 6891 §6.1.2: root name and the fixed part. */
export const OPT_BYTES = 11
/** RFC 6891 §6.1.3, in the upper half of the OPT's TTL field. */
export const EDNS_DO = 0x8000

/** §4.2.1: over UDP, without EDNS. */
export const MIN_UDP_BYTES = 512
/** What we say we take, and most that we send over UDP: fits every link (DNS flag day 2020). */
export const MAX_UDP_BYTES = 1232
/** §4.2.2: behind a length of two bytes. */
export const MAX_TCP_BYTES = 65_535

/** Reads two bytes; 0 past the end. */
export function read16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

/** Reads four bytes, unsigned. */
export function read32(bytes: Uint8Array, at: number): number {
  return read16(bytes, at) * 0x1_0000 + read16(bytes, at + 2)
}

/** Writes two bytes. */
export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

/** Writes four bytes. */
export function write32(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at, (value >>> 16) & 0xffff)
  write16(bytes, at + 2, value & 0xffff)
}
