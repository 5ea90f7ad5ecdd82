/** Another plugin's addresses for Lariat's bridge. */
import { describe, expect, test } from "bun:test"
import { existsSync, readdirSync } from "node:fs"
import { expectNothingLeft, networkOf, prepare, RANCHER_BRIDGE } from "./contract.ts"
import { lookInside, ping } from "./inside.ts"
import { setUpPodman } from "./podman.ts"
import { withContainer } from "./runtime.ts"

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
    await withContainer(context.runtime(), "one", async (container) => {
      const view = await lookInside(container)
      expect(view.address).toMatch(/^10\.42\.7\.(1\d|20)$/)
      expect(view).toMatchObject({ prefix: 16, gateway: "10.42.0.1", mtu: 1402 })
      expect(leases()).toEqual([view.address])
      await ping(container, "10.42.0.1")
    })
    expect(leases()).toEqual([])
    await expectNothingLeft(context.agent())
  })

  test("gives the address back when the container does not start", async () => {
    await context.runtime().startBroken("broken")
    expect(leases()).toEqual([])
    await expectNothingLeft(context.agent())
  })
})
