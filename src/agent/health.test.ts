import { expect, test } from "bun:test"
import { Health } from "./health.ts"

test("a problem stands once per key, errors first, and can be cleared", () => {
  const health = new Health()
  health.raise("config/1", { severity: "warning", what: "a" })
  health.raise("config/1", { severity: "warning", what: "b" })
  health.raise("nft", { severity: "error", what: "c" })
  expect(health.problems().map(({ what }) => what)).toEqual(["c", "b"])
  health.clearAll("config/")
  health.clear("nft")
  expect(health.problems()).toEqual([])
})

test("repairs are remembered in order, bounded, and told", () => {
  const told: string[] = []
  const health = new Health({ onRepair: (what) => told.push(what), now: () => new Date(0) })
  for (let index = 0; index < 60; index += 1) health.repaired(String(index))
  expect(health.repairs()).toHaveLength(50)
  expect(health.repairs()[0]).toEqual({ at: "1970-01-01T00:00:00.000Z", what: "10" })
  expect(told).toHaveLength(60)
})
