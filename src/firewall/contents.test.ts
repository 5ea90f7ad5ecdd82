import { describe, expect, test } from "bun:test"
import { contentsOf, readNetworks, without } from "./contents.ts"
import { elementKey } from "./element_key.ts"
import { Masquerades, parseMasquerade } from "./masquerades.ts"
import type { FirewallState } from "./state.ts"

const NOTHING: FirewallState = { hostNat: [], overlay: [], masquerade: [] }

/** Element keys of every set that has any. */
function keysOf(state: Partial<FirewallState>): Record<string, string[]> {
  const whole = { ...NOTHING, ...state }
  const masquerades = new Masquerades(whole.masquerade.map(parseMasquerade))
  const contents = contentsOf(readNetworks(whole), masquerades)
  return Object.fromEntries(
    [...contents]
      .filter(([, elements]) => elements.length > 0)
      .map(([set, elements]) => [set, elements.map(elementKey)]),
  )
}

describe("contents", () => {
  test("without networks exempt metadata, multicast, broadcast and link-local all the same", () => {
    expect(keysOf({})).toEqual({
      never4: ["00000000-!", "a9fea9fa-", "a9fea9fb-!", "e0000000-", "f0000000-!", "ffffffff-"],
      never6: [
        `${"0".repeat(32)}-!`,
        `fe80${"0".repeat(28)}-`,
        `fec0${"0".repeat(28)}-!`,
        `ff${"0".repeat(30)}-`,
      ],
    })
  })

  test("of hostNat tell the bridge where a subnet is at home", () => {
    const keys = keysOf({ hostNat: [{ subnet: "10.42.3.4/16", bridge: "docker0" }] })
    const name = "646f636b657230000000000000000000"
    expect(keys.hostnat4).toEqual(["00000000-!", "0a2a0000-", "0a2b0000-!"])
    expect(keys.home4).toEqual([`0a2a0000${name}-0a2affff${name}`])
    expect(keys.hostnat6).toBeUndefined()
  })

  test("keep overlapping subnets apart by bridge and join them on one", () => {
    const home = (...hostNat: FirewallState["hostNat"]): number =>
      keysOf({ hostNat }).home4?.length ?? 0
    const wide = { subnet: "10.42.0.0/16", bridge: "br0" }
    expect(home(wide, { subnet: "10.42.7.0/24", bridge: "br0" })).toBe(1)
    expect(home(wide, { subnet: "10.42.7.0/24", bridge: "br1" })).toBe(2)
    expect(home(wide, wide)).toBe(1)
  })

  test("of ipMasq hold each address and each subnet once", () => {
    const keys = keysOf({
      masquerade: ["10.42.0.2/16", "10.42.0.3/16", "10.42.0.3/16", "fd00:42::2/64"],
    })
    expect(keys.masquerade4).toEqual(["0a2a0002-", "0a2a0003-"])
    expect(keys.inside4).toEqual(["0a2a00000a2a0000-0a2affff0a2affff"])
    expect(keys.masquerade6?.length).toBe(1)
    expect(keys.inside6?.length).toBe(1)
  })

  test("of clamps are prefixes by family and devices, each once", () => {
    const keys = keysOf({ clamp: ["10.42.0.0/16", "fd00:42::/64", "lariat0", "lariat0"] })
    expect(keys.clamp4).toEqual(["00000000-!", "0a2a0000-", "0a2b0000-!"])
    expect(keys.clamp6?.length).toBe(3)
    expect(keys.clamplinks).toEqual([`6c61726961743000${"0".repeat(16)}-`])
    expect(keysOf({}).clamplinks).toBeUndefined()
  })

  test("of an address alone have no subnet", () => {
    expect(keysOf({ masquerade: ["10.42.0.2"] }).inside4).toBeUndefined()
  })
})

test("differences of element lists", () => {
  const a = { key: Uint8Array.of(1) }
  const end = { key: Uint8Array.of(1), intervalEnd: true }
  expect(without([a, end], [a])).toEqual([end])
  expect(without([a, a], [])).toEqual([a])
})
