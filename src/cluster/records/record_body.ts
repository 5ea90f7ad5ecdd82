/** What stands in other hosts' records, as schemas: every body is read by one, or refused. */

import * as z from "zod/mini"
import { read, refuse } from "../../config/value_schema.ts"
import { formatAddress, parseAddress } from "../../core/address.ts"
import { PeerRefusedError } from "./envelope.ts"

/** A whole number. */
export function integer(least: number, most: number) {
  return z.int().check(z.gte(least), z.lte(most))
}

/** Text of a form. */
export function text(form: RegExp) {
  return z.string().check(z.regex(form))
}

/** What a host or a container is called: it is shown on terminals and written to logs. */
export const name = text(/^[^\p{Cc}\p{Zl}\p{Zp}]{1,253}$/u)

/** As many bytes, written as base64url in the one way. */
export function bytes(length: number) {
  return read(z.string().check(z.maxLength(length * 2)), (value, context) => {
    const given = Buffer.from(value, "base64url")
    const good = given.length === length && given.toString("base64url") === value
    return good ? Uint8Array.from(given) : refuse(context, `is not ${length} bytes of base64url`)
  })
}

/** Canonical addresses, each once. */
export function addresses(least: number, most: number) {
  return z
    .array(z.string().check(z.refine(isCanonicalAddress)))
    .check(z.minLength(least), z.maxLength(most))
    .check(z.refine((all) => new Set(all).size === all.length, "holds an address twice"))
}

/** An object of so many entries at most, whatever they are called. */
export function map<T>(most: number, each: z.ZodMiniType<T>, longestKey = Number.MAX_SAFE_INTEGER) {
  const any = z.custom<object>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  )
  return read(any, (value, context): Readonly<Record<string, T>> => {
    const entries = Object.entries(value)
    if (entries.length > most) return refuse(context, `has more than ${most} entries`)
    const parsed = entries.map(([key, one]) => {
      const { success, data, error } = each.safeParse(one)
      if (!success) return refuse(context, `holds something: ${saidOf(error)}`)
      return key.length > longestKey
        ? refuse(context, "holds a key too long")
        : ([key, data] as const)
    })
    return Object.fromEntries(parsed)
  })
}

/**
 * A reader of opened bodies.
 *
 * @param what is read, as in "announcement": the refusal's check and its first words
 * @returns throws PeerRefusedError saying what is wrong, without a word of the body
 */
export function bodyReader<T>(what: string, schema: z.ZodMiniType<T>): (body: unknown) => T {
  return (body) => {
    const { success, data, error } = schema.safeParse(body)
    if (success) return data
    throw new PeerRefusedError(what, `Cannot take the ${what}: ${saidOf(error)}`)
  }
}

/** What is wrong, by the field's name: those below it may be anybody's words. */
function saidOf({ issues: [issue] }: z.core.$ZodError): string {
  const own = issue?.code === "custom" && issue.message !== "Invalid input"
  return `${String(issue?.path[0] ?? "it")} ${own ? issue.message : "is out of shape"}`
}

function isCanonicalAddress(value: string): boolean {
  try {
    return formatAddress(parseAddress(value)) === value
  } catch {
    return false
  }
}
