/**
 * Schemas of single values. Each takes what people and templates write (a flag as `true` or
 * `"true"`, a number as `98` or `"98"`, the empty text for "not said") and gives one type.
 * Messages complete the sentence "KEY …".
 */

import { z } from "zod"
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../core/address.ts"
import { formatMac, isInterfaceMac, parseMac } from "../core/mac.ts"
import { messageOf } from "../errors.ts"

const TRUE = new Set(["true", "yes", "on", "1"])
const FALSE = new Set(["false", "no", "off", "0"])

/** Adds an issue, with a hint where there is one. */
function refuse(context: z.RefinementCtx, message: string, hint?: string): never {
  context.addIssue({ code: "custom", message, params: { hint } })
  return z.NEVER
}

/** Text as it stands. */
export const text = z.string("must be text")

/** Text; the empty one counts as not said. */
export const optionalText = text.transform((value) => (value === "" ? undefined : value))

/** Text that is not empty. */
export const someText = text.refine((value) => value !== "", "must not be empty")

/** `true`, `"true"`, and so on; the empty text counts as not said. */
export const flag = z
  .union([z.boolean(), z.string(), z.number()], "must be true or false")
  .transform((value, context): boolean | undefined => {
    if (typeof value === "boolean") return value
    const word = String(value).trim().toLowerCase()
    if (word === "") return undefined
    if (TRUE.has(word)) return true
    return FALSE.has(word) ? false : refuse(context, "must be true or false")
  })

/** A whole number between two bounds, both included; the empty text counts as not said. */
export function wholeNumber(least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`
  return z
    .union([z.number(), z.string()], message)
    .transform((value, context): number | undefined => {
      if (value === "") return undefined
      const number = typeof value === "number" ? value : readWholeNumber(value)
      const good = Number.isInteger(number) && number >= least && number <= most
      return good ? number : refuse(context, message)
    })
}

function readWholeNumber(value: string): number {
  return /^\s*[+-]?[0-9]{1,15}\s*$/.test(value) ? Number(value) : Number.NaN
}

/**
 * Runs a reader of addresses; what it throws becomes an issue that says what is expected, and the
 * reader's own reason.
 */
function reading<T>(context: z.RefinementCtx, expected: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const message = messageOf(error)
    const reason = message.slice(message.lastIndexOf('": ') + 3)
    return refuse(context, expected, `because ${reason}`)
  }
}

const readAddress = (value: string, context: z.RefinementCtx): string =>
  reading(context, "must be an IP address", () => formatAddress(parseAddress(value)))

/** An address; comes out canonical. */
export const address = text.transform(readAddress)

/** An address; comes out canonical. The empty text counts as not said. */
export const optionalAddress = text.transform((value, context): string | undefined =>
  value === "" ? undefined : readAddress(value, context),
)

/** A prefix in CIDR form, host bits kept; comes out canonical. */
export const prefix = text.transform((value, context): string =>
  reading(context, "must be a subnet such as 10.42.0.0/16", () => formatPrefix(parsePrefix(value))),
)

/** An address with or without a prefix length; comes out canonical. */
export const addressOrPrefix = text.transform((value, context): string =>
  reading(context, "must be an IP address, with a prefix length or without", () =>
    value.includes("/") ? formatPrefix(parsePrefix(value)) : formatAddress(parseAddress(value)),
  ),
)

/** A MAC address that an interface can have; comes out in lower case with colons. */
export const mac = text.transform((value, context): string | undefined => {
  if (value === "") return undefined
  const bytes = reading(context, "must be a MAC address", () =>
    parseMac(value.replaceAll("-", ":")),
  )
  if (isInterfaceMac(bytes)) return formatMac(bytes)
  return refuse(context, "must be the address of one interface, not of a group or all zeros")
})

/** A list of texts, or one text with commas between them; empty ones are left out. */
export const textList = z
  .union([z.array(text), z.string()], "must be a list of texts")
  .transform((value): string[] => {
    const list = typeof value === "string" ? value.split(",").map((part) => part.trim()) : value
    return list.filter((part) => part !== "")
  })

/** As {@link textList}, each entry read by another schema. */
export function listOf<T>(entry: z.ZodType<T, string>) {
  return textList.pipe(z.array(entry))
}

/** Any map. */
export const anyMap = z.record(z.string(), z.unknown(), "must be a map")

/** A map whose keys are known. */
export function section<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, "must be a map")
}

/** A list of what another schema reads. */
export function list<T extends z.ZodType>(entry: T) {
  return z.array(entry, "must be a list")
}
