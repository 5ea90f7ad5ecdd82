import { expect, test } from "bun:test"
import type { StoreHealth } from "./store.ts"
import { HealthKeeper } from "./store_health.ts"

test("listeners hear each coming and going once, with since when", () => {
  let nowMs = 5
  const keeper = new HealthKeeper(() => nowMs, "a", "not asked")
  const told: StoreHealth[] = []
  const subscription = keeper.listen((health) => told.push(health))
  expect(keeper.get()).toEqual({ reachable: false, endpoint: "a", reason: "not asked", since: 5 })
  keeper.up("b")
  keeper.up("b")
  nowMs = 10
  keeper.down("b", "first")
  nowMs = 20
  keeper.down("c", "second")
  expect(keeper.get()).toEqual({ reachable: false, endpoint: "c", reason: "second", since: 10 })
  keeper.up("c")
  expect(told).toEqual([
    { reachable: true, endpoint: "b" },
    { reachable: false, endpoint: "b", reason: "first", since: 10 },
    { reachable: true, endpoint: "c" },
  ])
  subscription.close()
  keeper.down("c", "third")
  expect(told).toHaveLength(3)
})

test("another member that serves is known, and told to nobody", () => {
  const keeper = new HealthKeeper(() => 0, "a")
  let told = 0
  keeper.listen(() => told++)
  keeper.up("b")
  expect(keeper.get()).toEqual({ reachable: true, endpoint: "b" })
  expect(told).toBe(0)
})

test("a listener that throws keeps nobody from hearing", () => {
  const keeper = new HealthKeeper(() => 0, "a")
  keeper.listen(() => {
    throw new Error("bad listener")
  })
  let told = 0
  keeper.listen(() => told++)
  keeper.down("a", "gone")
  expect(told).toBe(1)
})
