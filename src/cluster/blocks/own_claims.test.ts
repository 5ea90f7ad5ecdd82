import { expect, test } from "bun:test"
import { CONSENT_MS, OwnClaims } from "./own_claims.ts"

const KEY = "blocks/n/1"

function fixture() {
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

test("a claim stands with its commit, and for as long as nothing happens", () => {
  const { claims, pass } = fixture()
  claims.wrote(KEY, "1", "held")
  expect([claims.isNewest(KEY, "1"), claims.isNewest(KEY, "0")]).toEqual([true, false])
  pass(CONSENT_MS * 10)
  expect(claims.isSure(KEY)).toBe(true)
  claims.invalidate()
  expect(claims.isSure(KEY)).toBe(false)
  claims.saw(KEY)
  expect(claims.isSure(KEY)).toBe(true)
})

test("what is given up, or is about to be, is not sure", () => {
  const { claims } = fixture()
  claims.wrote(KEY, "1", "held")
  claims.givesUp(KEY)
  expect(claims.isSure(KEY)).toBe(false)
  claims.saw(KEY)
  claims.wrote(KEY, "2", "released")
  expect(claims.isSure(KEY)).toBe(false)
})

test("a host that stood still does not know what stands, before its first look", () => {
  const { claims, sleep } = fixture()
  claims.wrote(KEY, "1", "held")
  sleep(CONSENT_MS)
  expect(claims.isSure(KEY)).toBe(false)
})
