/**
 * Checks a value against a schema and says everything that is wrong, not only the first thing.
 * Unknown keys are warnings, with the key that was probably meant; all else is an error.
 */

import * as z from "zod/mini"
import { type Problem, pathText, type Step, showValue } from "./diagnostic.ts"
import { closest } from "./edit_distance.ts"

/** What came out: `value` is there when nothing was an error. */
export interface Validated<T> {
  readonly value: T | undefined
  readonly problems: readonly Problem[]
}

export interface ValidateOptions {
  /**
   * Take a key that differs from a known one only in case for that one, with a warning, as Go's
   * JSON decoder does for the original's netconf. Default false.
   */
  readonly foldCase?: boolean
  /** What messages call the value itself. Default "it". */
  readonly what?: string
  /** Where the value stands in a larger one: put before paths and names. Default nowhere. */
  readonly under?: readonly Step[]
}

type Path = readonly Step[]

/** Problems of one value that are told; a hostile one could have a million. */
const MAX_PROBLEMS = 50

/** Checks `value` against `schema`. Never throws. */
export function validate<T>(
  schema: z.ZodMiniType<T>,
  value: unknown,
  options: ValidateOptions = {},
): Validated<T> {
  const { foldCase = false, under = [] } = options
  const problems: Problem[] = []
  const known = knownPart(schema, value, under, { foldCase, problems })
  const result = schema.safeParse(known)
  if (result.success) return { value: result.data, problems }
  return { value: undefined, problems: [...problems, ...errorsOf(result.error, known, options)] }
}

/** What is found on the way, and how unknown keys are taken. */
interface Search {
  readonly foldCase: boolean
  readonly problems: Problem[]
}

/** A value without what its schema does not know. */
function knownPart(schema: unknown, value: unknown, path: Path, search: Search): unknown {
  if (typeof value !== "object" || value === null) return value
  const inner = unwrap(schema)
  if (Array.isArray(value)) {
    if (!(inner instanceof z.core.$ZodArray)) return value
    const { element } = inner._zod.def
    return value.map((item, at) => knownPart(element, item, [...path, at], search))
  }
  if (inner instanceof z.core.$ZodObject) return knownKeys(inner, value, path, search)
  if (!(inner instanceof z.core.$ZodRecord)) return value
  const { valueType } = inner._zod.def
  const entries = Object.entries(value).map(([key, item]) => {
    return [key, knownPart(valueType, item, [...path, key], search)]
  })
  return Object.fromEntries(entries)
}

function knownKeys(section: z.core.$ZodObject, map: object, path: Path, search: Search): object {
  const { shape, catchall } = section._zod.def
  const keys = Object.keys(shape)
  const entries = Object.entries(map).flatMap(([key, item]): [string, unknown][] => {
    if (Object.hasOwn(shape, key)) {
      return [[key, knownPart(shape[key], item, [...path, key], search)]]
    }
    if (catchall?._zod.def.type !== "never") return [[key, item]]
    const meant = search.foldCase ? sameButCase(key, keys, map) : undefined
    if (search.problems.length < MAX_PROBLEMS) {
      search.problems.push(unknownKey([...path, key], keys, map, meant))
    }
    if (meant === undefined) return []
    return [[meant, knownPart(shape[meant], item, [...path, meant], search)]]
  })
  return Object.fromEntries(entries)
}

/** @param meant the key that the unknown one is taken for; undefined where it is left out */
function unknownKey(
  path: Path,
  known: readonly string[],
  map: object,
  meant: string | undefined,
): Problem {
  const where = pathText(path)
  const problem = { severity: "warning", path, atKey: true } as const
  if (meant !== undefined) {
    return { ...problem, message: `${where} is taken for ${meant}`, hint: `write ${meant}` }
  }
  const near = closest(String(path.at(-1)), known)
  const taken = near !== undefined && Object.hasOwn(map, near)
  const hint = near && `did you mean ${near}${taken ? ", which is there too and is used" : ""}`
  return { ...problem, message: `${where} is not a known key, it is ignored`, hint }
}

function sameButCase(key: string, known: readonly string[], map: object): string | undefined {
  const lower = key.toLowerCase()
  const found = known.find((candidate) => candidate.toLowerCase() === lower)
  return found === undefined || Object.hasOwn(map, found) ? undefined : found
}

function errorsOf(
  error: z.core.$ZodError,
  root: unknown,
  { what = "it", under = [] }: ValidateOptions,
): Problem[] {
  return error.issues.slice(0, MAX_PROBLEMS).map((issue) => {
    const { path, value } = reach(root, issue.path as Path)
    const full = [...under, ...path]
    const name = full.length === 0 ? what : pathText(full)
    const message =
      value === undefined
        ? `${name} is missing`
        : `${name} ${issue.message}, is ${showValue(value)}`
    return { severity: "error", path: full, message, hint: hintOf(issue) }
  })
}

function hintOf(issue: z.core.$ZodIssue): string | undefined {
  const hint: unknown = issue.code === "custom" ? issue.params?.hint : undefined
  return typeof hint === "string" ? hint : undefined
}

/** The value at a path. Where text stood for a list and was split, the path ends at the text. */
function reach(root: unknown, path: Path): { path: Path; value: unknown } {
  let value = root
  for (const [depth, step] of path.entries()) {
    if (typeof value === "string") return { path: path.slice(0, depth), value }
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) {
      return { path, value: undefined }
    }
    value = (value as Record<Step, unknown>)[step]
  }
  return { path, value }
}

function unwrap(schema: unknown): unknown {
  let inner = schema
  for (;;) {
    if (inner instanceof z.core.$ZodOptional || inner instanceof z.core.$ZodNullable) {
      inner = inner._zod.def.innerType
    } else if (inner instanceof z.core.$ZodPipe) {
      inner = inner._zod.def.in
    } else {
      return inner
    }
  }
}
