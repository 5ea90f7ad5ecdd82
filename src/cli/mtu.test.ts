import { afterEach, beforeEach, expect, spyOn, test } from "bun:test"
import { mtu } from "./mtu.ts"

let said: string[] = []
let spy: ReturnType<typeof spyOn>
beforeEach(() => {
  said = []
  spy = spyOn(console, "log").mockImplementation((text) => {
    said.push(String(text))
  })
})
afterEach(() => spy.mockRestore())

test("the JSON has the contract's keys and its parts add up", () => {
  expect(mtu({ outer: 1500, driver: "ipsec", family: "6", udp: true, json: true })).toBe(0)
  const answer = JSON.parse(said[0] ?? "")
  expect(Object.keys(answer).sort()).toEqual(
    ["cipher", "driver", "family", "mtu", "outer", "overhead", "parts", "udp"].sort(),
  )
  expect(answer).toMatchObject({ outer: 1500, driver: "ipsec", family: 6, udp: true, mtu: 1418 })
  const sum = answer.parts.reduce((total: number, part: { bytes: number }) => total + part.bytes, 0)
  expect(sum).toBe(answer.overhead)
  expect(answer.outer - answer.overhead).toBe(answer.mtu)
})

test("people get a line for each part", () => {
  mtu({ outer: 1500, driver: "vxlan", family: "4" })
  expect(said[0]).toMatch(/^outer MTU +1500\n/)
  expect(said[0]).toMatch(/largest inner packet +1450$/)
})

test("a cipher is for ipsec alone", () => {
  expect(() => mtu({ outer: 1500, driver: "vxlan", family: "4", cipher: "aes128gcm16" })).toThrow(
    "only ipsec",
  )
})
