/** Runs suites, counts what they report, and prints the table and the closing line. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { sumsOf } from "./junit.mjs"
import { runProgram } from "./process.mjs"
import { ensureProgram } from "./programs.mjs"
import { ensureDebian, missingDebian } from "./setup.mjs"
import { ensurePlace, inMachine } from "./vm.mjs"

/** How much of a failed suite's output is shown when it ends, characters from its end. */
const SHOWN_OUTPUT = 60_000
/** And how much of it once more below the table, where a long log is read first. */
const REPEATED_OUTPUT = 3000

/**
 * @typedef {object} Outcome
 * @property {string} name
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {number} seconds
 * @property {string} [remark] why it was skipped, how it crashed, or that it passed at its second run
 * @property {string} [output] what the failed run said
 */

/**
 * Runs the suites, at most `jobs` of them at a time, in their order.
 *
 * @param {string} root the checkout
 * @param {import("./suites.mjs").Suite[]} suites
 * @param {Needs} needs what {@link provision} gave
 * @param {{ jobs: number, ci: boolean }} options
 * @returns {Promise<Outcome[]>}
 */
export async function runSuites(root, suites, needs, options) {
  const outcomes = new Array(suites.length)
  const reports = mkdtempSync(join(tmpdir(), "lariat-test-"))
  let next = 0
  const worker = async () => {
    while (next < suites.length) {
      const index = next++
      const outcome = await runSuite(
        root,
        suites[index],
        needs,
        join(reports, String(index)),
        options,
      )
      outcomes[index] = outcome
      console.log(lineOf(outcome, 40))
    }
  }
  try {
    await Promise.all(Array.from({ length: options.jobs }, worker))
  } finally {
    rmSync(reports, { recursive: true, force: true })
  }
  return outcomes
}

/**
 * Runs the suites that failed and may have failed by their surroundings once more, each alone. One
 * that passes now counts as passed, and the table and the lines below it tell of the failure; one
 * that fails twice has failed.
 *
 * @param {string} root the checkout
 * @param {import("./suites.mjs").Suite[]} suites
 * @param {Outcome[]} outcomes of `suites`, in their order
 * @param {Needs} needs
 * @param {{ ci: boolean }} options
 * @returns {Promise<Outcome[]>} the outcomes that count
 */
export async function runFailedAgain(root, suites, outcomes, needs, options) {
  const failed = suites.filter(
    (suite, index) => suite.again && outcomes[index].output !== undefined,
  )
  if (failed.length === 0) return outcomes
  console.log(`again, alone: ${failed.map(({ name }) => name).join(", ")}`)
  const second = await runSuites(root, failed, needs, { ...options, jobs: 1 })
  return outcomes.map((first, index) => {
    const again = second[failed.indexOf(suites[index])]
    if (again === undefined) return first
    if (again.failed > 0) return again
    return { ...again, remark: "passed when run again, alone", output: first.output }
  })
}

async function runSuite(root, suite, needs, reports, options) {
  const { obstacle, env, machine } = needs(suite)
  if (obstacle !== undefined) {
    // On the machine that decides whether a change lands, a suite that does not run is no success.
    const count = options.ci
      ? { passed: 0, failed: 1, skipped: 0 }
      : { passed: 0, failed: 0, skipped: 1 }
    return { name: suite.name, ...count, seconds: 0, remark: obstacle }
  }
  mkdirSync(reports, { recursive: true })
  const report = join(reports, "junit.xml")
  const log = join(reports, "output")
  const { argv, timeoutMs, cwd } = commandOf(root, suite, { report, env, machine })
  const result = await runProgram(argv, { cwd, env, timeoutMs, log })
  const sums = existsSync(report) ? sumsOf(readFileSync(report, "utf8")) : undefined
  const outcome = {
    name: suite.name,
    passed: sums?.passed ?? 0,
    failed: sums?.failed ?? 0,
    skipped: sums?.skipped ?? 0,
    seconds: result.ms / 1000,
    remark: undefined,
  }
  if (result.timedOut) outcome.remark = `killed after ${timeoutMs / 1000} s`
  else if (sums === undefined) outcome.remark = `no report, exit ${result.status}`
  else if (result.status !== 0 && sums.failed === 0) outcome.remark = `exit ${result.status}`
  else if (sums.passed + sums.failed + sums.skipped === 0) outcome.remark = "no test ran"
  if (outcome.remark !== undefined) outcome.failed += 1
  if (outcome.failed > 0) outcome.output = showOutput(suite.name, log)
  return outcome
}

/**
 * @callback Needs
 * @param {import("./suites.mjs").Suite} suite
 * @returns {{ env?: NodeJS.ProcessEnv, obstacle?: string, machine?: string }} the environment of a
 *   suite and the virtual machine that it runs in, or why it cannot run
 */

/**
 * Installs what the suites need, all at once: suites run side by side, and apt has one lock.
 *
 * @returns {Promise<Needs>}
 */
