import { expect, test } from "bun:test"
import { LIMIT_SETS, limitRules, type Service } from "./limits.ts"

const NONE = {
  connections: 0,
  connectionsInAll: 0,
  connectionsPerSecond: 0,
  bytesPerSecond: 0,
  queriesPerSecond: 0,
}
const rulesOf = (services: readonly Service[], queriesPerSecond = 9) =>
  limitRules({ services, values: { ...NONE, queriesPerSecond } })
const udp = (address: string): Service => ({ protocol: "udp", address, port: 53 })
const compared = (address: string): string[] =>
  rulesOf([udp(address)])
    .at(-1)
    ?.expressions.flatMap((one) => (one.kind === "cmp" ? [one.value.toHex()] : [])) ?? []

test("a service is told by family, address, protocol and port; one on all addresses by less", () => {
  expect(compared("169.254.169.250")).toEqual(["02", "a9fea9fa", "11", "0035"])
  expect(compared("fd00::1")).toEqual(["0a", "fd000000000000000000000000000001", "11", "0035"])
  expect(compared("0.0.0.0")).toEqual(["11", "0035"])
})

test("without a limit there are no rules", () => {
  expect(limitRules(undefined)).toEqual([])
  expect(rulesOf([udp("10.0.0.1")], 0)).toEqual([])
})

test("every set is bounded in size, and forgets all but open connections", () => {
  expect(LIMIT_SETS.map(({ name, dynamic }) => [name, dynamic?.timeoutMs !== undefined])).toEqual([
    ["open4", false],
    ["open6", false],
    ["together4", false],
    ["together6", false],
    ["opening4", true],
    ["opening6", true],
    ["sending4", true],
    ["sending6", true],
    ["asking4", true],
    ["asking6", true],
  ])
  expect(LIMIT_SETS.every(({ dynamic }) => (dynamic?.size ?? 0) > 0)).toBe(true)
})

test("all sources together are counted in groups, by the last bits of their addresses", () => {
  const values = { ...NONE, connectionsInAll: 100 }
  const rules = limitRules({ services: [], values })
  const found = rules
    .filter(({ comment }) => comment === "connectionsInAll")
    .map(({ expressions }) => ({
      mask: expressions.flatMap((one) => (one.kind === "bitwise" ? [one.mask.toHex()] : [])),
      each: expressions.flatMap((one) => (one.kind === "limit-each" ? [one.limit] : [])),
    }))
  const each = [{ kind: "connections-over", count: 7 } as const]
  expect(found).toEqual([
    { mask: ["0000000f"], each },
    { mask: [`${"0".repeat(31)}f`], each },
  ])
})
