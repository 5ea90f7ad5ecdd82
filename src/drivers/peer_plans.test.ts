import { beforeEach, expect, test } from "bun:test"
import type { OverlayPeer } from "./driver.ts"
import { PeerPlans } from "./peer_plans.ts"

/** Peers that want a name each; the first to ask for one has it. */
const holders = new Map<string, string>()
let planned: string[]
let plans: PeerPlans<{ readonly waits: boolean; readonly name: string }>

const peer = (hostId: string, name: string): OverlayPeer => ({
  ...{ hostId, name, number: 1, mtu: undefined, parameters: {} },
  ...{ underlay: [], overlay: [], blocks: [] },
})

beforeEach(() => {
  holders.clear()
  planned = []
  plans = new PeerPlans({
    plan: ({ hostId, name }) => {
      planned.push(hostId)
      return { name, waits: (holders.get(name) ?? hostId) !== hostId }
    },
    desired: (hostId, { name, waits }) => {
      for (const [held, by] of holders) if (by === hostId) holders.delete(held)
      if (!waits) holders.set(name, hostId)
    },
  })
})

test("a peer is planned once, and again when something of it changed", () => {
  plans.put([peer("a", "x"), peer("b", "y")])
  plans.put([peer("a", "x"), peer("b", "z")])
  expect(planned).toEqual(["a", "b", "b"])
  expect(plans.has("a")).toBe(true)
  expect(plans.all().map(({ plan }) => plan.name)).toEqual(["x", "z"])
})

test("all are planned again when what they rest on changed", () => {
  plans.restOn("self", 1)
  plans.put([peer("a", "x"), peer("b", "y")])
  plans.restOn("self", 1)
  expect(planned).toEqual(["a", "b"])
  plans.restOn("self", 2)
  expect(planned).toEqual(["a", "b", "a", "b"])
})

test("one that waits is tried again when another gives up what it needs", () => {
  plans.put([peer("a", "x"), peer("b", "x")])
  expect(holders.get("x")).toBe("a")
  const giveUp = () => holders.delete("x")
  expect(plans.remove("c", giveUp)).toBe(false)
  expect(holders.get("x")).toBe("a")
  expect(plans.remove("a", giveUp)).toBe(true)
  expect(holders.get("x")).toBe("b")
  expect(plans.has("a")).toBe(false)
  planned = []
  plans.put([])
  expect(planned).toEqual([])
})

test("one that is removed while it waits is not tried again", () => {
  plans.put([peer("a", "x"), peer("b", "x")])
  plans.remove("b", () => undefined)
  planned = []
  plans.put([peer("a", "y")])
  expect(planned).toEqual(["a"])
})
