/** Rules on what a file may say. */
import { SyntaxKind } from "typescript/unstable/ast"
import { roomOf } from "./rooms.ts"
import { isTest, type SourceFile, type Token } from "./source_file.ts"
import type { Violation } from "./violation.ts"

const MAX_LINES = 500

/** Rooms that get clock, randomness, sockets and files as parameters. */
const PURE_ROOMS: ReadonlySet<string> = new Set([
  ...["config", "core", "ipam", "cluster", "metadata", "dns"],
])
const IMPURE_MODULES =
  /^node:(fs|net|dgram|tls|http|https|http2|dns|os|child_process|worker_threads|sqlite)(\/|$)/
/** Sequences of tokens that reach for a clock, randomness or the network. */
const IMPURE_CODE: readonly (readonly string[])[] = [
  ["Date", ".", "now"],
  ["new", "Date", "(", ")"],
  ["performance", ".", "now"],
  ["Math", ".", "random"],
  ["crypto", ".", "getRandomValues"],
  ["crypto", ".", "randomUUID"],
  ["randomBytes", "("],
  ["randomInt", "("],
  ["randomUUID", "("],
  ["randomFillSync", "("],
]

/** The files that may start a program: a delegated CNI plugin, and iptables for Docker's sake. */
const STARTS_PROGRAMS: ReadonlySet<string> = new Set([
  "src/cni/delegate_process.ts",
  "src/sys/process.ts",
])

const SUPPRESSION = /@ts-(?:ignore|expect-error|nocheck)|biome[-]ignore/

/** Everything in one file that the rules forbid. */
export function checkCode(file: SourceFile): Violation[] {
  const found: Violation[] = []
  const report = (line: number, message: string) => found.push({ path: file.path, line, message })
  const lines = file.text.split("\n")
  const most = MAX_LINES
  if (lines.length > most) {
    report(most, `${lines.length} lines: find the second concept (${most} at most)`)
  }
  for (const [index, line] of lines.entries()) {
    if (SUPPRESSION.test(line)) report(index + 1, "silences a checker")
  }
  for (const { specifier, line } of file.imports) {
    if (specifier.startsWith(".") && !/\.(ts|mjs|json)$/.test(specifier)) {
      report(line, `imports ${specifier} without .ts`)
    }
  }
  if (file.path.startsWith("src/") && !isTest(file.path)) {
    checkRuntime(file, report)
    checkPrograms(file, report)
    if (PURE_ROOMS.has(roomOf(file.path) ?? "")) checkPurity(file, report)
  }
  return found
}

type Report = (line: number, message: string) => void

function checkRuntime(file: SourceFile, report: Report): void {
  if (roomOf(file.path) === "sys") return
  for (const { specifier, line } of file.imports) {
    if (specifier === "bun" || specifier.startsWith("bun:")) {
      report(line, `${specifier} belongs to src/sys`)
    }
  }
  for (const { kind, value, line } of file.tokens) {
    if (kind === SyntaxKind.Identifier && (value === "Bun" || value === "Deno")) {
      report(line, `${value} belongs to src/sys`)
    }
  }
}

function checkPrograms(file: SourceFile, report: Report): void {
  if (STARTS_PROGRAMS.has(file.path)) return
  for (const { specifier, line } of file.imports) {
    if (/^(node:)?child_process$/.test(specifier)) report(line, "may not start programs")
  }
  for (const line of occurrences(file.tokens, ["Bun", ".", "spawn"])) {
    report(line, "may not start programs")
  }
  for (const line of occurrences(file.tokens, ["Bun", ".", "spawnSync"])) {
    report(line, "may not start programs")
  }
}

function checkPurity(file: SourceFile, report: Report): void {
  for (const { specifier, line } of file.imports) {
    if (IMPURE_MODULES.test(specifier)) report(line, `${specifier} in a pure room`)
  }
  for (const sequence of IMPURE_CODE) {
    for (const line of occurrences(file.tokens, sequence)) {
      report(line, `${sequence.join("")} in a pure room`)
    }
  }
}

/** Lines at which a sequence of tokens begins. */
function occurrences(tokens: readonly Token[], sequence: readonly string[]): number[] {
  return tokens
    .filter((_, index) => sequence.every((value, step) => tokens[index + step]?.value === value))
    .map((token) => token.line)
}
