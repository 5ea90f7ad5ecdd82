import { expect, test } from "bun:test"
import { inRange, KeyLog } from "./key_log.ts"

const put = (key: string, value: string) => ({ key, value, lease: "0" })
const remove = (key: string) => ({ key, value: undefined, lease: "0" })
const all = { first: "", end: "" }

test("each write is a revision, and what changes nothing is none", () => {
  const log = new KeyLog()
  log.write([put("b", "1"), put("a", "1")])
  log.write([remove("none")])
  log.write([])
  expect(log.revision).toBe(2)
  expect(log.range(all).map(({ key, revision }) => [key, revision])).toEqual([
    ["a", 2],
    ["b", 2],
  ])
})

test("it knows what was", () => {
  const log = new KeyLog()
  log.write([put("a", "1")])
  log.write([put("a", "2")])
  log.write([remove("a")])
  log.write([put("a", "3"), put("b", "1")])
  const valueAt = (revision: number) => log.range(all, revision).map(({ value }) => value)
  expect([1, 2, 3, 4, 5].map(valueAt)).toEqual([[], ["1"], ["2"], [], ["3", "1"]])
  expect(log.since({ first: "a", end: undefined }, 4).map(({ value }) => value)).toEqual([
    undefined,
    "3",
  ])
})

test("listeners hear a write as a whole, until they do not want to", () => {
  const log = new KeyLog()
  const heard: number[] = []
  const unlisten = log.listen((events) => heard.push(events.length))
  log.write([put("a", "1"), put("b", "1")])
  unlisten()
  log.write([put("a", "2")])
  expect(heard).toEqual([2])
})

test("ranges are of bytes", () => {
  expect(["a", "a0", "b"].map((key) => inRange({ first: "a", end: "b" }, key))).toEqual([
    ...[true, true, false],
  ])
  expect(["a", "a0"].map((key) => inRange({ first: "a", end: undefined }, key))).toEqual([
    ...[true, false],
  ])
})
