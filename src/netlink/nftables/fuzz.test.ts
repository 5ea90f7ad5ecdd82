/** Damaged answers of nftables: they decode or they fail as decode errors, nothing else ever. */

import { expect, test } from "bun:test"
import fc from "fast-check"
import list from "../../../test/fixtures/nftables/list.json" with { type: "json" }
import ruleset from "../../../test/fixtures/nftables/ruleset.json" with { type: "json" }
import { LariatError } from "../../errors.ts"
import { type Message, parseMessages } from "../message.ts"
import { parseElements } from "./element.ts"
import { parseGeneration, parseNft } from "./message.ts"
import { parseSet } from "./set.ts"
import { parseChain, parseRule, parseTable } from "./table.ts"

const RUNS = 10_000
const DECODERS: readonly ((message: Message) => unknown)[] = [
  parseNft,
  parseGeneration,
  parseTable,
  parseChain,
  parseRule,
  parseSet,
  parseElements,
]

const messages = [...list.received, ...ruleset.sent].flatMap((hex) =>
  parseMessages(Uint8Array.fromHex(hex)),
)

/** How many decoders read the message; any error but a decode error goes on. */
function decoded(message: Message): number {
  return DECODERS.filter((decode) => {
    try {
      decode(message)
      return true
    } catch (error) {
      if (error instanceof LariatError && error.code === "decode") return false
      throw error
    }
  }).length
}

test(`${RUNS} damaged messages never crash, never loop`, () => {
  const change = fc.noBias(fc.tuple(fc.nat(0xffff), fc.uint8Array({ minLength: 1, maxLength: 4 })))
  let read = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...messages),
      fc.array(change, { minLength: 1, maxLength: 5 }),
      (message, changes) => {
        const payload = message.payload.slice()
        for (const [at, bytes] of changes) {
          const offset = at % Math.max(1, payload.byteLength)
          payload.set(bytes.subarray(0, payload.byteLength - offset), offset)
        }
        read += decoded({ ...message, payload })
      },
    ),
    { numRuns: RUNS },
  )
  // Else the damage would stop everything at the first attribute and test nothing behind it.
  expect(read).toBeGreaterThan(RUNS / 2)
})

test("each message cut at every byte", () => {
  let read = 0
  for (const message of messages) {
    for (let end = 0; end < message.payload.byteLength; end++) {
      read += decoded({ ...message, payload: message.payload.subarray(0, end) })
    }
  }
  // Cuts between attributes leave messages that can be read.
  expect(read).toBeGreaterThan(messages.length)
})
