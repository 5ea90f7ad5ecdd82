/**
 * Checks a value against a schema and says everything that is wrong, not only the first thing.
 * Unknown keys are warnings, with the key that was probably meant; all else is an error.
 */

import * as z from "zod/mini"
import { pathText, type Step, showValue } from "./diagnostic.ts"
import { closest } from "./edit_distance.ts"
import type { NetconfProblem } from "./netconf/netconf.ts"

/** What came out: `value` is there when nothing was an error. */
export interface Validated<T> {
  readonly value: T | undefined
  readonly problems: readonly NetconfProblem[]
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

/** The unknown keys of one map, each with the name it is to get, undefined to leave it out. */
interface Removal {
  readonly path: Path
  readonly keys: ReadonlyMap<string, string | undefined>
  readonly problems: readonly NetconfProblem[]
}

/** Renaming a key can bring to light unknown keys below it; no schema here is deeper than this. */
const MAX_ROUNDS = 6

/** Checks `value` against `schema`. Never throws. */
export function validate<T>(
  schema: z.ZodMiniType<T>,
  value: unknown,
  options: ValidateOptions = {},
): Validated<T> {
  const problems: NetconfProblem[] = []
  let pruned = value
  const take = (removal: Removal): void => {
    problems.push(...removal.problems.slice(0, MAX_PROBLEMS - problems.length))
    pruned = prune(pruned, removal, 0)
  }
  // Without this the seed's netconf, which has such a key, would cost every attach a failing parse.
  const atRoot = unknownAtRoot(schema, value)
  if (atRoot.length > 0) take(removalOf([], atRoot, schema, value, options))
  for (let round = 1; ; round++) {
    const result = schema.safeParse(pruned)
    if (result.success) return { value: result.data, problems }
    const removals = round < MAX_ROUNDS ? removalsOf(result.error, schema, pruned, options) : []
    if (removals.length === 0) {
      const errors = errorsOf(result.error, pruned, options)
      return { value: undefined, problems: [...problems, ...errors] }
    }
    for (const removal of removals) take(removal)
  }
}

/** The unknown keys of the value itself, where the schema allows none. */
function unknownAtRoot(schema: unknown, value: unknown): string[] {
  if (!(schema instanceof z.core.$ZodObject)) return []
  if (typeof value !== "object" || value === null || Array.isArray(value)) return []
  const { shape, catchall } = schema._zod.def
  if (catchall?._zod.def.type !== "never") return []
  return Object.keys(value).filter((key) => !Object.hasOwn(shape, key))
}

function removalsOf(
  error: z.core.$ZodError,
  schema: z.ZodMiniType,
  value: unknown,
  options: ValidateOptions,
): Removal[] {
  return error.issues.flatMap((issue) => {
    if (issue.code !== "unrecognized_keys") return []
    return [removalOf(stepsOf(issue.path), issue.keys, schema, value, options)]
  })
}

function removalOf(
  path: Path,
  unknown: readonly string[],
  schema: z.ZodMiniType,
  value: unknown,
  options: ValidateOptions,
): Removal {
  const known = keysAt(schema, path)
  const map = valueAt(value, path)
  const keys = new Map<string, string | undefined>()
  const problems: NetconfProblem[] = []
  for (const key of unknown) {
    const meant = options.foldCase === true ? sameButCase(key, known, map) : undefined
    keys.set(key, meant)
    if (problems.length < MAX_PROBLEMS) {
      problems.push(unknownKey(path, key, known, map, meant, options))
    }
  }
  return { path, keys, problems }
}

function stepsOf(path: readonly PropertyKey[]): Step[] {
  return path.map((step) => (typeof step === "number" ? step : String(step)))
}

function unknownKey(
  path: Path,
  key: string,
  known: readonly string[],
  map: unknown,
  meant: string | undefined,
  { under = [] }: ValidateOptions,
): NetconfProblem {
  const full = [...under, ...path, key]
  const where = pathText(full)
  if (meant !== undefined) {
    const hint = `write ${meant}`
    const message = `${where} is taken for ${meant}`
    return { severity: "warning", path: full, message, hint, atKey: true }
  }
  const near = closest(key, known)
  const hint =
    near === undefined
      ? undefined
      : Object.hasOwn(map as object, near)
        ? `did you mean ${near}, which is there too and is used`
        : `did you mean ${near}`
  const message = `${where} is not a known key, it is ignored`
  return { severity: "warning", path: full, message, hint, atKey: true }
}

function sameButCase(key: string, known: readonly string[], map: unknown): string | undefined {
  const lower = key.toLowerCase()
  const found = known.find((candidate) => candidate.toLowerCase() === lower)
  return found === undefined || Object.hasOwn(map as object, found) ? undefined : found
}

function errorsOf(
  error: z.core.$ZodError,
  root: unknown,
  { what = "it", under = [] }: ValidateOptions,
): NetconfProblem[] {
  const problems: NetconfProblem[] = []
  for (const issue of error.issues) {
    if (issue.code === "unrecognized_keys") continue
    if (problems.length === MAX_PROBLEMS) break
    const { path, value } = reach(root, stepsOf(issue.path))
    const full = [...under, ...path]
    const name = full.length === 0 ? what : pathText(full)
    const message =
      value === undefined
        ? `${name} is missing`
        : `${name} ${issue.message}, is ${showValue(value)}`
    problems.push({ severity: "error", path: full, message, hint: hintOf(issue) })
  }
  return problems
}

function hintOf(issue: z.core.$ZodIssue): string | undefined {
  const hint: unknown = issue.code === "custom" ? issue.params?.hint : undefined
  return typeof hint === "string" ? hint : undefined
}

function valueAt(root: unknown, path: Path): unknown {
  return reach(root, path).value
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

/** A copy without the unknown keys of one map; what is not on the way to it is shared. */
function prune(value: unknown, removal: Removal, depth: number): unknown {
  const step = removal.path[depth]
  if (Array.isArray(value)) {
    return value.map((item, i) => (i === step ? prune(item, removal, depth + 1) : item))
  }
  const entries: [string, unknown][] = []
  for (const [key, inner] of Object.entries(value as object)) {
    if (step !== undefined) {
      entries.push([key, key === step ? prune(inner, removal, depth + 1) : inner])
    } else if (!removal.keys.has(key)) {
      entries.push([key, inner])
    } else {
      const renamed = removal.keys.get(key)
      if (renamed !== undefined) entries.push([renamed, inner])
    }
  }
  return Object.fromEntries(entries)
}

/** The keys that a schema knows for the map at a path. */
function keysAt(schema: unknown, path: Path): string[] {
  const [step, ...rest] = path
  const inner = unwrap(schema)
  if (inner instanceof z.core.$ZodArray) return keysAt(inner._zod.def.element, rest)
  if (inner instanceof z.core.$ZodRecord) return keysAt(inner._zod.def.valueType, rest)
  if (!(inner instanceof z.core.$ZodObject)) return []
  const shape: Readonly<Record<Step, unknown>> = inner._zod.def.shape
  if (step === undefined) return Object.keys(shape)
  return Object.hasOwn(shape, step) ? keysAt(shape[step], rest) : []
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
