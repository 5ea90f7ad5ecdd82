/**
 * What is wrong with a text that is no address. The package ip-address decides whether it is one;
 * its messages name neither the fault nor the place, and people must find both in a configuration.
 */

import { LariatError } from "../errors.ts"

/** Longest address text: eight groups of four digits and seven colons (RFC 4291 §2.2). */
const MAX_ADDRESS_TEXT = 39

/** Text as an error may show it: quoted, and cut so that hostile input cannot flood a log. */
export function quoteInput(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text)
}

/** The first that fits is the reason. */
const FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^$/, "it is empty"],
  [/%/, "it has a zone id"],
]

const FAULTS_4: typeof FAULTS = [
  [/^\.|\.\.|\.$/, "a number is missing between the dots"],
  [/(?:^|\.)0\d/, "a number has a leading zero"],
  [/^\d+(?:\.\d+){4}/, "an IPv4 address has four numbers, this has more"],
  [/\d{4}|[3-9]\d\d|2[6-9]\d|25[6-9]/, "a number is greater than 255"],
]

const FAULTS_6: typeof FAULTS = [
  [/^:(?!:)/, "it starts with a single colon"],
  [/:::/, "a group between the colons is empty"],
  [/::.*::/, "it has '::' more than once"],
  [/[^:]:$/, "it ends with a single colon"],
  [/[^:]{5}/, "a group has more than four digits"],
]

/** The error for a text that is no address: why, and where that is one character. */
export function addressFault(text: string): LariatError {
  const first = reasonOf(FAULTS, text)
  if (first !== undefined) return refusedAddress(text, first)
  if (text.length > MAX_ADDRESS_TEXT) {
    const most = `an address is at most ${MAX_ADDRESS_TEXT}`
    return refusedAddress(text, `it is ${text.length} characters long, ${most}`)
  }
  const six = text.includes(":")
  const strange = (six ? /[^0-9a-f:]/iu : /[^0-9.]/u).exec(text)
  if (strange !== null) return refusedAddress(text, strangeCharacter(strange, six))
  const reason = reasonOf(six ? FAULTS_6 : FAULTS_4, text) ?? countFault(text, six)
  const zero = reason.endsWith("leading zero") && "Write the numbers without leading zeros"
  return refusedAddress(text, reason, zero || undefined)
}

/** The error that names what was refused and why. */
export function refusedAddress(text: string, why: string, hint?: string): LariatError {
  return new LariatError(`Cannot read address ${quoteInput(text)}: ${why}`, {
    code: "config-invalid",
    hint: hint ?? "Write an address such as 10.42.0.1 or fd00:42::1",
  })
}

function reasonOf(faults: typeof FAULTS, text: string): string | undefined {
  return faults.find(([pattern]) => pattern.test(text))?.[1]
}

function strangeCharacter({ 0: char, index }: RegExpExecArray, six: boolean): string {
  if (char === "/") return "it has a prefix length where an address alone is wanted"
  if (char === "." && six) return "it has a dotted IPv4 part"
  return `character ${JSON.stringify(char)} at position ${index + 1} belongs to no address`
}

function countFault(text: string, six: boolean): string {
  const count = text.split(six ? /:+/ : ".").filter((part) => part !== "").length
  if (!six) return `an IPv4 address has four numbers, this has ${count}`
  const wanted = text.includes("::") ? "at most seven groups beside '::'" : "eight groups"
  return `an IPv6 address has ${wanted}, this has ${count}`
}
