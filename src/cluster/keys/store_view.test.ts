import { expect, test } from "bun:test"
import { StoreView } from "./store_view.ts"

function make(era = 0) {
  let forgotten = 0
  const view = new StoreView(era, () => forgotten++)
  return { view, forgotten: () => forgotten }
}

test("a revision heard never goes back but with the store", () => {
  const { view } = make()
  expect(view.heard).toBeUndefined()
  view.hear(5)
  view.hear(3)
  expect(view.heard).toBe(5)
  view.restored()
  expect(view.heard).toBeUndefined()
  view.hear(3)
  expect(view.heard).toBe(3)
})

test("a store that was put back begins an era once it was told, and only once", () => {
  const { view, forgotten } = make(4)
  view.hear(5)
  view.restored()
  view.restored()
  view.beginEra()
  expect(view.era).toBe(4)
  view.hear(2)
  view.beginEra()
  view.beginEra()
  expect([view.era, view.relist, forgotten()]).toEqual([5, false, 3])
})

test("an era that others began is taken, without a further one", () => {
  const { view } = make()
  view.hear(5)
  view.restored()
  view.hearEra(1)
  view.hear(2)
  view.beginEra()
  expect([view.era, view.relist]).toEqual([1, false])
})

test("an era heard of without notice asks for everything again", () => {
  const { view } = make()
  view.hearEra(0)
  view.hear(5)
  expect(view.relist).toBe(false)
  view.hearEra(2)
  expect([view.era, view.relist]).toEqual([2, true])
  view.restored()
  view.hear(9)
  view.beginEra()
  expect([view.era, view.relist]).toEqual([2, false])
})

test("the last era there can be stays", () => {
  const { view } = make(2 ** 32 - 1)
  view.restored()
  view.hear(1)
  view.beginEra()
  expect(view.era).toBe(2 ** 32 - 1)
})

test("own records are those of the highest revision, until an era ends", () => {
  const { view } = make()
  const value = (era: number) => ({ era, generations: [] })
  expect(view.setPublished(value(1), 5)).toBe(true)
  expect(view.setPublished(value(2), 4)).toBe(false)
  expect(view.isPublished(value(1))).toBe(true)
  expect(view.setPublished(undefined, 6)).toBe(true)
  expect(view.isPublished(value(1))).toBe(false)
  const ack = { era: 0, revision: 3, generation: 1, refused: [] }
  expect(view.setAcknowledged(ack, 5)).toBe(true)
  expect(view.setAcknowledged({ ...ack, revision: 4 }, 4)).toBe(false)
  expect(view.isAcknowledged({ ...ack, revision: 9 })).toBe(true)
  expect(view.isAcknowledged({ ...ack, generation: 2 })).toBe(false)
  view.restored()
  expect([view.published, view.acknowledged]).toEqual([undefined, undefined])
})
