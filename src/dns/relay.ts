/** Answers of other servers, passed on to a client. */
import type { Recursion } from "./answer.ts"
import type { KeptAnswer } from "./cache.ts"
import { encodeName, lowerCase, wholeName } from "./name.ts"
import { skipName } from "./query.ts"
import type { ReplyWriter } from "./reply.ts"
import type { Question } from "./upstream.ts"
import {
  FLAG_CD,
  FLAG_RA,
  HEADER_BYTES,
  RCODE_SERVFAIL,
  RECORD_FIXED_BYTES,
  read16,
  read32,
  TYPE_A,
  TYPE_AAAA,
  TYPE_CNAME,
} from "./wire.ts"

/** What other servers are to be asked for a client. */
export function questionOf({
  bytes,
  nameEnd,
  type,
  flags,
  wantsDnssec,
  alias,
}: Recursion): Question {
  const name =
    (alias === undefined ? undefined : encodeName(alias)) ?? bytes.subarray(HEADER_BYTES, nameEnd)
  return { name, type, dnssec: wantsDnssec, checkingDisabled: (flags & FLAG_CD) !== 0 }
}

/** The answer for the client: as it came, or behind the name that it is an alias of; or SERVFAIL. */
export function relayed(
  writer: ReplyWriter,
  asked: Recursion,
  answer: KeptAnswer | undefined,
  ttlSeconds: number,
): Uint8Array {
  if (answer === undefined) return writer.code(asked, RCODE_SERVFAIL)
  const { message, age } = answer
  const { rcode, bytes, counts, ttls } = message
  if (asked.alias === undefined) {
    return writer.relay(asked, rcode, bytes, counts, ttls, age, asked.limit)
  }
  writer.begin(asked, rcode | FLAG_RA)
  writer.alias(encodeName(asked.alias) ?? new Uint8Array(0), ttlSeconds)
  let at = skipName(bytes, HEADER_BYTES) + 4
  for (let index = 0; index < counts[0]; index++) {
    const fixed = skipName(bytes, at)
    const type = read16(bytes, fixed)
    const data = fixed + RECORD_FIXED_BYTES
    const end = data + read16(bytes, fixed + 8)
    const ttl = Math.max(0, read32(bytes, fixed + 4) - age)
    // The case that was asked in is between servers.
    const owner = wholeName(bytes, at).map(lowerCase)
    if (type === TYPE_CNAME) writer.plain(owner, type, ttl, wholeName(bytes, data))
    if (type === TYPE_A || type === TYPE_AAAA) {
      writer.plain(owner, type, ttl, bytes.subarray(data, end))
    }
    at = end
  }
  return writer.finish(asked, asked.limit)
}
