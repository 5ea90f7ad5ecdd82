import { expect, test } from "bun:test"
import fc from "fast-check"
import { PeerRefusedError } from "../records/envelope.ts"
import {
  type Announcement,
  announcementBody,
  parseAnnouncement,
  sameAnnouncement,
} from "./announcement.ts"

const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
const announcement: fc.Arbitrary<Announcement> = fc.record({
  era: fc.nat(0xffff_ffff),
  generations: fc
    .uniqueArray(fc.integer({ min: 1, max: 2 ** 53 - 1 }), { minLength: 1, maxLength: 4 })
    .map((all) => all.sort((a, b) => a - b))
    .chain((all) =>
      fc.tuple(
        ...all.map((generation) =>
          fc.record({ generation: fc.constant(generation), publicValue: bytes, nonce: bytes }),
        ),
      ),
    ),
})

const overJson = (value: Announcement): unknown =>
  JSON.parse(JSON.stringify(announcementBody(value)))

test("an announcement comes back from JSON as it was", () => {
  fc.assert(
    fc.property(announcement, announcement, (one, other) => {
      expect(parseAnnouncement(overJson(one))).toEqual(one)
      expect(sameAnnouncement(one, parseAnnouncement(overJson(one)))).toBe(true)
      const same = JSON.stringify(overJson(one)) === JSON.stringify(overJson(other))
      expect(sameAnnouncement(one, other)).toBe(same)
    }),
  )
})

const B32 = Buffer.alloc(32, 1).toString("base64url")
const of = (...generations: unknown[]) => ({
  era: 0,
  generations: generations.map((generation) => ({ generation, publicValue: B32, nonce: B32 })),
})

test.each([
  ["nothing", undefined],
  ["a list", []],
  ["no generation", of()],
  ["five generations", of(1, 2, 3, 4, 5)],
  ["generation 0", of(0)],
  ["a generation twice", of(1, 1)],
  ["generations going down", of(2, 1)],
  ["a generation beyond what numbers hold", of(2 ** 53)],
  ["an era below 0", { ...of(1), era: -1 }],
  ["an era beyond 32 bits", { ...of(1), era: 2 ** 32 }],
  ["a short value", { era: 0, generations: [{ generation: 1, publicValue: "AA", nonce: B32 }] }],
  ["no nonce", { era: 0, generations: [{ generation: 1, publicValue: B32 }] }],
])("%s is refused", (_, body) => {
  expect(() => parseAnnouncement(body)).toThrow(PeerRefusedError)
})

test("one to four generations are taken", () => {
  expect(parseAnnouncement(of(1)).generations).toHaveLength(1)
  expect(parseAnnouncement(of(1, 2, 8, 9)).generations).toHaveLength(4)
})

test("anything is taken or refused", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      try {
        parseAnnouncement(body)
      } catch (error) {
        expect(error).toBeInstanceOf(PeerRefusedError)
      }
    }),
  )
})
