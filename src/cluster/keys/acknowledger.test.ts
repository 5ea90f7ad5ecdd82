import { expect, test } from "bun:test"
import { type Acknowledged, Acknowledger } from "./acknowledger.ts"
import { StoreView } from "./store_view.ts"

const GRACE_MS = 10

function fixture() {
  const view = new StoreView(0, () => acknowledger.forgetRevisions())
  const acknowledger: Acknowledger = new Acknowledger(view, GRACE_MS)
  const next = (now: number, more: Partial<Acknowledged> = {}) =>
    acknowledger.next(now, { generation: 1, refused: [], isWaitedFor: () => false, ...more })
  /** What is to be said now is written, at a revision that is heard. */
  const write = (now: number, revision: number) => {
    view.setAcknowledged(next(now).acknowledge, revision)
    acknowledger.wrote(now)
    view.hear(revision)
  }
  return { view, acknowledger, next, write }
}
const ack = (revision: number, more = {}) => ({
  acknowledge: { era: 0, revision, generation: 1, refused: [], ...more },
})

test("nothing is said before the store was heard, then what is new, once", () => {
  const { view, next, write } = fixture()
  expect(next(0)).toEqual({})
  view.hear(5)
  expect(next(0)).toEqual(ack(5))
  write(0, 6)
  expect(next(0)).toEqual({})
  expect(next(0, { generation: 2 })).toEqual(ack(6, { generation: 2 }))
  expect(next(0, { refused: ["b"] })).toEqual(ack(6, { refused: ["b"] }))
})

test("what is owed is said when that much was heard, and nothing less before", () => {
  const { view, acknowledger, next, write } = fixture()
  view.hear(5)
  write(0, 6)
  acknowledger.owe(9)
  acknowledger.owe(8)
  view.hear(8)
  expect(next(0, { generation: 2 })).toEqual({})
  view.hear(9)
  expect(next(0)).toEqual(ack(9))
  write(0, 10)
  expect(next(0)).toEqual({})
})

test("who waits is told again, once per grace", () => {
  const { view, next, write } = fixture()
  view.hear(5)
  write(100, 6)
  const isWaitedFor = (revision: number) => revision === 5
  expect(next(105, { isWaitedFor })).toEqual({ wakeAt: 110 })
  expect(next(110, { isWaitedFor })).toEqual(ack(6))
  expect(next(110, { isWaitedFor: () => false })).toEqual({})
})

test("in a new era nothing of before is owed, and all is said anew", () => {
  const { view, acknowledger, next, write } = fixture()
  view.hear(5)
  write(0, 6)
  acknowledger.owe(50)
  view.restored()
  view.hear(2)
  view.beginEra()
  expect(next(0)).toEqual(ack(2, { era: 1 }))
  view.hearEra(2)
  // It is to be told all over first.
  expect(next(0)).toEqual({})
})
