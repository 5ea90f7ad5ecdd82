import { expect, test } from "bun:test"
import fc from "fast-check"
import { PeerRefusedError } from "../records/envelope.ts"
import {
  type Acknowledgement,
  acknowledgementBody,
  parseAcknowledgement,
  refuses,
  sameAcknowledgement,
} from "./acknowledgement.ts"

const good: Acknowledgement = { era: 0, revision: 7, generation: 3, refused: [] }
const overJson = (value: Acknowledgement): unknown =>
  JSON.parse(JSON.stringify(acknowledgementBody(value)))

test("an acknowledgement comes back from JSON as it was", () => {
  const acknowledgement = fc.record({
    era: fc.nat(3),
    revision: fc.nat(3),
    generation: fc.integer({ min: 1, max: 3 }),
    refused: fc.array(fc.stringMatching(/^[a-z0-9]{1,4}$/), { maxLength: 3 }),
  })
  fc.assert(
    fc.property(acknowledgement, acknowledgement, (one, other) => {
      expect(parseAcknowledgement(overJson(one))).toEqual(one)
      const same = JSON.stringify(overJson(one)) === JSON.stringify(overJson(other))
      expect(sameAcknowledgement(one, other)).toBe(same)
    }),
  )
})

test("hosts that were refused are named, and more than 512 as all", () => {
  const some = parseAcknowledgement(overJson({ ...good, refused: ["h1", "h2"] }))
  expect([refuses(some, "h1"), refuses(some, "h3"), refuses(good, "h1")]).toEqual([
    true,
    false,
    false,
  ])
  const hosts = Array.from({ length: 513 }, (_, n) => `h${n}`)
  const all = parseAcknowledgement(overJson({ ...good, refused: hosts }))
  expect(all.refused).toEqual(["*"])
  expect(refuses(all, "h900")).toBe(true)
  const most = parseAcknowledgement(overJson({ ...good, refused: hosts.slice(1) }))
  expect(refuses(most, "h900")).toBe(false)
})

test.each([
  { revision: -1 },
  { revision: 2 ** 53 },
  { generation: 0 },
  { era: 2 ** 32 },
  { refused: "h1" },
  { refused: [1] },
  { refused: ["a b"] },
  { refused: Array(513).fill("h") },
])("%j is refused", (bad) => {
  expect(() => parseAcknowledgement({ ...good, ...bad })).toThrow(PeerRefusedError)
})

test("anything is taken or refused", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      try {
        parseAcknowledgement(body)
      } catch (error) {
        expect(error).toBeInstanceOf(PeerRefusedError)
      }
    }),
  )
})
