import { expect, test } from "bun:test"
import { OwnGenerations } from "./own_generations.ts"
import { Rollover } from "./rollover.ts"

const TIMES = { graceMs: 10, patienceMs: 1000 }

function fixture() {
  const failure = { error: undefined as unknown }
  const reserve = () => {
    if (failure.error !== undefined) throw failure.error
  }
  const random = (bytes: number) => new Uint8Array(bytes).fill(7)
  const own = new OwnGenerations({ random, reserve }, 0, [])
  const rollover = new Rollover(own, TIMES)
  const live = () => own.live.map(({ generation }) => generation)
  /** The store takes what is in force. */
  const publish = (now: number) => {
    own.published(own.live, now, now)
    rollover.published(own.live, now)
  }
  return { own, rollover, live, publish, failure }
}

test("a generation is made when it is wanted, after the one before was published, and once", () => {
  const { rollover, live, publish } = fixture()
  publish(0)
  rollover.make()
  expect(live()).toEqual([1])
  rollover.want()
  rollover.make()
  rollover.make()
  expect([live(), rollover.wanted]).toEqual([[1, 2], false])
  rollover.want()
  rollover.make()
  expect([live(), rollover.wanted]).toEqual([[1, 2], true])
  publish(1)
  rollover.make()
  expect(live()).toEqual([1, 2, 3])
})

test("what keeps it from being made is told, and it is made later", () => {
  const { rollover, live, publish, failure } = fixture()
  publish(0)
  rollover.want()
  failure.error = new Error("no room on the disk")
  expect(rollover.make()).toBe(failure.error)
  expect([live(), rollover.wanted]).toEqual([[1], true])
  failure.error = undefined
  expect(rollover.make()).toBeUndefined()
  expect(live()).toEqual([1, 2])
})

/** Two generations, both published at 100. */
function rotated() {
  const made = fixture()
  made.publish(0)
  made.rollover.want()
  made.rollover.make()
  made.publish(100)
  return made
}

test("older ones are withdrawn a grace after nobody needs them, and dropped a grace after that", () => {
  const { rollover, own, live, publish } = rotated()
  expect(rollover.withdraw(200, () => true)).toBe(1100)
  expect(rollover.withdraw(300, () => false)).toBe(310)
  // Somebody came who does.
  expect(rollover.withdraw(305, () => true)).toBe(1100)
  expect(rollover.withdraw(400, () => false)).toBe(410)
  expect(live()).toEqual([1, 2])
  expect(rollover.withdraw(410, () => false)).toBeUndefined()
  expect(live()).toEqual([2])
  // Not while the store lists them.
  expect(rollover.drop(500)).toBeUndefined()
  expect(own.held).toHaveLength(2)
  publish(600)
  expect([...rollover.leaving]).toEqual([[1, 610]])
  expect(rollover.drop(609)).toBe(610)
  expect(own.held).toHaveLength(2)
  expect(rollover.drop(610)).toBeUndefined()
  expect(own.held.map(({ generation }) => generation)).toEqual([2])
})

test("a host that takes nothing is waited for with patience, not for ever", () => {
  const { rollover, live } = rotated()
  expect(rollover.withdraw(1099, () => true)).toBe(1100)
  expect(rollover.withdraw(1100, () => true)).toBe(1110)
  expect(rollover.withdraw(1110, () => true)).toBeUndefined()
  expect(live()).toEqual([2])
})

test("a store that was put back makes it ask again", () => {
  const { rollover, live } = rotated()
  rollover.withdraw(200, () => false)
  rollover.forgetRevisions()
  expect(rollover.withdraw(210, () => false)).toBe(220)
  expect(live()).toEqual([1, 2])
})
