import { describe, expect, test } from "bun:test"
import { parseMessages } from "../message.ts"
import * as n from "./constants.ts"
import { deleteElements, newElements, parseElements } from "./element.ts"
import { parseNft } from "./message.ts"
import {
  bytesKey,
  IFNAME_KEY,
  IPV4_KEY,
  IPV6_KEY,
  keyLength,
  keyType,
  newSet,
  PORT_KEY,
  SOURCE4,
  SOURCE6,
  setFlags,
  UDP_PORT,
} from "./set.ts"

const REF = { family: n.NFPROTO_INET, table: "t" }
const single = { name: "s", key: [IPV4_KEY] }
const pair = { name: "s", key: [IPV6_KEY, IFNAME_KEY] }

describe("a set", () => {
  test("of one field", () => {
    expect(keyLength(single)).toBe(4)
    expect(keyType(single)).toBe(7)
    expect(setFlags({ ...single, interval: true })).toBe(n.NFT_SET_INTERVAL)
  })

  test("of a concatenation has the field types in steps of 6 bits", () => {
    expect(keyLength(pair)).toBe(32)
    expect(keyType(pair)).toBe((8 << 6) | 41)
    expect(setFlags(pair)).toBe(0)
    expect(setFlags({ ...pair, interval: true })).toBe(n.NFT_SET_INTERVAL | n.NFT_SET_CONCAT)
  })

  test("of short fields pads each to 4 bytes in a concatenation only", () => {
    const port = { type: 13, length: 2, order: n.BYTEORDER_BIG_ENDIAN }
    expect(keyLength({ name: "s", key: [port] })).toBe(2)
    expect(keyLength({ name: "s", key: [port, IPV4_KEY] })).toBe(8)
  })

  /** User data as nft 1.0.6 gives it to sets of `typeof ip saddr . @th,336,32` and so on. */
  test.each([
    [
      [{ ...IPV4_KEY, place: SOURCE4 }, bytesKey(42, 4)],
      "000400000000034600040d000000013e0014000407000000010c00040c00000001040b0000000126000407000000011e000400000000010400000000020403000000030450010000040420000000",
    ],
    [
      [{ ...IPV6_KEY, place: SOURCE6 }, bytesKey(38, 16)],
      "000400000000034600040d000000013e0014000407000000010c00040d0000000104080000000126000407000000011e000400000000010400000000020403000000030430010000040480000000",
    ],
    [
      [{ ...PORT_KEY, place: UDP_PORT }, bytesKey(12, 3)],
      "000400000000034600040d000000013e0014000407000000010c0004060000000104020000000126000407000000011e000400000000010400000000020403000000030460000000040418000000",
    ],
  ] as const)("of bytes that have no name says where they are", (key, userdata) => {
    const [message] = parseMessages(newSet(REF, { name: "s", key }).finish(0).slice())
    if (message === undefined) throw new Error("there is no message")
    expect(parseNft(message).attributes.get(n.NFTA_SET_USERDATA)?.toHex()).toBe(userdata)
  })

  test("that gives values is a map", () => {
    expect(setFlags({ ...single, data: IFNAME_KEY })).toBe(n.NFT_SET_MAP)
  })
})

describe("elements", () => {
  const many = Array.from({ length: 1234 }, (_, i) => ({
    key: Uint8Array.of(10, 42, i >> 8, i & 0xff),
  }))

  test("that one message cannot hold come in more", () => {
    const messages = newElements(REF, "s", many)
    expect(messages.length).toBe(3)
    const read = messages
      .flatMap((message) => parseMessages(message.finish(0).slice()))
      .flatMap(parseElements)
    expect(read.map(({ key }) => key.toHex())).toEqual(many.map(({ key }) => key.toHex()))
  })

  test("of the widest kind fill no attribute beyond 64 kB", () => {
    const wide = Array.from({ length: 500 }, () => ({
      key: new Uint8Array(32),
      keyEnd: new Uint8Array(32),
      data: new Uint8Array(16),
    }))
    const [message] = newElements(REF, "s", wide)
    expect(message?.finish(0).length).toBeLessThan(0xffff)
  })

  test("that are none need no message", () => {
    expect(newElements(REF, "s", [])).toEqual([])
    expect(deleteElements(REF, "s", [])).toEqual([])
  })

  test("name their set in errors", () => {
    expect(newElements(REF, "s", many)[0]?.operation).toBe("add elements to set s of table inet t")
  })
})
