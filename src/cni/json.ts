/** JSON from strangers: runtimes, other plugins, an agent of another version. */

/** A JSON object of which nothing else is known. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Levels of nesting that foreign JSON may have. Real configurations and results have about six;
 * some thousands exhaust the stack of whatever walks or writes the value again.
 */
export const MAX_DEPTH = 64

/** Whether the value is a JSON object: neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** The value that the text says, or undefined, which JSON cannot say, where it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether lists and objects stand in each other more than `levels` deep. */
export function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false
  if (levels === 0) return true
  return Object.values(value).some((inner) => deeperThan(inner, levels - 1))
}
