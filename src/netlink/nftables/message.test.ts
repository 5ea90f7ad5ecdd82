import { describe, expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { type Message, parseMessages } from "../message.ts"
import { batch, getGeneration, nftMessage, parseGeneration, parseNft } from "./message.ts"

function sent(message: ReturnType<typeof nftMessage>): Message {
  const [first] = parseMessages(message.finish(7).slice())
  if (first === undefined) throw new Error("nothing was written")
  return first
}

describe("a batch", () => {
  test("that must meet a generation names it in its first message", () => {
    const [begin, end] = batch([], { generation: 0x01020304 }).map(sent)
    // nfgenmsg: family 0, version 0, resource id 10 (nftables); then NFNL_BATCH_GENID.
    expect(begin?.payload.toHex()).toBe("0000000a0800010001020304")
    expect(begin?.type).toBe(0x10)
    expect(end?.payload.toHex()).toBe("0000000a")
    expect(end?.type).toBe(0x11)
  })

  test("asks for no acknowledgement of what encloses it", () => {
    const inner = getGeneration()
    expect(batch([inner]).map(({ ack }) => ack)).toEqual([false, true, false])
  })

  test("says what it is for where it is refused as a whole", () => {
    const [begin] = batch([], { operation: "make a wall" })
    expect(begin?.operation).toBe("make a wall")
  })
})

describe("a message", () => {
  const generation = nftMessage(15, 0, { operation: "test" }).attrU32be(1, 42)

  test("tells the generation", () => {
    expect(parseGeneration(sent(generation))).toBe(42)
  })

  test.each([
    ["of another subsystem", { ...sent(generation), type: 0x010f }],
    ["without a family", { ...sent(generation), payload: new Uint8Array(3) }],
  ])("%s is refused", (_, message) => {
    expect(() => parseNft(message)).toThrow(LariatError)
  })

  test("without a generation is refused", () => {
    expect(() => parseGeneration(sent(getGeneration()))).toThrow("it has no generation")
  })
})
