import { expect, test } from "bun:test"
import { guardContents } from "./guarded_port.ts"

const hex = (set: string, contents: ReturnType<typeof guardContents>): string[] =>
  (contents.get(set) ?? []).map(({ key }) => key.toHex())

test("each field of a key begins at a multiple of four bytes, and the number is in host order", () => {
  const contents = guardContents([
    { index: 0x0102, mac: "02:00:01:0a:0b:0c", addresses: ["10.42.0.2", "fd42::2"] },
  ])
  const port = "02010000"
  const mac = "0200010a0b0c0000"
  expect(hex("ports", contents)).toEqual([port])
  expect(hex("macs", contents)).toEqual([port + mac])
  expect(hex("own4", contents)).toEqual([`${port}${mac}0a2a0002`])
  expect(hex("own6", contents)).toEqual([
    `${port}${mac}fd420000000000000000000000000002`,
    // RFC 4291 appendix A: the bit inverted, ff:fe in the middle.
    `${port}${mac}fe80000000000000000001fffe0a0b0c`,
  ])
})

test("a port without an IPv6 address has no link-local one", () => {
  const contents = guardContents([{ index: 3, mac: "02:00:00:00:00:01", addresses: ["10.42.0.2"] }])
  expect(hex("own6", contents)).toEqual([])
})
