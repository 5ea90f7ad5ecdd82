/**
 * Schemas of single values, made with zod's `mini` build: its start costs the agent 20 ms less than
 * the other. Each takes what people and templates write (a flag as `true` or
 * `"true"`, a number as `98` or `"98"`, the empty text for "not said") and gives one type.
 * Messages complete the sentence "KEY …".
 */

import * as z from "zod/mini"
import {
  formatAddress,
  formatPrefix,
  networkOf,
  parseAddress,
  parsePrefix,
} from "../core/address.ts"
import { interfaceMac } from "../core/mac.ts"
import { messageOf } from "../errors.ts"
import { parseDuration } from "./duration.ts"

const TRUE = new Set(["true", "yes", "on", "1"])
const FALSE = new Set(["false", "no", "off", "0"])

/** Where a reader leaves what is wrong. */
type Context = z.core.ParsePayload

/** Adds an issue, with a hint where there is one. */
export function refuse(context: Context, message: string, hint?: string): never {
  context.issues.push({ code: "custom", input: context.value, message, params: { hint } })
  return z.NEVER
}

/** What a schema gives, read on by a function. */
export function read<T extends z.ZodMiniType, R>(
  schema: T,
  reader: (value: z.output<T>, context: Context) => R,
) {
  return z.pipe(schema, z.transform<z.output<T>, R>(reader))
}

/** A key that may be absent or null, which both come out as undefined. */
export function optional<T extends z.ZodMiniType>(schema: T) {
  return z.optional(read(z.nullable(schema), (value) => value ?? undefined))
}

/** A key that may be absent, null or not said, and what it then comes out as. */
export function orElse<T extends z.ZodMiniType, const E>(schema: T, otherwise: E) {
  return read(z.nullish(schema), (value) => (value ?? otherwise) as Filled<z.output<T>, E>)
}

type Filled<Value, E> =
  E extends Fixed<NonNullable<Value>> ? NonNullable<Value> : NonNullable<Value> | E

/** Text as it stands. */
export const text = z.string("must be text")

/** Text that a function reads on; the empty one counts as not said. */
export function textAs<R>(reader: (value: string, context: Context) => R) {
  return read(text, (value, context): R | undefined =>
    value === "" ? undefined : reader(value, context),
  )
}

/** Text; the empty one counts as not said. */
export const optionalText = textAs((value) => value)

/** Text that passes a test; the empty one counts as not said. */
export function textThat(passes: (value: string) => boolean, message: string) {
  return textAs((value, context) => (passes(value) ? value : refuse(context, message)))
}

export const absolutePath = textThat((value) => value.startsWith("/"), "must be an absolute path")

/**
 * A time, in milliseconds; the empty text counts as not said.
 *
 * @param options.least the shortest that is taken, milliseconds; default 0
 */
export function duration({ least = 0 }: { readonly least?: number } = {}) {
  return read(
    z.union([z.string(), z.number()], "must be a duration"),
    (value, context): number | undefined => {
      if (value === "") return undefined
      const milliseconds = parseDuration(value)
      if (milliseconds === undefined) {
        const rule = "must be a duration such as 60s or 5m, or milliseconds, at most a year"
        return refuse(context, rule)
      }
      if (milliseconds < least) return refuse(context, `must be at least ${least / 1000} s`)
      return milliseconds
    },
  )
}

/** Text that is not empty. */
export const someText = text.check(z.minLength(1, { error: "must not be empty", abort: true }))

/** `true`, `"true"`, and so on; the empty text counts as not said. */
export const flag = read(
  z.union([z.boolean(), z.string(), z.number()], "must be true or false"),
  (value, context): boolean | undefined => {
    if (typeof value === "boolean") return value
    const word = String(value).trim().toLowerCase()
    if (word === "") return undefined
    if (TRUE.has(word)) return true
    return FALSE.has(word) ? false : refuse(context, "must be true or false")
  },
)

