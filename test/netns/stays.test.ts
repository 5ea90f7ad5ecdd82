/** Threads of the runtime that are born in a container's namespace would keep it for good. */
import { expect, test } from "bun:test"
import { run } from "../clients/program.ts"
import { requireTestNetns } from "./guard.ts"

requireTestNetns()

const SCRIPT = `${import.meta.dir}/stays.ts`
const DENO = `${import.meta.dir}/../../node_modules/.bin/deno`
/** Where a thread is born is a matter of chance: as many programs as find one if there may be one. */
const PROGRAMS = 4

test.each([
  ["bun", [process.execPath, "run", SCRIPT]],
  ["deno", [DENO, "run", "-A", SCRIPT]],
])("%s: no thread is born inside", async (_, command) => {
  const programs = Array.from({ length: PROGRAMS }, () => run(command, { timeoutMs: 60_000 }))
  for (const said of await Promise.all(programs)) {
    expect(JSON.parse(said)).toEqual({ garbage: 200, strays: [] })
  }
})
