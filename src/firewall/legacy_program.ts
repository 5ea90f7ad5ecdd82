/** The program that changes legacy iptables tables, the one that is ever executed on a host. */

import { constants, statSync } from "node:fs"
import { join } from "node:path"
import { LariatError } from "../errors.ts"
import { runProgram } from "../sys/process.ts"

/** Where root's programs are; PATH may be somebody else's. */
const DIRECTORIES: readonly string[] = [
  "/usr/sbin",
  "/sbin",
  "/usr/bin",
  "/bin",
  "/usr/local/sbin",
  "/usr/local/bin",
]

/** Mode bits: owner, group or others may execute it. */
const ANY_EXECUTES = 0o111

/** Milliseconds, the wait for the tables' lock included. */
const TIMEOUT_MS = 5000

/**
 * Runs one command on a legacy table `filter`.
 *
 * @param directories where the program is looked for. Default: those of the system
 * @throws LariatError io where there is no program for legacy tables, or it fails
 */
export async function runLegacyIptables(
  family: 4 | 6,
  words: readonly string[],
  directories: readonly string[] = DIRECTORIES,
): Promise<void> {
  const program = await findProgram(family === 4 ? "iptables" : "ip6tables", directories)
  await runProgram(program, ["-w", ...words], TIMEOUT_MS)
}

async function findProgram(name: string, directories: readonly string[]): Promise<string> {
  const [legacy] = pathsOf(`${name}-legacy`, directories)
  if (legacy !== undefined) return legacy
  for (const path of pathsOf(name, directories)) {
    // "iptables v1.8.11 (nf_tables)"; before 1.8 there were legacy tables alone, and no word of it.
    if (!(await runProgram(path, ["-V"], TIMEOUT_MS)).includes("nf_tables")) return path
  }
  throw new LariatError(
    `Cannot change legacy tables: there is no ${name}-legacy, and no ${name} of legacy tables, in ${directories.join(", ")}`,
    { code: "io", hint: `install ${name}-legacy` },
  )
}

function pathsOf(name: string, directories: readonly string[]): string[] {
  return directories.map((directory) => join(directory, name)).filter(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    const { mode } = statSync(path)
    return (mode & constants.S_IFMT) === constants.S_IFREG && (mode & ANY_EXECUTES) !== 0
  } catch {
    return false
  }
}
