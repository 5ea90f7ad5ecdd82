/** CHECK, GC, STATUS and VERSION. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { run, waitFor } from "../clients/program.ts"
import { attached, type Container, expectNothingLeft, removed } from "./container.ts"
import { mustLink } from "./kernel_view.ts"
import { type Conf, ipIn, Lab, type PluginJson, SEED_CONF } from "./lab.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start()
})
afterAll(() => lab.close())

describe("CHECK", () => {
  let one: Container
  beforeEach(async () => {
    one = await attached(lab, "one")
  })
  afterEach(async () => {
    await removed(lab, "one")
    await expectNothingLeft(lab)
  })

  const check = (prevResult: unknown = one.result, more: Conf = {}) =>
    lab.plugin("CHECK", { id: "one", conf: { ...SEED_CONF, ...more, prevResult } })

  test.each(["0.4.0", "1.0.0", "1.1.0"])(
    "says nothing of what is as it was made (%s)",
    async (v) => {
      await lab.del("one")
      const conf = { ...SEED_CONF, cniVersion: v }
      const result = await lab.add("one", { conf })
      expect(await check(result, { cniVersion: v })).toMatchObject({
        status: 0,
        stdout: "",
        stderr: "",
      })
    },
  )

  test.each<[string, string[], RegExp]>([
    ["an address that was removed", ["address", "flush", "dev", "eth0"], /10\.42\.\d+\.\d+\/16/],
    ["an interface that is down", ["link", "set", "eth0", "down"], /eth0/],
    ["an interface with another name", ["link", "set", "eth0", "down", "name", "eth9"], /eth0/],
    ["a default route that was removed", ["route", "delete", "default"], /0\.0\.0\.0\/0/],
    ["another MTU", ["link", "set", "eth0", "mtu", "1300"], /1300/],
    ["another MAC", ["link", "set", "eth0", "address", "02:00:00:00:99:99"], /02:00:00:00:99:99/],
  ])("tells of %s", async (_, change, words) => {
    await ipIn("one", ...change)
    const answer = await check()
    expect(answer.status).not.toBe(0)
    expect(answer.json.code).toBe(107)
    expect(answer.json.msg).toMatch(words)
    expect(answer.stderr).toMatch(words)
  })

  test("passes again once the agent has mended the port", async () => {
    const port = one.result.interfaces?.[1]?.name ?? ""
    await run(["ip", "link", "set", port, "nomaster"])
    await waitFor("the port to be put back", async () =>
      (await mustLink(port)).master === "docker0" ? true : undefined,
    )
    expect(await check()).toMatchObject({ status: 0 })
  })

  test("tells of another namespace behind the path", async () => {
    await lab.netns("imposter")
    const answer = await lab.plugin("CHECK", {
      id: "one",
      netns: "/run/netns/imposter",
      conf: { ...SEED_CONF, prevResult: one.result },
    })
    expect(answer.json.code).toBe(107)
    expect(answer.json.msg).toContain("/run/netns/imposter")
    await lab.deleteNetns("imposter")
  })

  test("tells of an address that the runtime does not know of", async () => {
    const answer = await check({ ...one.result, ips: [] })
    expect(answer.json.code).toBe(107)
    expect(answer.json.msg).toContain(one.address)
  })

  test("takes what later plugins of the chain added", async () => {
    await ipIn("one", "address", "add", "192.0.2.9/32", "dev", "eth0")
    await ipIn("one", "route", "add", "192.0.2.128/25", "dev", "eth0")
    const ips = [...(one.result.ips ?? []), { address: "192.0.2.9/32" }]
    expect(await check({ ...one.result, ips })).toMatchObject({ status: 0 })
  })

  test("needs the result of ADD", async () => {
    const answer = await lab.plugin("CHECK", { id: "one" })
    expect(answer.json).toMatchObject({ code: 7 })
    expect(answer.json.msg).toContain("prevResult")
  })

  test("of what is not attached says so", async () => {
    await lab.netns("nobody")
    const conf = { ...SEED_CONF, prevResult: one.result }
    expect((await lab.plugin("CHECK", { id: "nobody", conf })).json).toMatchObject({ code: 3 })
    await lab.deleteNetns("nobody")
  })

  test("says what was asked for and is not served, and only when it was asked for", async () => {
    const mapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" }
    const ports = { runtimeConfig: { portMappings: [mapping] } }
    const shape = { runtimeConfig: { bandwidth: { ingressRate: 1000, ingressBurst: 1000 } } }
    await lab.del("one")
    for (const [more, words] of [
      [ports, /port/],
      [shape, /bandwidth/],
    ] as const) {
      const result: PluginJson = await lab.add("one", { conf: { ...SEED_CONF, ...more } })
      const answer = await check(result, more)
      expect(answer.json.code).toBe(107)
      expect(answer.json.msg).toMatch(words)
      expect(await check(result)).toMatchObject({ status: 0 })
      await lab.del("one")
    }
  })

  test("does not exist before 0.4.0", async () => {
    expect((await check(one.result, { cniVersion: "0.3.1" })).json.code).toBe(1)
  })
})

describe("GC", () => {
  const VALID = "cni.dev/valid-attachments"
  const OTHER: Conf = {
    ...SEED_CONF,
    name: "other",
    bridge: "other0",
    bridgeSubnet: "10.70.0.0/24",
  }
  const ids = async () => (await lab.endpoints()).map(({ containerId }) => containerId).sort()
  const collect = (keys: Conf, more: Conf = {}) =>
    lab.plugin("GC", {
      conf: { ...SEED_CONF, ...more, ...keys },
      env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" },
    })

  beforeEach(async () => {
    for (const id of ["keep", "stale1", "stale2"]) await attached(lab, id)
    await attached(lab, "elsewhere", { conf: OTHER })
  })
  afterEach(async () => {
    await removed(lab, "elsewhere", { conf: OTHER })
    for (const id of ["keep", "stale1", "stale2"]) await removed(lab, id)
    await expectNothingLeft(lab)
  })

  test.each(["cni.dev/valid-attachments", "cni.dev/attachments"])(
    "with a list in %s frees what is not in it, of this network alone",
    async (key) => {
      const valid = [
        { containerID: "keep", ifname: "eth0" },
        { containerID: "stale1", ifname: "eth1" },
      ]
      expect(await collect({ [key]: valid })).toMatchObject({ status: 0, stdout: "" })
      expect(await ids()).toEqual(["elsewhere", "keep"])
    },
  )

  test.each([
    ["an empty list", []],
    ["null, which is Go's empty list", null],
  ])("with %s frees all of this network", async (_, valid) => {
    expect(await collect({ [VALID]: valid })).toMatchObject({ status: 0 })
    expect(await ids()).toEqual(["elsewhere"])
  })

  test("without a list frees nothing and says why", async () => {
    const answer = await collect({})
    expect(answer.status).not.toBe(0)
    expect(answer.json.code).toBe(7)
    expect(answer.json.msg).toContain(VALID)
    expect(await ids()).toEqual(["elsewhere", "keep", "stale1", "stale2"])
  })

  test.each<[string, unknown]>([
    ["a text", "all"],
    ["entries without an id", [{ ifname: "eth0" }]],
  ])("with %s for a list frees nothing", async (_, valid) => {
    expect((await collect({ [VALID]: valid })).json.code).toBe(7)
    expect(await ids()).toHaveLength(4)
  })

  test("does not exist before 1.1.0", async () => {
    expect((await collect({ [VALID]: [] }, { cniVersion: "1.0.0" })).json.code).toBe(1)
    expect(await ids()).toHaveLength(4)
  })
})

describe("STATUS", () => {
  const ask = (conf: Conf, env: Record<string, string> = {}) =>
    lab.plugin("STATUS", {
      conf,
      env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_ARGS: "", ...env },
    })

  test("says nothing when an ADD can be served", async () => {
    expect(await ask(SEED_CONF)).toMatchObject({ status: 0, stdout: "", stderr: "" })
  })

  test("is 50 when the pool is exhausted, and good again when an address is back", async () => {
    const conf: Conf = {
      ...SEED_CONF,
      name: "tiny",
      bridge: "tiny0",
      bridgeSubnet: "10.71.0.0/24",
      ipam: {
        type: "rancher-cni-ipam",
        ranges: [[{ subnet: "10.71.0.0/24", rangeStart: "10.71.0.10", rangeEnd: "10.71.0.11" }]],
      },
    }
    expect(await ask(conf)).toMatchObject({ status: 0 })
    for (const id of ["t1", "t2"]) await attached(lab, id, { conf })
    const full = await ask(conf)
    expect(full.status).not.toBe(0)
    expect(full.json.code).toBe(50)
    expect(full.json.msg).toContain("tiny")
    await lab.netns("t3")
    expect((await lab.plugin("ADD", { id: "t3", conf })).json.code).toBe(101)
    await removed(lab, "t1", { conf })
    expect(await ask(conf)).toMatchObject({ status: 0 })
    await lab.add("t3", { conf })
    for (const id of ["t2", "t3"]) await removed(lab, id, { conf })
    await expectNothingLeft(lab)
  })

  test("is 50 when the agent is away", async () => {
    const answer = await ask(SEED_CONF, { LARIAT_SOCKET: join(lab.directory, "nobody.sock") })
    expect(answer.status).not.toBe(0)
    expect(answer.json.code).toBe(50)
    expect(answer.stderr).toContain("nobody.sock")
  })

  test("does not exist before 1.1.0", async () => {
    expect((await ask({ ...SEED_CONF, cniVersion: "1.0.0" })).json.code).toBe(1)
  })
})

describe("VERSION", () => {
  test.each<[string, string]>([
    ["a configuration", JSON.stringify(SEED_CONF)],
    ["nothing", ""],
    ["nonsense", "{"],
  ])("answers whatever is on standard input: %s", async (_, conf) => {
    const answer = await lab.plugin("VERSION", { conf, env: { CNI_NETNS: "dummy" } })
    expect(answer).toMatchObject({
      status: 0,
      stderr: "",
      json: {
        cniVersion: "1.1.0",
        supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
      },
    })
  })

  test("needs no agent", async () => {
    const env = { LARIAT_SOCKET: "/run/nobody.sock" }
    expect(await lab.plugin("VERSION", { env })).toMatchObject({ status: 0 })
  })

  test("without a command the plugin says what it is", async () => {
    const answer = await lab.plugin("", { conf: "" })
    expect(answer).toMatchObject({ status: 0, stdout: "" })
    expect(answer.stderr).toContain("CNI")
  })
})
