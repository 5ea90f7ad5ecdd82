import { expect, test } from "bun:test"
import { CONSENT_MS } from "./block_dispute.ts"
import { OwnClaims } from "./own_claims.ts"

const KEY = "blocks/n/1"

function world() {
  let now = 0
  const claims = new OwnClaims(() => now)
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      now = Math.min(end, now + 1000)
      claims.tick()
    }
  }
  /** Time goes by without this host. */
  const sleep = (ms: number) => {
    now += ms
  }
  return { claims, pass, sleep }
}

test("a claim of a free block stands with its commit, and for as long as nothing happens", () => {
  const { claims, pass } = world()
  claims.wrote(KEY, "1", { state: "held" })
  expect([claims.isNewest(KEY, "1"), claims.isNewest(KEY, "0")]).toEqual([true, false])
  pass(CONSENT_MS * 10)
  expect(claims.isSure(KEY)).toBe(true)
  claims.invalidate()
  expect(claims.isSure(KEY)).toBe(false)
  claims.saw(KEY)
  expect(claims.isSure(KEY)).toBe(true)
})

test("one that was written over another's stands when that one had the time to answer", () => {
  const { claims, pass } = world()
  claims.wrote(KEY, "1", { state: "held", used: true })
  claims.saw(KEY)
  expect(claims.isSure(KEY)).toBe(false)
  pass(CONSENT_MS - 1000)
  // While the store was away nobody could answer.
  claims.invalidate()
  pass(CONSENT_MS - 1)
  claims.saw(KEY)
  expect(claims.isSure(KEY)).toBe(false)
  pass(1)
  claims.saw(KEY)
  expect(claims.isSure(KEY)).toBe(true)
})

test("a host that insists on what it saw standing is as sure as before", () => {
  const { claims } = world()
  claims.wrote(KEY, "1", { state: "held", used: true, stood: true })
  expect(claims.isSure(KEY)).toBe(true)
})

test("what is given up, or is about to be, is not sure", () => {
  const { claims } = world()
  claims.wrote(KEY, "1", { state: "held" })
  claims.givesUp(KEY)
  expect(claims.isSure(KEY)).toBe(false)
  claims.saw(KEY)
  claims.wrote(KEY, "2", { state: "released" })
  expect(claims.isSure(KEY)).toBe(false)
})

test("a host that stood still does not know what stands, before its first look", () => {
  const { claims, sleep } = world()
  claims.wrote(KEY, "1", { state: "held" })
  sleep(CONSENT_MS)
  expect(claims.isSure(KEY)).toBe(false)
})
