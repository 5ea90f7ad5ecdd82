/** hostNat and ipMasq: what leaves the host has its address, what stays has the container's. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { run, waitFor } from "../clients/program.ts"
import { capture } from "./capture.ts"
import { attached, type Container, expectNothingLeft, removed } from "./container.ts"
import { type Conf, inNetns, Lab, pings, SEED_CONF } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"
import {
  HOST_IP,
  HOST_IP6,
  OUTSIDE,
  OUTSIDE_IP,
  OUTSIDE_IP6,
  OUTSIDE_LINK,
  wireOutside,
} from "./outside.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ configs: [dualStackYaml()] })
  await wireOutside(lab)
})
afterAll(() => lab.close())

const IP_MASQ: Conf = {
  cniVersion: "1.1.0",
  name: "masq",
  type: "rancher-bridge",
  bridge: "masq0",
  bridgeSubnet: "10.60.0.0/24",
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: "rancher-cni-ipam" },
}
const NO_NAT: Conf = {
  ...IP_MASQ,
  name: "bare",
  bridge: "bare0",
  bridgeSubnet: "10.61.0.0/24",
  ipMasq: false,
}

/** Lines of the echo requests that reach a link while a container pings. */
function requestsAt(link: { netns?: string; device: string }, from: string, to: string) {
  const filter = to.includes(":") ? "icmp6 and ip6[40]==128" : "icmp[icmptype]==icmp-echo"
  return capture(
    { ...link, filter },
    () => inNetns(from, "ping", "-c", "1", "-W", "1", to),
    (lines) => lines.length > 0,
  )
}
const cable = { netns: OUTSIDE, device: OUTSIDE_LINK }

async function masqueraded(): Promise<string> {
  return await run(["nft", "list", "set", "inet", "lariat", "masquerade4"])
}

describe("hostNat", () => {
  const call = { conf: DUAL_CONF }
  let one: Container
  let two: Container
  beforeAll(async () => {
    one = await attached(lab, "one", call)
    two = await attached(lab, "two", call)
  })
  afterAll(async () => {
    for (const id of ["one", "two"]) await removed(lab, id, call)
  })

  test.each([
    [OUTSIDE_IP, HOST_IP],
    [OUTSIDE_IP6, HOST_IP6],
  ])("%s sees the host's address %s", async (to, source) => {
    const [line = ""] = await requestsAt(cable, "one", to)
    expect(line).toContain(`${source} > ${to}`)
    expect(await pings("one", to)).toBe(true)
  })

  test("the other container and the host see the container's address", async () => {
    const inside = { netns: "two", device: "eth0" }
    const [line = ""] = await requestsAt(inside, "one", two.address)
    expect(line).toContain(`${one.address} > ${two.address}`)
    const [atHost = ""] = await requestsAt({ device: "edge0" }, "one", HOST_IP)
    expect(atHost).toContain(`${one.address} > ${HOST_IP}`)
    expect(await pings("one", HOST_IP)).toBe(true)
  })

  test("a network that does not ask for it leaves with its own address", async () => {
    const bare = await attached(lab, "bare", { conf: NO_NAT })
    const [line = ""] = await requestsAt(cable, "bare", OUTSIDE_IP)
    expect(line).toContain(`${bare.address} > ${OUTSIDE_IP}`)
    await removed(lab, "bare", { conf: NO_NAT })
  })

  test("two networks of one host see each other's own addresses", async () => {
    const bare = await attached(lab, "bare", { conf: NO_NAT })
    const [line = ""] = await requestsAt({ netns: "bare", device: "eth0" }, "one", bare.address)
    expect(line).toContain(`${one.address} > ${bare.address}`)
    await removed(lab, "bare", { conf: NO_NAT })
  })
})

