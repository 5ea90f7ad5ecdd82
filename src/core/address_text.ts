/**
 * IPv4 and IPv6 addresses as text: a strict reader and a canonical writer.
 *
 * Written here and not taken from the npm package ip-address because loading that package costs a
 * process 4.5 ms at start, as much as the rest of a CNI call, and a parse 5 µs against 0.2 µs. The
 * package is the oracle of the tests instead.
 */

import { LariatError } from "../errors.ts"

const DOT = 0x2e
const COLON = 0x3a
const ZERO = 0x30

/** Longest address text: eight groups of four digits and seven colons (RFC 4291 §2.2). */
const MAX_TEXT = 39

/** Text as an error may show it: quoted, and cut so that hostile input cannot flood a log. */
export function quoteInput(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}

function refuse(text: string, why: string, hint?: string): LariatError {
  return new LariatError(`Cannot read address ${quoteInput(text)}: ${why}`, {
    code: "config-invalid",
    hint: hint ?? "Write an address such as 10.42.0.1 or fd00:42::1",
  })
}

/**
 * The bytes of an address: 4 for IPv4, 16 for IPv6.
 *
 * IPv4 is four decimal numbers without leading zeros, which some readers take for octal. IPv6 is
 * any form of RFC 4291 §2.2 without a dotted part. IPv4-mapped addresses are refused, because one
 * address must have one spelling: it is the key of leases and of the metadata's callers.
 *
 * @throws LariatError config-invalid
 */
export function readAddress(text: string): Uint8Array {
  if (text.length === 0) throw refuse(text, "it is empty")
  if (text.length > MAX_TEXT) throw explainLong(text)
  return text.includes(":") ? readIpv6(text) : readIpv4(text)
}

/** A long text is most often a short mistake in a long address: say which. */
function explainLong(text: string): LariatError {
  return text.includes("%")
    ? refuse(text, "it has a zone id")
    : refuse(text, `it is ${text.length} characters long, an address is at most ${MAX_TEXT}`)
}

function readIpv4(text: string): Uint8Array {
  const bytes = new Uint8Array(4)
  let octet = 0
  let digits = 0
  let value = 0
  for (let i = 0; i <= text.length; i++) {
    const char = i === text.length ? DOT : text.charCodeAt(i)
    if (char === DOT) {
      if (digits === 0) throw refuse(text, "a number is missing between the dots")
      if (octet === 4) throw refuse(text, "an IPv4 address has four numbers, this has more")
      bytes[octet++] = value
      digits = 0
      value = 0
      continue
    }
    const digit = char - ZERO
    if (digit < 0 || digit > 9) throw refuse(text, explainCharacter(text, i))
    if (digits > 0 && value === 0) {
      throw refuse(text, "a number has a leading zero", "Write the numbers without leading zeros")
    }
    value = value * 10 + digit
    if (value > 255) throw refuse(text, "a number is greater than 255")
    digits++
  }
  if (octet < 4) throw refuse(text, `an IPv4 address has four numbers, this has ${octet}`)
  return bytes
}

function hexValue(char: number): number {
  if (char >= ZERO && char <= 0x39) return char - ZERO
  const lower = char | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function readIpv6(text: string): Uint8Array {
  const groups: number[] = []
  /** How many groups stand before `::`; -1 where there is none. */
  let gap = -1
  let i = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) throw refuse(text, "it starts with a single colon")
    gap = 0
    i = 2
  }
  while (i < text.length) {
    const start = i
    let value = 0
    for (; i < text.length; i++) {
      const digit = hexValue(text.charCodeAt(i))
      if (digit < 0) break
      value = value * 16 + digit
    }
    if (i < text.length && text.charCodeAt(i) !== COLON) {
      throw refuse(text, explainCharacter(text, i))
    }
    if (i === start) throw refuse(text, "a group between the colons is empty")
    if (i - start > 4) throw refuse(text, "a group has more than four digits")
    groups.push(value)
    if (i === text.length) break
    i++
    if (text.charCodeAt(i) === COLON) {
      if (gap >= 0) throw refuse(text, "it has '::' more than once")
      gap = groups.length
      i++
    } else if (i === text.length) {
      throw refuse(text, "it ends with a single colon")
    }
  }
  return assembleIpv6(text, groups, gap)
}

function assembleIpv6(text: string, groups: readonly number[], gap: number): Uint8Array {
  if (gap < 0 ? groups.length !== 8 : groups.length > 7) {
    const wanted = gap < 0 ? "eight groups" : "at most seven groups beside '::'"
    throw refuse(text, `an IPv6 address has ${wanted}, this has ${groups.length}`)
  }
  const bytes = new Uint8Array(16)
  const missing = 8 - groups.length
  groups.forEach((value, index) => {
    const at = 2 * (gap >= 0 && index >= gap ? index + missing : index)
    bytes[at] = value >> 8
    bytes[at + 1] = value & 0xff
  })
  if (isMapped(bytes)) {
    const dotted = bytes.subarray(12).join(".")
    throw refuse(text, "it is an IPv4-mapped IPv6 address", `Write ${dotted}`)
  }
  return bytes
}

/** `::ffff:0:0/96`, RFC 4291 §2.5.5.2. */
function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

function explainCharacter(text: string, at: number): string {
  const char = text[at] ?? ""
  if (char === "%") return "it has a zone id"
  if (char === "/") return "it has a prefix length where an address alone is wanted"
  if (char === "." && text.includes(":")) return "it has a dotted IPv4 part"
  return `character ${JSON.stringify(char)} at position ${at + 1} belongs to no address`
}

/** Canonical text: dotted decimal, or RFC 5952. @param bytes 4 or 16 bytes */
export function writeAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  const { start, length } = longestZeros(groups)
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":")
  // RFC 5952 §4.2.2: "::" must not stand for a single group.
  if (length < 2) return hex(0, 8)
  return `${hex(0, start)}::${hex(start + length, 8)}`
}

/** The longest run of zero groups, the first of equals (RFC 5952 §4.2.3). */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let start = 0
  let length = 0
  let run = 0
  for (let i = 0; i < groups.length; i++) {
    run = groups[i] === 0 ? run + 1 : 0
    if (run > length) {
      length = run
      start = i + 1 - run
    }
  }
  return { start, length }
}
