import { readFileSync } from "node:fs"
import { formatDiagnostic, hasErrors } from "../config/diagnostic.ts"
import { loadConfiguration } from "../config/load.ts"
import { LariatError, messageOf } from "../errors.ts"

/** `lariat validate`: every remark on one line each; exit code 1 when one is an error. */
export function validate(paths: readonly string[]): number {
  const files = paths.map((path) => ({ path, text: readText(path) }))
  const { diagnostics, networks } = loadConfiguration(files, { env: process.env })
  for (const diagnostic of diagnostics) console.log(formatDiagnostic(diagnostic))
  if (hasErrors(diagnostics)) return 1
  const names = networks.map((network) => network.name).join(", ")
  console.log(`good: ${networks.length === 0 ? "no network" : `network ${names}`}`)
  return 0
}

/** The text of a configuration file. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    throw new LariatError(`Cannot read ${path}: ${messageOf(error)}`, {
      code: "io",
      hint: "check the path and that the file may be read",
      cause: error,
    })
  }
}
