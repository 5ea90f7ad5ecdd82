import { expect, test } from "bun:test"
import type { Commit, Condition, Listing, Store, Write } from "../store/store.ts"
import { networkNumber } from "./network_number.ts"

const PREFIX = "/lariat/c/networks/"

/** Just enough of a store; `before` runs ahead of each commit. */
function storeOf(data: Map<string, string>, before: () => void = () => {}) {
  const store: Pick<Store, "list" | "commit"> = {
    async list(prefix): Promise<Listing> {
      const entries = [...data]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => ({ key, value, revision: 1 }))
      return { entries, revision: 1 }
    },
    async commit(conditions: readonly Condition[], writes: readonly Write[]): Promise<Commit> {
      before()
      const committed = conditions.every(({ key, revision }) => revision !== 0 || !data.has(key))
      if (committed) for (const { key, value } of writes) if (value) data.set(key, value)
      return { committed, revision: 1 }
    },
  }
  return store as Store
}

test("a network keeps its number, and another gets the next one", async () => {
  const store = storeOf(new Map())
  expect(await networkNumber(store, PREFIX, "ipsec")).toBe(0)
  expect(await networkNumber(store, PREFIX, "edge")).toBe(1)
  expect(await networkNumber(store, PREFIX, "ipsec")).toBe(0)
})

test("a host that was quicker is believed", async () => {
  const data = new Map<string, string>()
  const store = storeOf(data, () => {
    if (data.size === 0) data.set(`${PREFIX}0`, "other")
  })
  expect(await networkNumber(store, PREFIX, "ipsec")).toBe(1)
  expect(data.get(`${PREFIX}0`)).toBe("other")
})

test("the seventeenth network is refused", async () => {
  const data = new Map(Array.from({ length: 16 }, (_, n) => [`${PREFIX}${n}`, `n${n}`] as const))
  expect(networkNumber(storeOf(data), PREFIX, "one more")).rejects.toMatchObject({
    code: "config-invalid",
  })
})
