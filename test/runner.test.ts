/** The runner counts what happened: nothing that failed, crashed or did not run counts as good. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import {
  closingLine,
  failuresOf,
  runFailedAgain,
  runSuites,
  succeeded,
  tableOf,
} from "./runner/run_suites.mjs"

const ROOT = join(import.meta.dirname, "..")

let scratch = ""
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "lariat-runner-"))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

describe("node test/run.mjs unit", () => {
  /** Runs the unit suite of a checkout that has these files in src/. */
  function unit(name: string, files: Readonly<Record<string, string>>) {
    const root = join(scratch, name)
    for (const file of ["package.json", "package-lock.json"]) {
      write(join(root, "asm/keep.ts"), "")
      cpSync(join(ROOT, file), join(root, file))
    }
    cpSync(join(ROOT, "test/run.mjs"), join(root, "test/run.mjs"))
    cpSync(join(ROOT, "test/runner"), join(root, "test/runner"), { recursive: true })
    symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"))
    for (const [path, text] of Object.entries(files)) write(join(root, "src", path), text)
    const run = ["test/run.mjs", "unit"]
    const result = spawnSync("node", run, { cwd: root, encoding: "utf8", timeout: 60_000 })
    return { status: result.status, last: result.stdout.trimEnd().split("\n").at(-1) }
  }

  const head = 'import { expect, test } from "bun:test"\n'
  const good = `${head}test("good", () => expect(1).toBe(1))\n`

  test("counts what passed", () => {
    const files = { "a.test.ts": good, "b/c.test.ts": good }
    expect(unit("good", files)).toEqual({ status: 0, last: "2 passed, 0 failed" })
  })

  test("counts what failed and what was skipped", () => {
    const bad = `${good}test("bad", () => expect(1).toBe(2))\ntest.skip("not now", () => {})\n`
    const files = { "a.test.ts": bad }
    expect(unit("bad", files)).toEqual({ status: 1, last: "1 passed, 1 failed, 1 skipped" })
  })

  test("a file that does not load is a failure", () => {
    const files = { "a.test.ts": good, "b.test.ts": 'throw new Error("no")\n' }
    expect(unit("broken", files)).toMatchObject({ status: 1 })
  })

  test("a run that dies is a failure", () => {
    const files = { "a.test.ts": good, "b.test.ts": "process.kill(process.pid, 9)\n" }
    expect(unit("killed", files)).toEqual({ status: 1, last: "0 passed, 1 failed" })
  })

  test("a run without tests is a failure", () => {
    expect(unit("empty", { "a.ts": "" })).toEqual({ status: 1, last: "0 passed, 1 failed" })
  })
})

describe("a live suite that failed", () => {
  const needs = () => ({ env: process.env })

  /** Runs a suite twice when the first run fails; `text` finds how often it ran in `runs`. */
  async function twice(name: string, text: string, again: boolean) {
    const root = join(scratch, name)
    write(join(root, "live.test.ts"), text)
    mkdirSync(join(root, "node_modules/.bin"), { recursive: true })
    symlinkSync(process.execPath, join(root, "node_modules/.bin/bun"))
    const suite = {
      name,
      paths: ["./live.test.ts"],
      namespace: false,
      again,
      binary: false,
      debian: [],
      wanted: [],
      timeoutMs: 30_000,
      testTimeoutMs: 20_000,
    }
    const options = { jobs: 1, ci: true }
    const first = await runSuites(root, [suite], needs, options)
    const outcomes = await runFailedAgain(root, [suite], first, needs, options)
    return { closing: closingLine(outcomes), good: succeeded(outcomes), outcomes }
  }

  const counting = `import { appendFileSync, readFileSync } from "node:fs"
import { expect, test } from "bun:test"
appendFileSync("runs", "x")
const runs = readFileSync("runs", "utf8").length
`

  test("and passes alone counts as passed, and the failure is told", async () => {
    const text = `${counting}test("second", () => expect(runs).toBe(2))\n`
    const { closing, good, outcomes } = await twice("flaky", text, true)
    expect([closing, good]).toEqual(["1 passed, 0 failed", true])
    expect(tableOf(outcomes)).toContain("passed when run again, alone")
    expect(failuresOf(outcomes)).toContain("(fail) second")
  })

  test("and fails again has failed", async () => {
    const text = `${counting}test("third", () => expect(runs).toBe(3))\n`
    expect(await twice("twice", text, true)).toMatchObject({
      closing: "0 passed, 1 failed",
      good: false,
    })
  })

  test("without live surroundings does not get a second run", async () => {
    const text = `${counting}test("second", () => expect(runs).toBe(2))\n`
    expect(await twice("plain", text, false)).toMatchObject({ closing: "0 passed, 1 failed" })
  })
})

