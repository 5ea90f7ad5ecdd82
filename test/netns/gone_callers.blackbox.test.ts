/** Runtimes give up on a call, or are killed in it: nothing is attached for those who are gone. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { connect, type Socket } from "node:net"
import { waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft } from "./container.ts"
import { inNetns, Lab, ownLinks, pings, SEED_CONF } from "./lab.ts"

const CALLERS = 12

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "20ms" } })
  for (let n = 0; n < CALLERS; n++) await lab.netns(`c${n}`)
})
afterAll(() => lab.close())

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Sends a call and leaves the answer unread. */
function send(command: string, id: string): Promise<Socket> {
  const netns = `/run/netns/${id}`
  const env = { command, containerId: id, netns, ifname: "eth0", args: "", path: "" }
  const request = { op: "cni", role: "bridge", env, config: SEED_CONF }
  return new Promise((resolve, reject) => {
    const socket = connect(lab.socket)
    socket.on("error", reject)
    socket.on("connect", () => {
      socket.pause()
      socket.write(`${JSON.stringify(request)}\n`, () => resolve(socket))
    })
  })
}

/** Until the agent has answered whatever was asked before. */
const settled = () => lab.endpoints()

test("calls whose callers gave up while the agent stood still are not carried out", async () => {
  process.kill(lab.pid, "SIGSTOP")
  const callers = await Promise.all(Array.from({ length: CALLERS }, (_, n) => send("ADD", `c${n}`)))
  for (const caller of callers) caller.destroy()
  await pause(100)
  process.kill(lab.pid, "SIGCONT")
  expect(await settled()).toEqual([])
  await pause(300)
  await expectNothingLeft(lab)
  const repairs = (await lab.status()).repairs.map(({ what }) => what).join("\n")
  expect(repairs).not.toContain("hung up")
})

test("a DEL of a caller that gave up does not hit what was attached since", async () => {
  await lab.add("c0")
  process.kill(lab.pid, "SIGSTOP")
  const caller = await send("DEL", "c0")
  caller.destroy()
  await pause(100)
  process.kill(lab.pid, "SIGCONT")
  await settled()
  expect(await pings("c0", "10.42.0.1")).toBe(true)
  await lab.del("c0")
})

test("a caller that is killed anywhere in its call leaves nothing, and the next one is served", async () => {
  for (let round = 0; round < 60; round++) {
    const caller = await send("ADD", "c0")
    await pause(round / 10)
    caller.destroy()
  }
  await waitFor("all of it to be taken back", async () =>
    (await lab.endpoints()).length === 0 && (await ownLinks()).length === 0 ? true : undefined,
  )
  const links = await inNetns("c0", "ip", "-o", "link", "show")
  expect(links.stdout).not.toContain("eth0")
  await attached(lab, "well")
  expect(await pings("well", "10.42.0.1")).toBe(true)
  await lab.del("well")
  await expectNothingLeft(lab)
})
