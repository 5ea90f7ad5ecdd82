/** A kernel without IPv6 (`ipv6.disable=1`): everything of IPv4 works. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { attached, expectNothingLeft, getMetadata, removed } from "../netns/container.ts"
import { askFrom, dataOf } from "../netns/dns_client.ts"
import { Lab, pings } from "../netns/lab.ts"

// Where this machine's own kernel does for the tests of many hosts, it has no command line of ours.
const hasIpv6 = existsSync("/proc/net/if_inet6")

describe.skipIf(hasIpv6)("without IPv6", () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1s" } })
  })
  afterAll(() => lab?.close())

  test("containers reach each other, metadata and DNS, and nothing is wrong", async () => {
    const one = await attached(lab, "one", { args: "IgnoreUnknown=1;K8S_POD_NAME=one" })
    const two = await attached(lab, "two")
    expect(await pings("one", two.address)).toBe(true)
    expect(await pings("two", "10.42.0.1")).toBe(true)
    expect((await getMetadata("one", "/latest/self/container/name")).body).toBe("one")
    expect(dataOf(await askFrom("two", "one.rancher.internal"))).toEqual([one.address])
    const { problems } = await lab.status()
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([])
    await lab.stopAgent()
    await lab.startAgent()
    expect(await pings("one", two.address)).toBe(true)
    for (const id of ["one", "two"]) await removed(lab, id)
    await expectNothingLeft(lab)
  })

  test("what wants IPv6 is refused, saying why", async () => {
    await lab.netns("six")
    const conf = {
      ...{ cniVersion: "1.0.0", name: "six", type: "rancher-bridge", bridge: "six0" },
      ...{
        bridgeSubnet: "fd00:6::/64",
        isDefaultGateway: true,
        ipam: { type: "rancher-cni-ipam" },
      },
    }
    const { status, json } = await lab.plugin("ADD", { id: "six", conf })
    expect(status).toBe(1)
    expect(json.msg).toMatch(/IPv6/)
    await lab.deleteNetns("six")
    await expectNothingLeft(lab)
  })
})