/** Command lines of every process that this one can see. */
function commandLines(): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, "utf8")]
    } catch {
      return [] // It ended meanwhile.
    }
  })
}

const canEnter = process.getuid?.() === 0 && Bun.which("ip") !== null
describe.skipIf(!canEnter)("namespace.sh", () => {
  const enter = (script: string) => {
    const argv = [join(ROOT, "test/runner/namespace.sh"), "bash", "-c", script]
    return spawnSync("bash", argv, { encoding: "utf8", timeout: 60_000 })
  }

  test("gives the command's exit status and output", () => {
    expect(enter("echo out; echo err >&2; exit 7")).toMatchObject({
      status: 7,
      stdout: "out\n",
      stderr: "err\n",
    })
  })

  test("has a network of its own with lo up, and folders of its own", () => {
    const inside = enter("ip -brief link; ls -A /run/netns /run/lariat; echo $LARIAT_TEST_NETNS")
    expect(inside.stdout).toMatch(/^lo +UNKNOWN/)
    expect(inside.stdout.trimEnd().split("\n")).toHaveLength(5)
    expect(inside.stdout).toEndWith("\n1\n")
  })

  test("leaves no file, mount, cgroup or process behind", () => {
    const name = `lariat-left-${process.pid}`
    const script = `
      touch /run/${name} /etc/${name} /opt/${name} /var/lib/${name} /var/log/${name}
      ip netns add ${name}
      for group in $(findmnt --raw --noheadings --types cgroup,cgroup2 --output TARGET); do
        mkdir -p "$group/${name}/deeper" || true
      done
      setsid sleep 12345.${process.pid} > /dev/null 2>&1 &
      mkdir -p /run/tmp/mounted; mount -t tmpfs ${name} /run/tmp/mounted
      echo done`
    expect(enter(script).stdout).toBe("done\n")
    const find = ["/run", "/etc", "/opt", "/var/lib", "/var/log", "/sys/fs/cgroup"]
    const search = ["-maxdepth", "3", "-name", `*${name}*`]
    expect(spawnSync("find", [...find, ...search], { encoding: "utf8" }).stdout).toBe("")
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(name)
    const running = commandLines()
    expect(running).toContainEqual(expect.stringContaining("runner.test.ts"))
    expect(running).not.toContainEqual(expect.stringContaining(`12345.${process.pid}`))
  })
})

describe(".ci/run", () => {
  /** Runs it where `npm test` and `npm run check` end with these lines and exit statuses. */
  function ci(name: string, tests: [string, number], checks: [string, number]) {
    const root = join(scratch, name)
    mkdirSync(join(root, ".ci"), { recursive: true })
    cpSync(join(ROOT, ".ci/run"), join(root, ".ci/run"))
    const npm = `#!/bin/sh
if [ "$1" = test ]; then printf '%s\\n' "${tests[0]}"; exit ${tests[1]}; fi
printf '%s\\n' "${checks[0]}"; exit ${checks[1]}
`
    write(join(root, "bin/npm"), npm)
    chmodSync(join(root, "bin/npm"), 0o755)
    const env = { ...process.env, PATH: `${join(root, "bin")}:${process.env.PATH}` }
    const result = spawnSync("bash", [".ci/run"], { cwd: root, encoding: "utf8", env })
    return { status: result.status, last: result.stdout.trimEnd().split("\n").at(-1) }
  }

  test("adds both up", () => {
    const sum = ci("sum", ["10 passed, 0 failed, 2 skipped", 0], ["4 passed, 0 failed", 0])
    expect(sum).toEqual({ status: 0, last: "14 passed, 0 failed, 2 skipped" })
  })

  test.each<[string, [string, number], [string, number], string]>([
    ["a failed test", ["9 passed, 1 failed", 1], ["4 passed, 0 failed", 0], "13 passed, 1 failed"],
    ["a failed check", ["9 passed, 0 failed", 0], ["3 passed, 1 failed", 1], "12 passed, 1 failed"],
    ["an exit status", ["9 passed, 0 failed", 3], ["4 passed, 0 failed", 0], "13 passed, 1 failed"],
    ["no closing line", ["what?", 0], ["4 passed, 0 failed", 0], "4 passed, 1 failed"],
    ["nothing at all", ["", 1], ["", 1], "0 passed, 2 failed"],
  ])("fails on %s", (name, tests, checks, last) => {
    expect(ci(name, tests, checks)).toEqual({ status: 1, last })
  })
})
