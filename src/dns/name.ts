/**
 * Names as labels with a length byte before each, in lower case and without the root's zero at the
 * end, so that one name with another behind it is a name again.
 */
import { MAX_LABEL_BYTES, MAX_NAME_BYTES, POINTER_BITS, read16 } from "./wire.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("latin1")

/**
 * The name of a text such as `web.default.rancher.internal`; a dot at the end makes no difference.
 * Undefined for what can be no name: an empty label, one of over 63 bytes, over 255 in all.
 */
export function encodeName(text: string): Uint8Array | undefined {
  const labels = text.toLowerCase().replace(/\.$/, "").split(".")
  const bytes: number[] = []
  for (const label of labels) {
    const encoded = encoder.encode(label)
    if (encoded.length === 0 || encoded.length > MAX_LABEL_BYTES) return undefined
    bytes.push(encoded.length, ...encoded)
  }
  return bytes.length < MAX_NAME_BYTES ? Uint8Array.from(bytes) : undefined
}

/**
 * The text of labels from one offset to another. For names that `encodeName` made or that stand in
 * a query, which have no pointers.
 */
export function nameText(bytes: Uint8Array, start: number, end: number): string {
  const labels: string[] = []
  for (let at = start; at < end; at += 1 + (bytes[at] ?? 0)) {
    labels.push(decoder.decode(bytes.subarray(at + 1, at + 1 + (bytes[at] ?? 0))))
  }
  return labels.join(".")
}

/** FNV-1a, 32 bits: offset basis and prime. http://www.isthe.com/chongo/tech/comp/fnv/ */
export const HASH_START = 0x811c9dc5 | 0
export const HASH_PRIME = 0x01000193

/** A byte of a name in lower case. A length byte is below 64 and stays. */
export function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
}

/**
 * The hash of labels, without regard to case.
 *
 * @param hash of what stands before them; default nothing
 */
export function hashLabels(
  bytes: Uint8Array,
  start: number,
  end: number,
  hash: number = HASH_START,
): number {
  let value = hash
  for (let at = start; at < end; at++) {
    value = Math.imul(value ^ lowerCase(bytes[at] ?? 0), HASH_PRIME)
  }
  return value
}

/** Whether labels in any case are, or end in, a name of {@link encodeName}. */
export function endsInName(
  bytes: Uint8Array,
  start: number,
  end: number,
  suffix: Uint8Array,
): boolean {
  let at = start
  // Where a label begins: "notrancher.internal" does not end in "rancher.internal".
  while (end - at > suffix.length) at += 1 + (bytes[at] ?? 0)
  return end - at === suffix.length && sameLabels(bytes, at, suffix, 0, suffix.length)
}

/** Whether so many bytes of labels in any case are those of a name of {@link encodeName}. */
export function sameLabels(
  bytes: Uint8Array,
  start: number,
  name: Uint8Array,
  nameStart: number,
  length: number,
): boolean {
  for (let index = 0; index < length; index++) {
    if (lowerCase(bytes[start + index] ?? 0) !== name[nameStart + index]) return false
  }
  return true
}

/** A name with its pointers followed, of a message that `checkMessage` found whole. */
export function wholeName(bytes: Uint8Array, start: number): Uint8Array {
  const name: number[] = []
  let at = start
  for (;;) {
    const length = bytes[at] ?? 0
    if ((length & POINTER_BITS) === POINTER_BITS) {
      at = read16(bytes, at) & 0x3fff
      continue
    }
    for (const byte of bytes.subarray(at, at + 1 + length)) name.push(byte)
    if (length === 0) return Uint8Array.from(name)
    at += 1 + length
  }
}
