import { beforeEach, expect, test } from "bun:test"
import type { OverlayPeer } from "./driver.ts"
import { type PeerPlan, PeerPlans } from "./peer_plans.ts"

interface NamePlan extends PeerPlan {
  readonly name: string
}

/** Peers that want a name each; the first to ask for one has it. */
const holders = new Map<string, string>()
let planned: string[]
let told: string[]
let plans: PeerPlans<NamePlan>

const peer = (hostId: string, name: string): OverlayPeer => ({
  ...{ hostId, name, number: 1, mtu: undefined, parameters: {} },
  ...{ underlay: [], overlay: [], blocks: [] },
})

/** Says that these are all peers. */
const set = (...peers: readonly OverlayPeer[]) =>
  plans.set(new Map(peers.map((one) => [one.hostId, one])))

beforeEach(() => {
  holders.clear()
  planned = []
  told = []
  plans = new PeerPlans<NamePlan>({
    plan: ({ hostId, name }) => {
      planned.push(hostId)
      const waits = (holders.get(name) ?? hostId) !== hostId
      return { name, waits, remote: undefined, reason: undefined, routes: [] }
    },
    desired: (hostId, plan, before) => {
      told.push(`${hostId} ${before?.name} ${plan?.name}`)
      for (const [held, by] of holders) if (by === hostId) holders.delete(held)
      if (plan !== undefined && !plan.waits) holders.set(plan.name, hostId)
    },
  })
})

test("a peer is planned once, and again when something of it changed", () => {
  const b = peer("b", "y")
  set(peer("a", "x"), b)
  set(peer("a", "x"), b)
  set(peer("a", "x"), peer("b", "z"))
  expect(planned).toEqual(["a", "b", "b"])
  expect(plans.get("b")?.plan.name).toBe("z")
  expect(plans.all().map(({ plan }) => plan.name)).toEqual(["x", "z"])
})

test("one that is not named any more is given up, once", () => {
  set(peer("a", "x"), peer("b", "y"))
  set(peer("b", "y"))
  set(peer("b", "y"))
  expect(told).toEqual(["a undefined x", "b undefined y", "a x undefined"])
  expect(plans.get("a")).toBeUndefined()
})

test("all are planned again when what they rest on changed", () => {
  plans.restOn("self", 1)
  set(peer("a", "x"), peer("b", "y"))
  plans.restOn("self", 1)
  expect(planned).toEqual(["a", "b"])
  plans.restOn("self", 2)
  expect(planned).toEqual(["a", "b", "a", "b"])
  plans.replan("b")
  plans.replan("c")
  expect(planned.slice(4)).toEqual(["b"])
})

test("one that waits is tried again when another gives up what it needs", () => {
  set(peer("a", "x"), peer("b", "x"))
  expect(holders.get("x")).toBe("a")
  set(peer("b", "x"))
  expect(holders.get("x")).toBe("b")
  planned = []
  set(peer("b", "x"))
  expect(planned).toEqual([])
})

test("one that is gone while it waits is not tried again", () => {
  set(peer("a", "x"), peer("b", "x"))
  planned = []
  set(peer("a", "y"))
  expect(planned).toEqual(["a"])
})