describe("ipMasq", () => {
  const call = { conf: IP_MASQ }

  test("masquerades the one container from ADD to DEL", async () => {
    const { address } = await attached(lab, "masq", call)
    expect(await masqueraded()).toContain(address)
    const [line = ""] = await requestsAt(cable, "masq", OUTSIDE_IP)
    expect(line).toContain(`${HOST_IP} > ${OUTSIDE_IP}`)
    expect(await pings("masq", OUTSIDE_IP)).toBe(true)
    await removed(lab, "masq", call)
    expect(await masqueraded()).not.toContain(address)
    await expectNothingLeft(lab)
  })

  test("keeps the source between containers of its network", async () => {
    const one = await attached(lab, "masq1", call)
    const two = await attached(lab, "masq2", call)
    const [line = ""] = await requestsAt({ netns: "masq2", device: "eth0" }, "masq1", two.address)
    expect(line).toContain(`${one.address} > ${two.address}`)
    for (const id of ["masq1", "masq2"]) await removed(lab, id, call)
  })

  test("is taken away when the container goes without DEL", async () => {
    const { address } = await attached(lab, "lost", call)
    await lab.deleteNetns("lost")
    await waitFor(
      "the masquerade to go",
      async () => ((await masqueraded()).includes(address) ? undefined : true),
      5000,
    )
    await expectNothingLeft(lab)
  })

  test("is kept when the agent starts again", async () => {
    const { address } = await attached(lab, "kept", call)
    await lab.stopAgent()
    expect(await masqueraded()).toContain(address)
    expect(await pings("kept", OUTSIDE_IP)).toBe(true)
    await lab.startAgent()
    expect(await masqueraded()).toContain(address)
    await removed(lab, "kept", call)
    expect(await masqueraded()).not.toContain(address)
  })
})

describe("a table that somebody flushed", () => {
  const call = { conf: IP_MASQ }

  test("is what CHECK complains of, and is mended within the agent's sweep", async () => {
    const { address, result } = await attached(lab, "flushed", call)
    const check = () =>
      lab.plugin("CHECK", { id: "flushed", conf: { ...IP_MASQ, prevResult: result } })
    expect((await check()).status).toBe(0)
    await run(["nft", "flush", "ruleset"])
    const complaint = await check()
    // The sweep may have come between; then there is nothing to complain of.
    if (complaint.status !== 0) {
      expect(complaint.json.code).toBe(107)
      expect(complaint.json.msg).toMatch(/lariat|nft/)
    }
    await waitFor("the table to be mended", async () =>
      (await run(["nft", "list", "ruleset"])).includes(address) ? true : undefined,
    )
    expect((await check()).status).toBe(0)
    expect(await pings("flushed", OUTSIDE_IP)).toBe(true)
    const repairs = (await lab.status()).repairs.map(({ what }) => what)
    expect(repairs.some((what) => /firewall|nft/.test(what))).toBe(true)
    await removed(lab, "flushed", call)
  })

  test("is mended by the next attach at once", async () => {
    await run(["nft", "flush", "ruleset"])
    const { address } = await attached(lab, "soon", call)
    expect(await masqueraded()).toContain(address)
    expect(await pings("soon", OUTSIDE_IP)).toBe(true)
    await removed(lab, "soon", call)
  })
})

test("rules of others stay as they are", async () => {
  const foreign =
    "add table ip other; add chain ip other post { type nat hook postrouting priority 100; }"
  await run(["nft", foreign])
  const before = await run(["nft", "list", "table", "ip", "other"])
  await attached(lab, "beside", { conf: IP_MASQ })
  await removed(lab, "beside", { conf: IP_MASQ })
  expect(await run(["nft", "list", "table", "ip", "other"])).toBe(before)
  await run(["nft", "delete", "table", "ip", "other"])
})

test("the seed's subnet, brought along by the plugin's configuration alone, is masqueraded", async () => {
  const call = { conf: { ...SEED_CONF, name: "brought", bridge: "brought0" } }
  await attached(lab, "brought", call)
  const [line = ""] = await requestsAt(cable, "brought", OUTSIDE_IP)
  expect(line).toContain(`${HOST_IP} > ${OUTSIDE_IP}`)
  await removed(lab, "brought", call)
})
