/** Lariat's addresses for another plugin's bridge. */
import { describe, expect, test } from "bun:test"
import { networkOf, prepare } from "./contract.ts"
import { lookInside, ping } from "./inside.ts"
import { setUpPodman } from "./podman.ts"
import { withContainer } from "./runtime.ts"

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
    await withContainer(context.runtime(), "one", async (one) => {
      await withContainer(context.runtime(), "two", async (two) => {
        const views = [await lookInside(one), await lookInside(two)]
        for (const view of views) {
          expect(view.address).toMatch(/^10\.42\.\d+\.\d+$/)
          expect(view).toMatchObject({ prefix: 16, gateway: "10.42.0.1", mtu: 1402 })
        }
        expect(views[0]?.address).not.toBe(views[1]?.address)
        await ping(one, "10.42.0.1")
        await ping(one, views[1]?.address ?? "")
      })
    })
    expect(await context.agent().endpoints()).toEqual([])
  })

  test("gives the address back when the container does not start", async () => {
    await context.runtime().startBroken("broken")
    expect(await context.agent().endpoints()).toEqual([])
  })
})