export async function provision(root, suites, options) {
  const asRoot = process.getuid?.() === 0
  const able = suites.filter((suite) => asRoot || !suite.namespace || suite.manyHosts)
  const packages = able.flatMap((suite) => [...suite.debian, ...suite.wanted])
  const reason = await ensureDebian([...new Set(packages)])
  const programs = new Map()
  for (const { program } of able) {
    if (program === undefined || programs.has(program)) continue
    programs.set(program, await ensureProgram(root, program))
  }
  const place = able.some((suite) => suite.manyHosts) ? await ensurePlace(root) : {}
  return (suite) => {
    const machine = suite.manyHosts ? place.machine : undefined
    if (suite.manyHosts && place.obstacle !== undefined) return { obstacle: place.obstacle }
    if (suite.namespace && !asRoot && machine === undefined)
      return { obstacle: "needs root, to make network namespaces" }
    if (suite.binary && !existsSync(join(root, "dist/lariat"))) {
      return { obstacle: "needs dist/lariat" }
    }
    if (missingDebian(suite.debian).length > 0) return { obstacle: reason ?? "lacks packages" }
    const env = environmentOf(root, suite, options)
    const program = programs.get(suite.program)
    if (program?.obstacle !== undefined) return { obstacle: program.obstacle }
    return { env: { ...env, ...program?.env }, machine }
  }
}

function commandOf(root, suite, { report, env, machine }) {
  const { timeoutMs, kernel } = suite
  const bun = join(root, "node_modules/.bin/bun")
  const reporter = ["--reporter=junit", `--reporter-outfile=${report}`]
  const test = [bun, "test", `--timeout=${suite.testTimeoutMs}`, ...reporter]
  const enter = suite.namespace ? [join(root, "test/runner/namespace.sh")] : []
  if (machine === undefined) {
    return { argv: [...enter, ...test, ...suite.paths], timeoutMs, cwd: root }
  }
  const paths = suite.paths.map((path) => join(root, path))
  const inside = inMachine(machine, [...enter, ...test, ...paths], { env, timeoutMs, kernel })
  return { ...inside, cwd: dirname(report) }
}

function environmentOf(root, suite, options) {
  const env = { ...process.env }
  for (const name of Object.keys(env)) {
    if (/^(CNI_|LARIAT_|BUN_|NPM_|npm_|NODE_OPTIONS)/.test(name)) delete env[name]
  }
  env.LARIAT_CMD = JSON.stringify(suite.command ?? [join(root, "dist/lariat")])
  env.LARIAT_BINARY = join(root, "dist/lariat")
  env.NO_COLOR = "1"
  if (options.ci) env.CI = "true"
  return env
}

/**
 * Prints what a failed suite or check said, without the tests that passed.
 *
 * @returns {string} what it said
 */
export function showOutput(name, log) {
  const all = existsSync(log) ? readFileSync(log, "utf8") : ""
  const text = all.replace(/^\(pass\) .*\n/gm, "")
  console.log(quoted(name, text, SHOWN_OUTPUT))
  return text
}

function quoted(name, text, limit) {
  const shown = text.length > limit ? `[…]${text.slice(-limit)}` : text
  return `\n--- output of ${name}\n${shown.trimEnd()}\n--- end of ${name}\n`
}

/** The ends of what suites said when they failed, also those that passed when run again. */
export function failuresOf(outcomes) {
  return outcomes
    .filter(({ output }) => output !== undefined)
    .map(({ name, output }) => quoted(name, output, REPEATED_OUTPUT))
    .join("")
}

/** The table of all suites. */
export function tableOf(outcomes) {
  const width = Math.max(...outcomes.map((outcome) => outcome.name.length))
  const head = `  ${"suite".padEnd(width)}  passed failed skipped  seconds`
  return ["", head, ...outcomes.map((outcome) => lineOf(outcome, width))].join("\n")
}

function lineOf(outcome, width) {
  const mark = outcome.failed > 0 ? "✗" : outcome.passed > 0 ? "✓" : "-"
  const numbers = [
    String(outcome.passed).padStart(6),
    String(outcome.failed).padStart(6),
    String(outcome.skipped).padStart(7),
    outcome.seconds.toFixed(1).padStart(8),
  ]
  const remark = outcome.remark === undefined ? "" : `  ${outcome.remark}`
  return `${mark} ${outcome.name.padEnd(width)}  ${numbers.join(" ")}${remark}`
}

/** `N passed, N failed`, with `, N skipped` when there are any. */
export function closingLine(outcomes) {
  const sum = (key) => outcomes.reduce((total, outcome) => total + outcome[key], 0)
  const skipped = sum("skipped")
  return `${sum("passed")} passed, ${sum("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`
}

/** Whether the run counts as good: something passed, nothing failed. */
export function succeeded(outcomes) {
  return (
    outcomes.some((outcome) => outcome.passed > 0) &&
    outcomes.every((outcome) => outcome.failed === 0)
  )
}
