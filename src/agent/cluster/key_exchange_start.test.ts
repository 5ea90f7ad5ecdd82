import { expect, test } from "bun:test"
import { KeyExchangeStart } from "./key_exchange_start.ts"

function fixture() {
  const told: string[] = []
  const state = { needed: false }
  const start = new KeyExchangeStart({
    begin: (number) => {
      if (!state.needed) return undefined
      told.push(`begin ${number}`)
      return { stop: () => told.push("stop") }
    },
    retell: () => told.push("retell"),
  })
  return { start, told, state }
}

test("it begins with the host's number where a driver is open, and hears the first listing", () => {
  const { start, told, state } = fixture()
  state.needed = true
  start.opened()
  expect(start.exchange).toBeUndefined()
  start.numbered(3)
  start.listening()
  start.opened()
  expect(told).toEqual(["begin 3"])
  start.stop()
  expect(told).toEqual(["begin 3", "stop"])
})

test("a driver that is opened late begins it, and what was told before is told again", () => {
  const { start, told, state } = fixture()
  start.numbered(3)
  start.listening()
  start.opened()
  expect(told).toEqual([])
  state.needed = true
  start.opened()
  start.opened()
  expect(told).toEqual(["begin 3", "retell"])
  expect(start.exchange).toBeDefined()
})

test("nothing begins after the end", () => {
  const { start, told, state } = fixture()
  start.numbered(3)
  start.stop()
  state.needed = true
  start.opened()
  expect(told).toEqual([])
})
