/** Remarks about configuration files: gathering them, and writing them as one line each. */

import type { Diagnostic } from "./network.ts"

/** How many remarks one load keeps; the rest is counted and said in one last remark. */
export const MAX_DIAGNOSTICS = 200

/** A step into a map or a list. */
export type Step = string | number

/** One thing wrong with a value, wherever it came from; `path` names the key. */
export interface Problem {
  readonly severity: "error" | "warning"
  readonly path: readonly Step[]
  readonly message: string
  readonly hint?: string | undefined
  /** Whether the key itself is what is wrong, not its value. */
  readonly atKey?: boolean | undefined
  /** As that of {@link Diagnostic}. */
  readonly elsewhere?: boolean | undefined
}

/** Whether the configuration must not be used. */
export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((diagnostic) => diagnostic.severity === "error")
}

/**
 * One line, `file:line:col: error|warning: what, why, did you mean`. Control characters, which a
 * hostile file could use to forge lines on a terminal, come out as `\u` escapes.
 */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column } = diagnostic.position
  const hint = diagnostic.hint === undefined ? "" : `, ${diagnostic.hint}`
  return printable(
    `${file}:${line}:${column}: ${diagnostic.severity}: ${diagnostic.message}${hint}`,
  )
}

/** The text with every control character escaped, so that it stays one line. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
  })
}

/** A path as people write it: `ipam.routes[0].dst`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = ""
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`
    else text += text === "" ? String(step) : `.${String(step)}`
  }
  return text
}

/** A value as a message shows it: short, on one line, its kind plain to see. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (value === undefined) return "missing"
  if (typeof value === "string") {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  }
  if (typeof value === "object" && value !== null) return "a map"
  return value === null ? "empty" : String(value)
}

/** Gathers remarks, each at most once, and never more than {@link MAX_DIAGNOSTICS}. */
export class Report {
  readonly #kept: Diagnostic[] = []
  readonly #seen = new Set<string>()
  #dropped: Diagnostic | undefined

  /** Keeps a remark, unless the same was made before at the same place. */
  add(diagnostic: Diagnostic): void {
    const line = formatDiagnostic(diagnostic)
    if (this.#seen.has(line)) return
    if (this.#kept.length < MAX_DIAGNOSTICS) {
      this.#seen.add(line)
      this.#kept.push(diagnostic)
    } else if (this.#dropped === undefined || diagnostic.severity === "error") {
      this.#dropped = diagnostic
    }
  }

  /** The remarks in the order they were made. An error that found no room still counts as one. */
  list(): Diagnostic[] {
    if (this.#dropped === undefined) return [...this.#kept]
    const message = `${this.#dropped.message} (and more, which are not shown)`
    return [...this.#kept, { ...this.#dropped, message }]
  }
}
