/** Neither agent nor plugin starts a program, from the agent's start to its end. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { type Conf, Lab, lariatCommand, SEED_CONF } from "./lab.ts"

const MASQUERADED: Conf = {
  ...SEED_CONF,
  name: "masq",
  bridge: "masq0",
  bridgeSubnet: ["10.60.0.0/24", "fd00:60::/64"],
  ipMasq: true,
}

const folder = mkdtempSync(join(tmpdir(), "strace-"))
const trace = join(folder, "trace")
const program = lariatCommand()

let lab: Lab
beforeAll(async () => {
  // -D: the traced process stays the child that is waited for and signalled.
  const calls = "execve,execveat,fork,vfork"
  const strace = ["strace", "-D", "-f", "-qq", "-A", "-o", trace, "-e", `trace=${calls}`]
  process.env.LARIAT_CMD = JSON.stringify([...strace, ...program])
  lab = await Lab.start()
})
afterAll(async () => {
  process.env.LARIAT_CMD = JSON.stringify(program)
  await lab.close()
})

/** The lines of strace so far. */
const lines = () => readFileSync(trace, "utf8").split("\n")
const starts = () => lines().filter((line) => /execve(at)?\(/.test(line))

test("an attach and a detach start nothing but the plugin itself", async () => {
  let calls = 0
  for (const conf of [SEED_CONF, MASQUERADED]) {
    const call = { conf }
    const { result } = await attached(lab, "traced", call)
    const checked = await lab.plugin("CHECK", {
      id: "traced",
      conf: { ...conf, prevResult: result },
    })
    expect(checked.status).toBe(0)
    await removed(lab, "traced", call)
    calls += 3
  }
  await expectNothingLeft(lab)
  const commands = 2
  await lab.stopAgent()
  // The agent, the plugin's calls, and the two commands that looked whether anything is left.
  const expected = 1 + calls + commands
  await waitFor("strace to write", () => (starts().length >= expected ? true : undefined))
  expect(starts()).toHaveLength(expected)
  for (const line of starts()) expect(line).toContain(`execve("${program[0]}"`)
  expect(lines().filter((line) => /v?fork\(/.test(line))).toEqual([])
})

test("a delegated IPAM is the one program that is started, and is seen here", async () => {
  await lab.startAgent()
  const before = starts().length
  const ipam = { type: "host-local", dataDir: folder, ranges: [[{ subnet: "10.88.0.0/24" }]] }
  const conf = { ...SEED_CONF, cniVersion: "1.0.0", name: "local", bridge: "local0", ipam }
  await attached(lab, "traced", { conf })
  await waitFor("strace to write", () => {
    const fresh = starts().slice(before)
    return fresh.some((line) => line.includes('"/usr/lib/cni/host-local"')) ? true : undefined
  })
  await removed(lab, "traced", { conf })
})
