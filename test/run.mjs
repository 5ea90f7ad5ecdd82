/**
 * The verbs behind the npm scripts: `node test/run.mjs start|test|unit|build|bench|check`.
 * Plain Node without dependencies, since it installs them.
 */

import { existsSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { ensureBuilt } from "./runner/build.mjs"
import { check } from "./runner/check.mjs"
import { runProgram } from "./runner/process.mjs"
import {
  closingLine,
  failuresOf,
  provision,
  runFailedAgain,
  runSuites,
  succeeded,
  tableOf,
} from "./runner/run_suites.mjs"
import { ensureDebian, ensurePackages } from "./runner/setup.mjs"
import { liveSuites, manyHostSuites, plainSuites } from "./runner/suites.mjs"
import { ensurePlace } from "./runner/vm.mjs"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const CI = process.env.CI !== undefined && process.env.CI !== "" && process.env.CI !== "false"
const HOUR_MS = 60 * 60_000

const USAGE = `usage: node test/run.mjs VERB
  start [ARGUMENT…]      build when needed, then lariat demo
  test [--only PATTERN]  every suite, or those whose name matches
  unit                   the tests beside the sources
  build                  dist/, for every platform
  bench [ARGUMENT…]      the benchmarks beside the peers
  check                  format, lint, types, structure`

/** @returns {Promise<number>} exit status */
async function main(verb, args) {
  switch (verb) {
    case "start":
      await ensurePackages(ROOT)
      if (!(await ensureBuilt(ROOT))) return 1
      return await inherit([join(ROOT, "dist/lariat"), "demo", ...args])
    case "build":
      await ensurePackages(ROOT)
      return (await ensureBuilt(ROOT, { everything: true })) ? 0 : 1
    case "bench":
      return await bench(args)
    case "test":
      return await test(args)
    case "unit":
      await ensurePackages(ROOT)
      return await unit()
    case "check":
      await ensurePackages(ROOT)
      return report(await check(ROOT))
    default:
      console.error(USAGE)
      return 2
  }
}

/** The quick verb: what is not on the machine is not installed, and its tests are skipped. */
async function unit() {
  const suite = { ...plainSuites(ROOT)[0], wanted: [] }
  const options = { jobs: 1, ci: CI }
  const needs = await provision(ROOT, [suite], options)
  return report(await runSuites(ROOT, [suite], needs, options))
}

async function test(args) {
  const pattern = onlyPattern(args)
  await ensurePackages(ROOT)
  const chosen = (suite) => pattern === undefined || pattern.test(suite.name)
  const plain = plainSuites(ROOT).filter(chosen)
  const live = liveSuites(ROOT).filter(chosen)
  const beside = live.filter(({ alone }) => !alone)
  const alone = [...live.filter(({ alone }) => alone), ...manyHostSuites(ROOT).filter(chosen)]
  const all = [...plain, ...beside, ...alone]
  if (all.length === 0) {
    console.error(`no suite is named like ${pattern}`)
    return 1
  }
  const outcomes = []
  if (all.some((suite) => suite.binary) && !(await ensureBuilt(ROOT))) {
    outcomes.push({
      name: "dist",
      passed: 0,
      failed: 1,
      skipped: 0,
      seconds: 0,
      remark: "no build",
    })
  }
  const needs = await provision(ROOT, all, { ci: CI })
  const options = { jobs: 1, ci: CI }
  const first = await runSuites(ROOT, plain, needs, options)
  // Namespaces keep live suites apart, so that two cores can have one each. Those of many hosts run
  // alone: beside others an emulated machine is so much slower that the whole takes no less time.
  const jobs = Math.max(1, Number(process.env.TEST_JOBS ?? Math.min(2, availableParallelism())))
  first.push(...(await runSuites(ROOT, beside, needs, { ...options, jobs })))
  first.push(...(await runSuites(ROOT, alone, needs, options)))
  outcomes.push(...(await runFailedAgain(ROOT, all, first, needs, options)))
  return report(outcomes)
}

function onlyPattern(args) {
  if (args.length === 0) return undefined
  const [option, pattern, ...rest] = args
  if (option !== "--only" || pattern === undefined || rest.length > 0) {
    console.error(USAGE)
    process.exit(2)
  }
  return new RegExp(pattern)
}

function report(outcomes) {
  console.log(tableOf(outcomes))
  console.log(failuresOf(outcomes))
  console.log(`\n${closingLine(outcomes)}`)
  return succeeded(outcomes) ? 0 : 1
}

async function bench(args) {
  await ensurePackages(ROOT)
  if (!existsSync(join(ROOT, "test/bench/main.ts")))
    throw new Error("there is no test/bench/main.ts")
  const obstacle = await ensureDebian([
    "containernetworking-plugins",
    "dnsmasq-base",
    "dnsperf",
    "etcd-server",
    "iproute2",
    "iptables",
  ])
  if (obstacle !== undefined) throw new Error(`the benchmarks cannot run: it ${obstacle}`)
  if (process.getuid?.() !== 0) throw new Error("the benchmarks need root, to make namespaces")
  if (!(await ensureBuilt(ROOT))) return 1
  const bun = join(ROOT, "node_modules/.bin/bun")
  const main = [bun, "run", join(ROOT, "test/bench/main.ts"), ...args]
  // ESP is measured where there is a kernel with it.
  const place = await ensurePlace(ROOT)
  const env = { LARIAT_VM: place.machine ?? "", LARIAT_VM_OBSTACLE: place.obstacle ?? "" }
  return await inherit([join(ROOT, "test/runner/namespace.sh"), ...main], env)
}

/** Runs a program on this terminal. */
async function inherit(argv, more = {}) {
  const command = JSON.stringify([join(ROOT, "dist/lariat")])
  const env = { ...process.env, LARIAT_CMD: command, ...more }
  const result = await runProgram(argv, { cwd: ROOT, env, timeoutMs: HOUR_MS })
  if (result.error !== undefined) console.error(result.error.message)
  return result.status ?? 1
}

try {
  process.exitCode = await main(process.argv[2], process.argv.slice(3))
} catch (error) {
  console.error(`cannot ${process.argv[2] ?? "start"}: ${error.message}`)
  process.exitCode = 1
}
