/** Lariat beside other plugins: its addresses for another bridge, another's addresses for its own. */
import { describe, expect, test } from "bun:test"
import { existsSync, readdirSync } from "node:fs"
import { expectNothingLeft, networkOf, prepare, RANCHER_BRIDGE } from "./contract.ts"
import { lookInside, ping } from "./inside.ts"
import { setUpPodman } from "./podman.ts"
import { waitFor } from "./program.ts"

describe("Debian's bridge with ipam rancher-cni-ipam", () => {
  const bridge = {
    type: "bridge",
    bridge: "foreign0",
    isDefaultGateway: true,
    mtu: 1402,
    ipam: { type: "rancher-cni-ipam" },
  }
  const context = prepare(setUpPodman, networkOf(bridge), { agent: true })

  test("gets its addresses from the agent", async () => {
    const containers = [await context.runtime().start("one"), await context.runtime().start("two")]
    const views = await Promise.all(containers.map(lookInside))
    for (const view of views) {
      expect(view.address).toMatch(/^10\.42\.\d+\.\d+$/)
      expect(view).toMatchObject({ prefix: 16, gateway: "10.42.0.1", mtu: 1402 })
    }
    expect(views[0]?.address).not.toBe(views[1]?.address)
    for (const container of containers) await ping(container, "10.42.0.1")
    for (const container of containers) await container.remove()
    await context.runtime().startBroken("broken")
    expect(await context.agent().endpoints()).toEqual([])
  })
})

describe("rancher-bridge with ipam host-local", () => {
  const ipam = {
    type: "host-local",
    subnet: "10.42.0.0/16",
    rangeStart: "10.42.7.10",
    rangeEnd: "10.42.7.20",
    gateway: "10.42.0.1",
  }
  const network = networkOf({ ...RANCHER_BRIDGE, ipam })
  const context = prepare(setUpPodman, network, { agent: true })

  /** Addresses that host-local remembers as given. */
  const leases = () => {
    const directory = `/var/lib/cni/networks/${network.name}`
    const names = existsSync(directory) ? readdirSync(directory) : []
    return names.filter((name) => name.startsWith("10."))
  }

  test("hands on what host-local gives and gives it back", async () => {
    const container = await context.runtime().start("one")
    const view = await lookInside(container)
    expect(view.address).toMatch(/^10\.42\.7\.(1\d|20)$/)
    expect(view).toMatchObject({ prefix: 16, gateway: "10.42.0.1", mtu: 1402 })
    expect(leases()).toEqual([view.address])
    await ping(container, "10.42.0.1")
    await container.remove()
    expect(leases()).toEqual([])
    await expectNothingLeft(context.agent())
  })

  test("gives the address back when the container does not start", async () => {
    await context.runtime().startBroken("broken")
    await waitFor("host-local to forget", () => (leases().length === 0 ? true : undefined))
    await expectNothingLeft(context.agent())
  })
})
