import { expect, test } from "bun:test"
import { NO_KEYS, NOT_TOLD, namedStates, sentOn } from "./peer_keys.ts"

const key = new Uint8Array(36)
const pair = (round: number, send: boolean) => ({
  inbound: { spi: 100 + round, key },
  outbound: { spi: 200 + round, key },
  send,
})

test("what is named to be sent on comes before what was found, which must be allowed", () => {
  expect(sentOn(NOT_TOLD, 7)).toBe(7)
  expect(sentOn(NO_KEYS, 7)).toBeUndefined()
  const waiting = [pair(2, false)]
  expect(sentOn({ saPairs: waiting, others: "use" }, 7)).toBe(7)
  expect(sentOn({ saPairs: waiting, others: "receive" }, 7)).toBeUndefined()
  expect(sentOn({ saPairs: [pair(2, false), pair(1, true)], others: "use" }, 7)).toBe(201)
})

test("each pair names an association at both ends", () => {
  const ends = { local: "192.0.2.1", remote: "192.0.2.2" }
  expect(namedStates(ends, { saPairs: [pair(1, true)], others: "drop" })).toEqual([
    { destination: "192.0.2.1", spi: 101 },
    { destination: "192.0.2.2", spi: 201 },
  ])
})
