import { expect, test } from "bun:test"
import { Health } from "../../health.ts"
import { StateDatabase } from "../../state/state_database.ts"
import { ClusterState } from "../state/cluster_state.ts"
import { LostBlocks } from "./lost_blocks.ts"

const BLOCK = "10.42.7.0/24"

/** Containers `c0` and on with an address of the block and one of another, and `x` with none. */
function fixture(containers: number) {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const common = { network: "n", ifname: "eth0", kind: "port", netns: undefined } as const
  const names = { aliases: [], labels: {} }
  const attach = (containerId: string, ...addresses: string[]) =>
    stateDatabase.begin(
      { ...common, containerId, names, request: {} },
      addresses.map((address) => ({ address, prefix: 16, gateway: undefined })),
    )
  for (let n = 0; n < containers; n++) attach(`c${n}`, `10.42.7.${n + 10}`, `fd00::${n + 10}`)
  attach("x", "10.42.8.10")
  const health = new Health()
  const nameOf = (hostId: string) => `name of ${hostId}`
  const make = () =>
    new LostBlocks({
      memory: new ClusterState(stateDatabase, "edge"),
      stateDatabase,
      health,
      nameOf,
    })
  return { lost: make(), make, health, stateDatabase }
}

test("the containers that are left in a block are named, and of many the number", () => {
  const { lost, health } = fixture(7)
  lost.add("n", BLOCK, "h2")
  const what = health.problems()[0]?.what ?? ""
  expect(what).toStartWith(`block ${BLOCK} of network n is name of h2's`)
  expect(what).toContain("(10.42.7.14), 2 more;")
  expect(what).not.toContain("fd00")
  expect(what).not.toContain("10.42.8.10")
})

test("they are known by their addresses, also to a process that begins anew", () => {
  const { lost, make, health, stateDatabase } = fixture(1)
  lost.add("n", BLOCK, "h2")
  lost.add("n", "10.42.9.0/24", "h3")
  for (const one of [lost, make()]) {
    expect([one.holderOf("n", BLOCK), one.holderOf("n", "10.42.9.0/24")]).toEqual(["h2", "h3"])
    expect([one.has("n", "10.42.8.0/24"), one.has("m", BLOCK)]).toEqual([false, false])
    expect([one.covers("n", "10.42.7.99"), one.covers("n", "10.42.8.10")]).toEqual([true, false])
    expect(stateDatabase.endpoints().map((row) => one.touches(row))).toEqual([true, false])
    expect(one.leftIn("n", BLOCK).map(({ containerId }) => containerId)).toEqual(["c0"])
  }
  lost.delete("n", BLOCK)
  expect(lost.has("n", BLOCK)).toBe(false)
  expect(health.problems()).toHaveLength(1)
  expect(make().holderOf("n", "10.42.9.0/24")).toBe("h3")
})