/** A whole number between two bounds, both included; the empty text counts as not said. */
export function wholeNumber(least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`
  return read(z.union([z.number(), z.string()], message), (value, context): number | undefined => {
    if (value === "") return undefined
    const number = typeof value === "number" ? value : toWholeNumber(value)
    const good = Number.isInteger(number) && number >= least && number <= most
    return good ? number : refuse(context, message)
  })
}

function toWholeNumber(value: string): number {
  return /^\s*[+-]?[0-9]{1,16}\s*$/.test(value) ? Number(value) : Number.NaN
}

/** One of some words; the empty text counts as not said. */
export function oneOf<const T extends string>(words: readonly T[]) {
  const message = `must be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`
  return read(z.union([z.enum(words), z.literal("")], message), (value): T | undefined =>
    value === "" ? undefined : value,
  )
}

/**
 * Runs a reader of addresses; what it throws becomes an issue that says what is expected, and the
 * reader's own reason.
 */
function reading<T>(context: Context, expected: string, reader: () => T): T {
  try {
    return reader()
  } catch (error) {
    return refuse(context, expected, reasonOf(error))
  }
}

/** Why core/ could not read a text: its message without the text, which is shown anyway. */
export function reasonOf(error: unknown): string {
  const message = messageOf(error)
  const quoted = message.lastIndexOf('": ')
  return quoted < 0 ? message : message.slice(quoted + 3)
}

const canonicalAddress = (value: string, context: Context): string =>
  reading(context, "must be an IP address", () => formatAddress(parseAddress(value)))

/** An address; comes out canonical. */
export const address = read(text, canonicalAddress)

/** An address; comes out canonical. The empty text counts as not said. */
export const optionalAddress = textAs(canonicalAddress)

const canonicalNetwork = (value: string, context: Context): string =>
  reading(context, "must be a subnet such as 10.42.0.0/16", () =>
    formatPrefix(networkOf(parsePrefix(value))),
  )

/** A prefix in CIDR form; comes out canonical, its host bits cleared. */
export const network = read(text, canonicalNetwork)

/** A prefix as {@link network} gives it. The empty text counts as not said. */
export const optionalNetwork = textAs(canonicalNetwork)

/** An address with or without a prefix length; comes out canonical. */
export const addressOrPrefix = read(text, (value, context): string =>
  reading(context, "must be an IP address, with a prefix length or without", () =>
    value.includes("/") ? formatPrefix(parsePrefix(value)) : formatAddress(parseAddress(value)),
  ),
)

/** A MAC address that an interface can have; comes out in lower case with colons. */
export const mac = textAs((value, context) =>
  reading(context, "must be a MAC address", () => interfaceMac(value)),
)

/** A list of texts, or one text with commas between them; empty ones are left out. */
export const textList = read(
  z.union([z.array(text), z.string()], "must be a list of texts"),
  (value): string[] => {
    const list = typeof value === "string" ? value.split(",").map((part) => part.trim()) : value
    return list.filter((part) => part !== "")
  },
)

/** As {@link textList}, each entry read by another schema. */
export function listOf<T extends z.ZodMiniType<unknown, string>>(entry: T) {
  return z.pipe(textList, z.array(entry))
}

/** Whether a value is a map, no list. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** Any map. */
export const anyMap = z.record(z.string(), z.unknown(), "must be a map")

/** A map whose keys are all known: `validate` warns of others. */
export function section<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.strictObject(shape, "must be a map")
}

/** A map that may have other keys than those known here; they are left out. */
export function looseSection<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.object(shape, "must be a map")
}

/** A list of what another schema reads. */
export function list<T extends z.ZodMiniType>(entry: T) {
  return z.array(entry, "must be a list")
}

/** What a schema gives, none of it to be changed. */
export type Output<T extends z.ZodMiniType> = Fixed<z.output<T>>

type Fixed<T> = T extends readonly (infer Item)[]
  ? readonly Fixed<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Fixed<T[K]> }
    : T
