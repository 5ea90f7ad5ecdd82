import { describe, expect, test } from "bun:test"
import { addressOf, familyIfAddress, liesIn, ownFamily } from "./underlay_address.ts"

describe("addresses outside the network", () => {
  test("the first of a family, canonical; what is no address is passed over", () => {
    const addresses = ["nonsense", "2001:db8:0::7", "192.0.2.1", "192.0.2.2"]
    expect(addressOf(addresses, 4)).toBe("192.0.2.1")
    expect(addressOf(addresses, 6)).toBe("2001:db8::7")
    expect(addressOf(["nonsense"], 4)).toBeUndefined()
  })

  test("IPv4 is preferred whatever the order, so that two hosts choose the same", () => {
    expect(ownFamily(["2001:db8::1", "192.0.2.1"])).toBe(4)
    expect(ownFamily(["2001:db8::1"])).toBe(6)
    expect(ownFamily([])).toBeUndefined()
  })

  test("the family of what is an address", () => {
    expect(["::1", "1.2.3.4", "1.2.3"].map(familyIfAddress)).toEqual([6, 4, undefined])
  })

  test("lies in a prefix of its own family", () => {
    expect(liesIn("10.42.7.1", ["fd00::/8", "10.42.0.0/16"])).toBe(true)
    expect(liesIn("10.43.7.1", ["fd00::/8", "10.42.0.0/16"])).toBe(false)
  })
})
