import { expect, test } from "bun:test"
import fc from "fast-check"
import { errorOf } from "../../../test/cluster/ear.ts"
import { type HistoryWrite, inRange, KeyHistory, type KeyVersion } from "./key_history.ts"

const put = (key: string, value: string): HistoryWrite => ({ key, value, lease: "0" })
const remove = (first: string, end?: string): HistoryWrite => ({ range: { first, end } })
const ALL = { first: "", end: "" }
const shown = (versions: readonly KeyVersion[]) =>
  versions.map(({ key, value, created, revision, version }) => [
    ...[key, value, created, revision, version],
  ])

test("counts revisions, and the versions of a key from when it was made", () => {
  const history = new KeyHistory()
  expect(history.revision).toBe(1)
  history.write([put("b", "1")])
  history.write([put("b", "2"), put("a", "1")])
  expect(shown(history.range(ALL))).toEqual([
    ["a", "1", 3, 3, 1],
    ["b", "2", 2, 3, 2],
  ])
  history.write([remove("b")])
  history.write([put("b", "3")])
  expect(shown(history.range({ first: "b", end: undefined }))).toEqual([["b", "3", 5, 5, 1]])
})

test("what changes nothing makes no revision", () => {
  const history = new KeyHistory()
  expect(history.write([remove("a"), remove("", "")])).toEqual([])
  expect(history.write([])).toEqual([])
  expect(history.revision).toBe(1)
})

test("a key that is written twice in one transaction is refused, and nothing is written", async () => {
  const history = new KeyHistory()
  history.write([put("a", "1")])
  const error = await errorOf(
    (async () => history.write([put("b", "1"), put("a", "2"), remove("", "")]))(),
  )
  expect(error.code).toBe("decode")
  expect(shown(history.range(ALL))).toEqual([["a", "1", 2, 2, 1]])
})

test("who listens hears each transaction once, until they have enough", () => {
  const history = new KeyHistory()
  const heard: unknown[] = []
  const end = history.listen((events) => heard.push(shown(events)))
  history.write([put("a", "1"), put("b", "1")])
  history.write([remove("a", "c")])
  end()
  history.write([put("a", "2")])
  expect(heard).toEqual([
    [
      ["a", "1", 2, 2, 1],
      ["b", "1", 2, 2, 1],
    ],
    [
      ["a", undefined, 0, 3, 0],
      ["b", undefined, 0, 3, 0],
    ],
  ])
})

/** A plain reference: every state, kept whole. */
class Reference {
  readonly states: Map<string, string>[] = [new Map(), new Map()]

  write(writes: readonly HistoryWrite[]): void {
    const state = new Map(this.states.at(-1))
    let changed = false
    for (const write of writes) {
      if (write.value === undefined) {
        for (const key of [...state.keys()].filter((each) => inRange(write.range, each))) {
          changed = state.delete(key) || changed
        }
      } else {
        state.set(write.key, write.value)
        changed = true
      }
    }
    if (changed) this.states.push(state)
  }
}

const key = fc.constantFrom("a", "aa", "b", "b\0", "\xff", "c")
const bound = fc.constantFrom("", "a", "aa", "b", "c", "\xff")
const write = fc.oneof(
  fc.record({ key, value: fc.constantFrom("", "x", "y") }).map((one) => put(one.key, one.value)),
  fc.tuple(bound, fc.option(bound, { nil: undefined })).map(([first, end]) => remove(first, end)),
)

test("every remembered state is what it was, and events lead from each to the next", () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 40 }), bound, bound, (writes, first, end) => {
      const history = new KeyHistory({ maxEvents: 10 })
      const reference = new Reference()
      for (const one of writes) {
        history.write([one])
        reference.write([one])
      }
      expect(history.revision).toBe(reference.states.length - 1)
      const oldest = Math.max(1, history.compacted)
      for (let revision = oldest; revision <= history.revision; revision++) {
        const state = reference.states[revision] ?? new Map()
        const expected = [...state]
          .filter(([each]) => inRange({ first, end }, each))
          .sort(([a], [b]) => (a < b ? -1 : 1))
        const found = history.range({ first, end }, revision)
        expect(found.map(({ key: each, value }) => [each, value ?? "gone"])).toEqual(expected)
      }
      const replayed = new Map(reference.states[oldest])
      for (const event of history.since(oldest + 1)) {
        if (event.value === undefined) replayed.delete(event.key)
        else replayed.set(event.key, event.value)
      }
      expect(replayed).toEqual(reference.states.at(-1) ?? new Map())
    }),
  )
})

test("forgets the older half beyond its limit, and keeps what is", () => {
  const history = new KeyHistory({ maxEvents: 100 })
  for (let n = 0; n < 1000; n++) history.write([put(`key ${n % 7}`, `${n}`)])
  history.write([put("gone", "x")])
  history.write([remove("gone")])
  for (let n = 0; n < 200; n++) history.write([put("busy", `${n}`)])
  expect(history.since(0).length).toBeLessThanOrEqual(100)
  expect(history.compacted).toBeGreaterThan(1000)
  expect(history.range(ALL).map((each) => each.key)).toEqual([
    "busy",
    ...Array.from({ length: 7 }, (_, n) => `key ${n}`),
  ])
})
