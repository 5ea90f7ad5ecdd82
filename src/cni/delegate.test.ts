import { afterAll, beforeEach, expect, test } from "bun:test"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type DelegatedCall, runDelegated } from "./delegate.ts"
import { readEnvironment } from "./environment.ts"
import { CniError } from "./error.ts"
import type { CniResponse } from "./protocol.ts"

const directory = mkdtempSync(join(tmpdir(), "lariat-delegate-"))
const log = join(directory, "log")
afterAll(() => rmSync(directory, { recursive: true }))
beforeEach(() => rmSync(log, { force: true }))

const config = '{"cniVersion":"1.1.0","name":"n","ipam":{"type":"fake"}}'
const result = { cniVersion: "1.1.0", ips: [{ address: "10.42.0.7/16" }] }
const good: CniResponse = { exit: 0, stdout: "{}", stderr: "" }
const bad: CniResponse = { exit: 1, stdout: '{"code":102,"msg":"Cannot attach"}', stderr: "" }

/** A delegate that logs its command and input, then does what the body says. */
function delegate(body = `[ "$CNI_COMMAND" = ADD ] && echo '${JSON.stringify(result)}'\nexit 0`) {
  const path = join(directory, "fake")
  writeFileSync(path, `#!/bin/sh\necho "$CNI_COMMAND $CNI_IFNAME $(cat)" >> ${log}\n${body}\n`)
  chmodSync(path, 0o755)
}

/** What happened, in order: commands of the delegate and questions to the agent. */
async function run(command: string, agent: CniResponse | Error = good) {
  const variables = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: "c1",
    CNI_NETNS: command === "DEL" ? "" : "/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_PATH: directory,
    PATH: "/usr/bin:/bin",
  }
  let told = ""
  const call: DelegatedCall = {
    type: "fake",
    env: readEnvironment(variables),
    variables,
    stdin: new TextEncoder().encode(config),
    timeoutMs: 5_000,
    writeErr: (bytes) => {
      told += new TextDecoder().decode(bytes)
    },
  }
  const asked: unknown[] = []
  const outcome = await runDelegated(call, (ipamResult) => {
    asked.push(ipamResult)
    writeFileSync(log, "agent\n", { flag: "a" })
    if (agent instanceof Error) throw agent
    return agent
  }).catch((error: unknown) => error)
  const steps = existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []
  return { outcome, asked, told, steps: steps.map((step) => step.replace(` eth0 ${config}`, "")) }
}

test("ADD: the delegate's result goes to the agent, whose answer is the answer", async () => {
  delegate()
  expect(await run("ADD")).toEqual({
    outcome: good,
    asked: [result],
    told: "",
    steps: ["ADD", "agent"],
  })
})

test("ADD: the delegate is asked to undo what the agent could not use", async () => {
  delegate()
  expect(await run("ADD", bad)).toMatchObject({ outcome: bad, steps: ["ADD", "agent", "DEL"] })
  rmSync(log)
  const away = new CniError("Cannot reach the agent", { code: "agent-away" })
  expect(await run("ADD", away)).toMatchObject({ outcome: away, steps: ["ADD", "agent", "DEL"] })
})

test("ADD: a failing undo is told beside the failure that led to it", async () => {
  delegate(`[ "$CNI_COMMAND" = DEL ] && exit 4\necho '${JSON.stringify(result)}'`)
  const { outcome, told } = await run("ADD", bad)
  expect(outcome).toBe(bad)
  expect(told).toStartWith("lariat: Cannot DEL with the IPAM plugin fake: it ended with code 4. ")
})

test.each([
  ["nothing", "", "no JSON object"],
  ["a list", "[]", "no JSON object"],
  ["a bottomless result", `{"a":${"[".repeat(99)}${"]".repeat(99)}}`, "levels deep"],
])("ADD: %s from the delegate is an error of code 6, undone", async (_what, printed, words) => {
  delegate(`echo '${printed}'`)
  const { outcome, steps } = await run("ADD")
  expect(outcome).toMatchObject({ cniCode: 6, message: expect.stringContaining(words) })
  expect(steps).toEqual(["ADD", "DEL"])
})

test("ADD: a failing delegate's number and words are passed on, and the agent is not asked", async () => {
  delegate(`echo '{"code":111,"msg":"no addresses","details":"in range set"}'; exit 1`)
  const { outcome, steps } = await run("ADD")
  expect(steps).toEqual(["ADD"])
  expect(outcome).toBeInstanceOf(CniError)
  expect(outcome).toMatchObject({
    cniCode: 111,
    message: "Cannot ADD with the IPAM plugin fake: no addresses",
    details: "in range set",
  })
})

test.each([
  ["no JSON", "echo oops; exit 7", 108, "it ended with code 7"],
  ["the code of success", `echo '{"code":0,"msg":"odd"}'; exit 1`, 108, "odd"],
  ["a signal", "kill -9 $$", 108, "a signal ended it"],
])("a delegate that fails with %s", async (_what, body, code, words) => {
  delegate(body)
  const { outcome } = await run("ADD")
  expect(outcome).toMatchObject({ cniCode: code, message: expect.stringContaining(words) })
})

test("DEL: first the agent, then the delegate, also without a namespace", async () => {
  delegate()
  expect(await run("DEL")).toMatchObject({ outcome: good, steps: ["agent", "DEL"] })
})

test("DEL: the address is kept while the container's end may still be there", async () => {
  delegate()
  expect(await run("DEL", bad)).toMatchObject({ outcome: bad, steps: ["agent"] })
})

test.each(["CHECK", "STATUS"])("%s: both must be content", async (command) => {
  delegate()
  expect(await run(command)).toMatchObject({ outcome: good, steps: [command, "agent"] })
  delegate(`echo '{"code":50,"msg":"full"}'; exit 1`)
  rmSync(log)
  const { outcome, steps } = await run(command)
  expect(outcome).toMatchObject({ cniCode: 50 })
  expect(steps).toEqual([command])
})

test("GC: goes on after an error and reports all", async () => {
  delegate()
  expect(await run("GC")).toMatchObject({ outcome: good, steps: ["GC", "agent"] })
  expect(await run("GC", bad)).toMatchObject({ outcome: bad })
  delegate(`echo '{"code":7,"msg":"bad range"}'; exit 1`)
  rmSync(log)
  const { outcome, steps } = await run("GC")
  expect(steps).toEqual(["GC", "agent"])
  expect(outcome).toMatchObject({
    cniCode: 7,
    message: "Cannot GC with the IPAM plugin fake: bad range",
  })
  const both = "Cannot GC with the IPAM plugin fake: bad range; Cannot attach"
  expect((await run("GC", bad)).outcome).toMatchObject({ cniCode: 7, message: both })
  const away = new CniError("Cannot attach", { code: "agent-away" })
  expect((await run("GC", away)).outcome).toMatchObject({ cniCode: 7, message: both })
})
