import { expect, test } from "bun:test"
import { PairKeys, type PairSide, publicValueOf } from "./key_agreement.ts"
import { KeyedPair } from "./keyed_pair.ts"

const privateValue = new Uint8Array(32).fill(1)
const sideOf = (hostId: string, number: number): PairSide => ({
  ...{ hostId, number },
  generation: { generation: 3, publicValue: publicValueOf(privateValue), nonce: privateValue },
})
const make = () =>
  new KeyedPair(
    3,
    3,
    new PairKeys(sideOf("a", 1), privateValue, sideOf("b", 2), new Uint8Array(32)),
  )
const first = { number: 0, cipher: "aes256gcm16" } as const
const second = { number: 1, cipher: "aes128-sha1" } as const

test("a network's keys are made once, and not again after it was taken away or changed", () => {
  const pair = make()
  expect(pair.setNetworks([first])).toBe(true)
  const key = pair.saPair(0, true)?.inbound.key
  expect(pair.setNetworks([first, second])).toBe(true)
  expect(pair.saPair(0, true)?.inbound.key).toBe(key ?? new Uint8Array())
  expect(pair.saPair(1, false)).toMatchObject({ send: false })
  expect(pair.setNetworks([second])).toBe(true)
  expect(key?.every((byte) => byte === 0)).toBe(true)
  expect(pair.setNetworks([first, second])).toBe(false)
  expect(pair.saPair(0, true)).toBeUndefined()
  expect(pair.setNetworks([{ number: 1, cipher: "aes128gcm16" }])).toBe(false)
  expect(pair.saPair(1, true)).toBeUndefined()
})

test("two pairs collide when both generations are multiples of 64 apart", () => {
  const pair = make()
  expect(pair.collides(3, 3)).toBe(true)
  expect(pair.collides(67, 3)).toBe(true)
  expect(pair.collides(67, 131)).toBe(true)
  expect(pair.collides(67, 4)).toBe(false)
  expect(pair.collides(35, 3)).toBe(false)
})

test("a wiped pair has no keys and overwrote those it gave", () => {
  const pair = make()
  pair.setNetworks([first])
  const given = pair.saPair(0, true)
  pair.wipe()
  expect(given?.outbound.key.every((byte) => byte === 0)).toBe(true)
  expect(pair.saPair(0, true)).toBeUndefined()
})
