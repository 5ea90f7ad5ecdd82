import { readFileSync } from "node:fs"
import { formatDiagnostic, hasErrors } from "../config/diagnostic.ts"
import { loadConfiguration } from "../config/load.ts"
import type { Configuration } from "../config/network.ts"
import { LariatError, messageOf } from "../errors.ts"

/** `lariat validate`: every remark on one line each; exit code 1 when one is an error. */
export function validate(paths: readonly string[]): number {
  const { diagnostics, networks, foreign } = loadFiles(paths)
  for (const diagnostic of diagnostics) console.log(formatDiagnostic(diagnostic))
  if (hasErrors(diagnostics)) return 1
  const good = networks.length === 0 ? "no network" : `network ${namesOf(networks)}`
  console.log(`good: ${good}${foreign.length === 0 ? "" : `; not here: ${namesOf(foreign)}`}`)
  return 0
}

function namesOf(networks: readonly { readonly name: string }[]): string {
  return networks.map(({ name }) => name).join(", ")
}

/** What configuration files say. @throws LariatError `io` */
export function loadFiles(paths: readonly string[]): Configuration {
  const files = paths.map((path) => ({ path, text: readText(path) }))
  return loadConfiguration(files, { env: process.env })
}

/** The text of a file. @throws LariatError `io` */
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
