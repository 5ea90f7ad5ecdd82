import { expect, test } from "bun:test"
import type { StrayThread } from "../sys/stray_threads.ts"
import { Health } from "./health.ts"
import { StrayWatch } from "./stray_watch.ts"

test("a thread that stays in a namespace is told, one that only passes is not", () => {
  const health = new Health()
  let now = 0
  let strays: StrayThread[] = []
  const watch = new StrayWatch(
    health,
    () => now,
    () => strays,
  )
  const problemsAt = (time: number) => {
    now = time
    watch.look()
    return health.problems().map(({ what }) => what)
  }
  const one = { tid: 7, name: "JITWorker", netns: "net:[1]" }
  strays = [one]
  expect(problemsAt(0)).toEqual([])
  expect(problemsAt(50_000)).toEqual([])
  strays = []
  expect(problemsAt(60_000)).toEqual([])
  strays = [one]
  expect(problemsAt(70_000)).toEqual([])
  expect(problemsAt(130_000)).toEqual([
    "threads of this program stay in containers' namespaces, and keep them: JITWorker in net:[1]",
  ])
  strays = [{ ...one, netns: "net:[2]" }]
  expect(problemsAt(140_000)).toEqual([])
})
