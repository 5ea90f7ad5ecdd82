import { expect, test } from "bun:test"
import { PeerRefusedError } from "../records/envelope.ts"
import { type Refusal, Refusals } from "./refusals.ts"

function recorder() {
  const told: string[] = []
  const refusals = new Refusals(({ hostId, kind, error }) => {
    told.push(`${hostId} ${kind} ${error.check}`)
  })
  const report = (hostId: string | undefined, kind: string, check: string, message = check) => {
    const refusal: Refusal = { hostId, kind, error: new PeerRefusedError(check, message) }
    refusals.report(refusal)
  }
  return { told, refusals, report }
}

test("each reason is told once, whatever the message says", () => {
  const { told, report } = recorder()
  report("h1", "keys", "sequence", "5 is older than 6")
  report("h1", "keys", "sequence", "5 is older than 7")
  report("h1", "keys", "mac")
  report("h1", "host", "sequence")
  report("h2", "keys", "sequence")
  report(undefined, "keys", "unknown-host")
  report(undefined, "keys", "unknown-host")
  expect(told).toEqual([
    "h1 keys sequence",
    "h1 keys mac",
    "h1 host sequence",
    "h2 keys sequence",
    "undefined keys unknown-host",
  ])
})

test("a record that was taken makes the next refusal of its kind news", () => {
  const { told, refusals, report } = recorder()
  refusals.clear("h1", "keys")
  for (const host of ["h1", "h11"]) report(host, "keys", "mac")
  report("h1", "host", "mac")
  refusals.clear("h1", "keys")
  told.length = 0
  for (const host of ["h1", "h11"]) report(host, "keys", "mac")
  report("h1", "host", "mac")
  expect(told).toEqual(["h1 keys mac"])
})

test("what is remembered is bounded", () => {
  const { told, report } = recorder()
  for (let n = 0; n <= 1024; n++) report(`h${n}`, "keys", "mac")
  expect(told).toHaveLength(1025)
  report("h1", "keys", "mac")
  expect(told).toHaveLength(1025)
  report("h0", "keys", "mac")
  expect(told).toHaveLength(1026)
})
