import { expect, test } from "bun:test"
import { type CountedState, faultsOf, trafficOf } from "./sa_usage.ts"

const ENDS = { local: "192.0.2.1", remote: "192.0.2.2" }
const state = (destination: string, bytes: bigint, packets: bigint, bad = 0): CountedState => ({
  destination,
  usage: { bytes, packets } as CountedState["usage"],
  replayed: bad,
  unauthentic: 2 * bad,
})
const STATES = [
  state(ENDS.remote, 100n, 1n),
  state(ENDS.remote, 50n, 2n),
  state(ENDS.local, 7n, 3n, 4),
]

test("what went out and what came in are summed over old and new associations", () => {
  const expected = { txBytes: 150, rxBytes: 7, txPackets: 3, rxPackets: 3 }
  expect(trafficOf(STATES, ENDS.remote)).toEqual(expected)
  expect(trafficOf([], undefined)).toEqual({ txBytes: 0, rxBytes: 0, txPackets: 0, rxPackets: 0 })
})

test("an association is there when both directions have one", () => {
  expect(faultsOf(STATES, ENDS)).toEqual({ saPair: true, replayed: 4, unauthentic: 8 })
  expect(faultsOf(STATES.slice(0, 2), ENDS).saPair).toBe(false)
  expect(faultsOf(STATES, undefined).saPair).toBe(false)
})
