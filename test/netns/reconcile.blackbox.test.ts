/** What somebody changes under the agent's feet is put right, and `status` says what was done. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { run, waitFor } from "../clients/program.ts"
import { attached, type Container, expectNothingLeft, removed } from "./container.ts"
import { addressesOf, linkOf, mustLink } from "./kernel_view.ts"
import { Lab, ownLinks, pings } from "./lab.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1m" } })
})
afterAll(() => lab.close())

const repairs = async () => (await lab.status()).repairs.map(({ what }) => what)

/** Waits until `status` tells of a repair. */
function told(words: RegExp) {
  return waitFor(`a repair like ${words}`, async () => (await repairs()).find((r) => words.test(r)))
}

describe("a container that goes without DEL", () => {
  test("is released by itself, and its address rests", async () => {
    await attached(lab, "lost")
    const before = (await lab.status()).networks[0]?.subnets[0]
    await lab.deleteNetns("lost")
    await waitFor(
      "the row to go",
      async () => ((await lab.endpoints()).length === 0 ? true : undefined),
      5000,
    )
    expect((await lab.status()).networks[0]?.subnets[0]).toMatchObject({
      used: (before?.used ?? 0) - 1,
      quarantined: (before?.quarantined ?? 0) + 1,
    })
    await told(/released lost\/eth0: its container is gone/)
    await expectNothingLeft(lab)
  })

  test("is released also when somebody deletes its link", async () => {
    const { result } = await attached(lab, "cut")
    await run(["ip", "link", "delete", result.interfaces?.[1]?.name ?? ""])
    await waitFor("the row to go", async () =>
      (await lab.endpoints()).length === 0 ? true : undefined,
    )
    await lab.deleteNetns("cut")
    await expectNothingLeft(lab)
  })
})

describe("a port", () => {
  let one: Container
  let port: string
  beforeEach(async () => {
    one = await attached(lab, "one")
    port = one.result.interfaces?.[1]?.name ?? ""
  })
  afterEach(async () => {
    await removed(lab, "one")
    await expectNothingLeft(lab)
  })

  test.each<[string, string[], object, RegExp]>([
    ["taken off its bridge", ["nomaster"], { master: "docker0" }, /put back on its bridge/],
    ["set down", ["down"], { operstate: "UP" }, /brought up/],
    ["with another MTU", ["mtu", "1280"], { mtu: 1402 }, /MTU set from 1280 to 1402/],
    ["that lost its hairpin", ["type", "bridge_slave", "hairpin", "off"], {}, /hairpin mode/],
  ])("%s is put back", async (_, change, expected, words) => {
    await run(["ip", "link", "set", port, ...change])
    const repair = await told(words)
    expect(repair).toContain(port)
    expect(await mustLink(port)).toMatchObject(expected)
    expect((await mustLink(port)).linkinfo?.info_slave_data).toMatchObject({ hairpin: true })
    await waitFor("the container to be reached", async () =>
      (await pings("one", "10.42.0.1")) ? true : undefined,
    )
  })

  test("moved to another bridge is put back", async () => {
    await run(["ip", "link", "add", "other0", "up", "type", "bridge"])
    await run(["ip", "link", "set", port, "master", "other0"])
    await waitFor("the port to be put back", async () =>
      (await mustLink(port)).master === "docker0" ? true : undefined,
    )
    expect(await pings("one", "10.42.0.1")).toBe(true)
    await run(["ip", "link", "delete", "other0"])
  })

  test("is back with its bridge after somebody deleted that", async () => {
    const two = await attached(lab, "two")
    const before = await mustLink("docker0")
    // Both know the gateway's MAC.
    for (const id of ["one", "two"]) expect(await pings(id, "10.42.0.1")).toBe(true)
    await run(["ip", "link", "delete", "docker0"])
    await waitFor("the bridge", async () => {
      const ports = await Promise.all((await ownLinks()).map((name) => linkOf(name)))
      return ports.length === 2 && ports.every((link) => link?.master === "docker0")
        ? true
        : undefined
    })
    const after = await mustLink("docker0")
    expect(after.ifindex).not.toBe(before.ifindex)
    expect(after.address).toBe(before.address)
    expect(await addressesOf("docker0")).toEqual(["10.42.0.1/16"])
    expect(await pings("one", two.address)).toBe(true)
    expect(await pings("one", "10.42.0.1")).toBe(true)
    await told(/docker0: made again/)
    await removed(lab, "two")
  })

  test("keeps its gateway when somebody removes the bridge's address", async () => {
    await run(["ip", "address", "flush", "dev", "docker0"])
    await told(/docker0: 10\.42\.0\.1\/16 put back/)
    await waitFor("the address", async () =>
      (await addressesOf("docker0")).includes("10.42.0.1/16") ? true : undefined,
    )
    expect(await pings("one", "10.42.0.1")).toBe(true)
  })

  test("is reached again when somebody set its bridge down", async () => {
    await run(["ip", "link", "set", "docker0", "down"])
    await told(/docker0: brought up/)
    expect((await mustLink("docker0")).flags).toContain("UP")
    expect(await pings("one", "10.42.0.1")).toBe(true)
  })
})

test("many containers that go at once are all released", async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `crowd${index}`)
  for (const id of ids) await attached(lab, id)
  expect(await lab.endpoints()).toHaveLength(ids.length)
  await Promise.all(ids.map((id) => lab.deleteNetns(id)))
  await waitFor("all to be released", async () =>
    (await lab.endpoints()).length === 0 ? true : undefined,
  )
  await expectNothingLeft(lab)
})

describe("where Docker is installed", () => {
  let host: Lab
  beforeAll(async () => {
    await lab.stopAgent()
    await run(["ip", "link", "delete", "docker0"])
    mkdirSync("/etc/systemd/system", { recursive: true })
    writeFileSync("/etc/systemd/system/docker.socket", "")
    await run(["ip", "link", "add", "docker0", "type", "bridge"])
    host = await Lab.start({ settings: { createBridge: "auto" } })
  })
  afterAll(async () => {
    await host.close()
    rmSync("/etc/systemd/system/docker.socket")
  })

  test("a deleted docker0 is a problem until Docker makes it again", async () => {
    await attached(host, "one")
    await run(["ip", "link", "delete", "docker0"])
    const { problems } = await waitFor("the problem", async () => {
      const status = await host.status()
      return status.problems.some(({ severity }) => severity === "error") ? status : undefined
    })
    expect(problems[0]?.what).toMatch(/docker0.*Docker is installed/)
    expect(await linkOf("docker0")).toBeUndefined()
    await run(["ip", "link", "add", "docker0", "type", "bridge"])
    await waitFor("the container to be reached", async () =>
      (await pings("one", "10.42.0.1")) ? true : undefined,
    )
    await waitFor("the problem to go", async () =>
      (await host.status()).problems.some(({ severity }) => severity === "error")
        ? undefined
        : true,
    )
    await removed(host, "one")
    await expectNothingLeft(host)
  })
})
