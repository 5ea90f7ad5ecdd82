/** Damaged answers: they decode or they fail as decode errors, nothing else ever. */

import { expect, test } from "bun:test"
import fc from "fast-check"
import dumps from "../../test/fixtures/netlink/dumps.json" with { type: "json" }
import refusals from "../../test/fixtures/netlink/refusals.json" with { type: "json" }
import { LariatError } from "../errors.ts"
import { decodeAddress } from "./addr_codec.ts"
import { parseAck } from "./error.ts"
import { type Message, parseMessages } from "./message.ts"
import { decodeLink } from "./route/link_codec.ts"
import { decodeNeigh } from "./route/neigh.ts"
import { decodeRoute } from "./route/route_codec.ts"

const RUNS = 10_000
const DECODERS: readonly ((message: Message) => unknown)[] = [
  decodeLink,
  decodeAddress,
  decodeRoute,
  decodeNeigh,
  parseAck,
]

const datagrams = [
  ...dumps.flatMap(({ received }) => received),
  ...refusals.map(({ received }) => received ?? ""),
].map((hex) => Uint8Array.fromHex(hex))

/** Each recorded message alone, with its header. */
const singles = datagrams
  .flatMap(parseMessages)
  .map(
    ({ payload }) => new Uint8Array(payload.buffer, payload.byteOffset - 16, 16 + payload.length),
  )

interface Change {
  readonly at: number
  readonly bytes: Uint8Array
  readonly cut: boolean
}

/** Bytes overwritten (lengths and types among them), or the end cut off; evenly spread. */
const change: fc.Arbitrary<Change> = fc.noBias(
  fc.record({
    at: fc.nat(0xffff),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
    cut: fc.nat(9).map((n) => n === 0),
  }),
)

function damaged(original: Uint8Array, changes: readonly Change[]): Uint8Array {
  let bytes = original.slice()
  for (const { at, bytes: put, cut } of changes) {
    const offset = at % Math.max(1, bytes.byteLength)
    if (cut) bytes = bytes.subarray(0, offset)
    else bytes.set(put.subarray(0, bytes.byteLength - offset), offset)
  }
  return bytes
}

function decodeOrRefuse(decode: () => void): void {
  try {
    decode()
  } catch (error) {
    if (!(error instanceof LariatError && error.code === "decode")) throw error
  }
}

test(`${RUNS} damaged datagrams never crash, never loop`, () => {
  let decoded = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...singles),
      fc.array(change, { minLength: 1, maxLength: 5 }),
      (original, changes) => {
        const bytes = damaged(original, changes)
        decodeOrRefuse(() => parseMessages(bytes))
        // A wrong length in the header stops there: repair it, to reach what is behind it.
        const whole = new Uint8Array([...bytes, ...new Uint8Array(Math.max(0, 16 - bytes.length))])
        new DataView(whole.buffer).setUint32(0, whole.byteLength, true)
        decodeOrRefuse(() => {
          for (const message of parseMessages(whole)) {
            for (const decoder of DECODERS) {
              decodeOrRefuse(() => {
                decoder(message)
                decoded++
              })
            }
          }
        })
      },
    ),
    { numRuns: RUNS },
  )
  // Else the damage would stop everything at the first header and test nothing behind it.
  expect(decoded).toBeGreaterThan(RUNS)
})

test("each message cut at every byte", () => {
  for (const message of datagrams.flatMap(parseMessages)) {
    for (let end = 0; end < message.payload.byteLength; end += 1) {
      const cut = { ...message, payload: message.payload.subarray(0, end) }
      for (const decoder of DECODERS) decodeOrRefuse(() => decoder(cut))
    }
  }
  expect(datagrams.length).toBeGreaterThan(10)
})
