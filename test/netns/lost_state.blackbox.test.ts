/** The state directory is gone under running containers: they go on, and stay the agent's. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process"
import { closeSync, openSync, rmSync } from "node:fs"
import { run, waitFor } from "../clients/program.ts"
import { attach, attached, expectNothingLeft, getMetadata, removed } from "./container.ts"
import { mustLink } from "./kernel_view.ts"
import { ipIn, Lab, ownLinks, pings } from "./lab.ts"
import { pinging } from "./pinging.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1s" } })
})
afterAll(() => lab.close())

async function loseState(): Promise<void> {
  await lab.kill()
  rmSync(lab.stateDir, { recursive: true })
  await lab.startAgent()
}

test("containers go on, are known by address, and are detached as ever", async () => {
  const one = await attached(lab, "one")
  const two = await attached(lab, "two")
  const flow = pinging("one", two.address)
  await loseState()
  expect(await flow.stop()).toMatchObject({ lost: 0 })
  const known = await lab.endpoints()
  expect(
    known.map(({ containerId, ifname, addresses }) => [containerId, ifname, addresses]),
  ).toEqual([
    ["one", "eth0", [`${one.address}/16`]],
    ["two", "eth0", [`${two.address}/16`]],
  ])
  expect((await lab.status()).repairs.map(({ what }) => what).join()).toContain(
    `one/eth0 with ${one.address} was taken in`,
  )
  expect((await getMetadata("one", "/latest/self/container/primary_ip")).body).toBe(one.address)
  const three = await attached(lab, "three")
  expect([one.address, two.address]).not.toContain(three.address)
  expect((await lab.plugin("ADD", { id: "one" })).json.msg).toContain("attached already")
  for (const id of ["one", "two", "three"]) await removed(lab, id)
  await expectNothingLeft(lab)
})

test("a container whose namespace has no name is found by its process", async () => {
  const one = await attached(lab, "bare")
  const child = spawn("nsenter", ["--net=/run/netns/bare", "sleep", "60"], { stdio: "ignore" })
  try {
    await run(["sleep", "0.2"])
    await run(["umount", "/run/netns/bare"])
    rmSync("/run/netns/bare")
    await loseState()
    expect((await lab.endpoints()).map(({ addresses }) => addresses)).toEqual([
      [`${one.address}/16`],
    ])
    await run(["ip", "netns", "attach", "bare", String(child.pid)])
    expect(await pings("bare", "10.42.0.1")).toBe(true)
  } finally {
    child.kill("SIGKILL")
  }
  await removed(lab, "bare")
  await expectNothingLeft(lab)
})

test("a container that is out of sight at the start is taken in when it is seen", async () => {
  await run(["ip", "netns", "add", "dark"])
  const one = await attach(lab, "dark")
  const descriptor = openSync("/run/netns/dark", "r")
  const stdio: StdioOptions = ["ignore", "ignore", "ignore", descriptor]
  const keeper = spawn("sleep", ["60"], { stdio })
  closeSync(descriptor)
  let inside: ChildProcess | undefined
  try {
    await run(["umount", "--lazy", "/run/netns/dark"])
    rmSync("/run/netns/dark")
    await loseState()
    expect(await lab.endpoints()).toEqual([])
    const problems = (await lab.status()).problems.map(({ what }) => what).join("\n")
    expect(problems).toContain("dark/eth0 was found and cannot be taken in")
    inside = spawn("nsenter", [`--net=/proc/${keeper.pid}/fd/3`, "sleep", "60"], {
      stdio: "ignore",
    })
    const known = await waitFor(
      "it to be taken in",
      async () => (await lab.endpoints())[0]?.addresses,
      30_000,
    )
    expect(known).toEqual([`${one.address}/16`])
    expect((await lab.status()).problems.map(({ what }) => what).join()).not.toContain("dark/eth0")
  } finally {
    keeper.kill("SIGKILL")
    await lab.del("dark")
    inside?.kill("SIGKILL")
  }
  await expectNothingLeft(lab)
})

test("a port that was taken off its bridge too is put back", async () => {
  const one = await attached(lab, "off")
  const port = one.result.interfaces?.[1]?.name ?? ""
  await lab.kill()
  rmSync(lab.stateDir, { recursive: true })
  await run(["ip", "link", "set", port, "nomaster"])
  await lab.startAgent()
  expect(await mustLink(port)).toMatchObject({ master: "docker0" })
  expect(await pings("off", "10.42.0.1")).toBe(true)
  await removed(lab, "off")
  await expectNothingLeft(lab)
})

test("a link whose alias says something else is nobody's, and goes", async () => {
  await attached(lab, "liar")
  const [port = ""] = await ownLinks()
  await run(["ip", "link", "set", port, "alias", "lariat rancher-cni-network other/eth0"])
  await loseState()
  expect(await ownLinks()).toEqual([])
  expect(await ipIn("liar", "-4", "address", "show")).not.toContain("10.42.")
  await lab.deleteNetns("liar")
})
