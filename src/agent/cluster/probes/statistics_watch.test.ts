import { expect, test } from "bun:test"
import { Health } from "../../health.ts"
import { StatisticsWatch } from "./statistics_watch.ts"

test("a counter that grows is a problem for as long as it does", () => {
  const health = new Health()
  let text = "XfrmInNoStates 5\nXfrmInStateSeqError 0\n"
  const watch = new StatisticsWatch(health, () => text)
  watch.check()
  expect(health.problems()).toEqual([])
  text = "XfrmInNoStates 5\nXfrmInStateSeqError 3\n"
  watch.check()
  expect(health.problems()).toEqual([
    {
      severity: "warning",
      what: "IPsec: packets came twice, or later than the replay window (XfrmInStateSeqError grew by 3)",
    },
  ])
  watch.check()
  expect(health.problems()).toEqual([])
})

test("a kernel that counts nothing is no problem", () => {
  const health = new Health()
  const watch = new StatisticsWatch(health, () => {
    throw new Error("no such file")
  })
  watch.check()
  expect(health.problems()).toEqual([])
})
