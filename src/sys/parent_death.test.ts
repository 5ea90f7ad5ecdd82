import { expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { bindToParent, boundToParent } from "./parent_death.ts"

const HERE = JSON.stringify(`${import.meta.dir}/parent_death.ts`)
/** Says whether it is bound, and stays. */
const CHILD = `import { bindToParent } from ${HERE}; console.log(bindToParent(), process.pid, "LARIAT_PARENT" in process.env); setInterval(() => {}, 1000)`
const PARENT = `import { boundToParent } from ${HERE}
import { spawn } from "node:child_process"
spawn(process.execPath, ["-e", ${JSON.stringify(CHILD)}], { stdio: "inherit", env: { ...process.env, ...boundToParent() } })
setInterval(() => {}, 1000)`

/** The first line that a program writes. */
function started(code: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  })
  const line = new Promise<string>((resolve) => {
    child.stdout.on("data", (text) => resolve(String(text).trim()))
  })
  return { child, line }
}

async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 500; tries++) {
    try {
      process.kill(pid, 0)
    } catch {
      return true
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  process.kill(pid, "SIGKILL")
  return false
}

test("a child ends with a parent that is killed", async () => {
  const { child, line } = started(PARENT)
  const [bound, pid, inherited] = (await line).split(" ")
  expect([bound, inherited]).toEqual(["true", "false"])
  child.kill("SIGKILL")
  expect(await gone(Number(pid))).toBe(true)
}, 20_000)

test("a child whose parent is gone before it asks is told so", async () => {
  const { child, line } = started(CHILD, { LARIAT_PARENT: "1000000000" })
  try {
    expect(await line).toStartWith("false")
  } finally {
    child.kill("SIGKILL")
  }
})

test("nothing is asked for where nobody said so", () => {
  expect(bindToParent({})).toBe(true)
  expect(boundToParent()).toEqual({ LARIAT_PARENT: String(process.pid) })
})
