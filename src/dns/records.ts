/** Records as they stand in an answer. The owner is always the question's name, as a pointer. */
import {
  CLASS_IN,
  POINTER_TO_QUESTION,
  RECORD_FIXED_BYTES,
  type TYPE_A,
  type TYPE_AAAA,
  write16,
  write32,
} from "./wire.ts"

/** Records of one type and one length, one behind the other. */
export interface RecordBlock {
  readonly bytes: Uint8Array
  readonly count: number
}

/** The owner's pointer and the fixed part. */
export const OWNED_BYTES = 2 + RECORD_FIXED_BYTES

/** No answer may be longer than a TCP message: 2,048 AAAA records are 57,344 bytes. */
const MAX_RECORDS = 2048

export const NO_RECORDS: RecordBlock = { bytes: new Uint8Array(0), count: 0 }

/** A or AAAA records; as many as an answer may have. */
export function addressBlock(
  type: typeof TYPE_A | typeof TYPE_AAAA,
  addresses: readonly Uint8Array[],
  ttl: number,
): RecordBlock {
  return recordBlock(type, addresses.slice(0, MAX_RECORDS), ttl)
}

/**
 * Records with these data.
 *
 * @param ttl seconds
 */
export function recordBlock(type: number, data: readonly Uint8Array[], ttl: number): RecordBlock {
  const length = data.reduce((sum, one) => sum + OWNED_BYTES + one.length, 0)
  if (length === 0) return NO_RECORDS
  const bytes = new Uint8Array(length)
  let at = 0
  for (const one of data) {
    write16(bytes, at, POINTER_TO_QUESTION)
    write16(bytes, at + 2, type)
    write16(bytes, at + 4, CLASS_IN)
    write32(bytes, at + 6, ttl)
    write16(bytes, at + 10, one.length)
    bytes.set(one, at + OWNED_BYTES)
    at += OWNED_BYTES + one.length
  }
  return { bytes, count: data.length }
}

/** A name of `encodeName` as the data of a record: with the root's zero. */
export function nameData(name: Uint8Array): Uint8Array {
  const data = new Uint8Array(name.length + 1)
  data.set(name)
  return data
}

/** The data of an SRV record (RFC 2782): priority and weight 0, port, target. */
export function serviceData(port: number, target: Uint8Array): Uint8Array {
  const data = new Uint8Array(6 + target.length + 1)
  write16(data, 4, port)
  data.set(target, 6)
  return data
}
