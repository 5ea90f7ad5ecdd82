import { describe, expect, test } from "bun:test"
import { formatAddress, parseAddress } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { Pool } from "./pool.ts"

function pool(cidr: string, gateway: string, start: string, end: string): Pool {
  return new Pool({ cidr, gateway, start, end })
}

function takeAll(from: Pool): string[] {
  const all: string[] = []
  for (let offset = from.next(); offset !== undefined; offset = from.next()) {
    all.push(formatAddress(from.range.at(offset)))
  }
  return all
}

function refusal(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof LariatError) return `${error.code}: ${error.message}`
    throw error
  }
  return "nothing thrown"
}

describe("Pool", () => {
  test("never gives the network, broadcast and gateway address", () => {
    const small = pool("10.0.0.0/29", "10.0.0.3", "10.0.0.0", "10.0.0.7")
    expect(small.size).toBe(5)
    expect(takeAll(small)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"])
    expect(small.reservedBecause(0)).toBe("it is the network address")
    expect(small.reservedBecause(3)).toBe("it is the gateway")
    expect(small.reservedBecause(7)).toBe("it is the broadcast address")
  })

  test("knows the small prefixes", () => {
    expect(takeAll(pool("10.0.0.8/30", "10.0.0.9", "10.0.0.8", "10.0.0.11"))).toEqual(["10.0.0.10"])
    // RFC 3021: a /31 has neither a network nor a broadcast address.
    expect(takeAll(pool("10.0.0.8/31", "10.0.0.8", "10.0.0.8", "10.0.0.9"))).toEqual(["10.0.0.9"])
    expect(takeAll(pool("10.0.0.8/32", "169.254.1.1", "10.0.0.8", "10.0.0.8"))).toEqual([
      "10.0.0.8",
    ])
    expect(takeAll(pool("fd00::8/127", "fd00::8", "fd00::8", "fd00::9"))).toEqual(["fd00::9"])
    expect(takeAll(pool("fd00::8/128", "fe80::1", "fd00::8", "fd00::8"))).toEqual(["fd00::8"])
  })

  test("refuses a pool without an address to give", () => {
    for (const [cidr, gateway, start, end] of [
      ["10.0.0.8/32", "10.0.0.8", "10.0.0.8", "10.0.0.8"],
      ["10.0.0.8/30", "10.0.0.9", "10.0.0.8", "10.0.0.9"],
      ["fd00::/126", "fd00::1", "fd00::", "fd00::1"],
    ] as const) {
      expect(refusal(() => pool(cidr, gateway, start, end))).toStartWith(
        `config-invalid: Cannot use the subnet ${cidr}: no address is left to give`,
      )
    }
  })

  test("refuses texts that contradict each other", () => {
    for (const [cidr, gateway, start, end, why] of [
      ["10.0.0.0/24", "10.0.0.1", "10.0.1.2", "10.0.0.9", "the start 10.0.1.2 is not in it"],
      ["10.0.0.0/24", "10.0.0.1", "10.0.0.2", "10.0.1.9", "the end 10.0.1.9 is not in it"],
      ["10.0.0.0/24", "10.0.0.1", "10.0.0.9", "10.0.0.2", "it ends before it starts"],
      ["10.0.0.0/24", "fd00::1", "10.0.0.2", "10.0.0.9", "another IP version"],
    ] as const) {
      const message = refusal(() => pool(cidr, gateway, start, end))
      expect(message).toStartWith("config-invalid")
      expect(message).toContain(why)
    }
  })

  test("an IPv6 pool reserves the subnet-router address only", () => {
    const six = pool("fd00:42::/64", "fd00:42::1", "fd00:42::", "fd00:42::3")
    expect(takeAll(six)).toEqual(["fd00:42::2", "fd00:42::3"])
  })

  test("counts what is reserved, given, quarantined and free", () => {
    const some = pool("10.0.0.0/28", "10.0.0.1", "10.0.0.1", "10.0.0.14")
    const first = some.next()
    some.next()
    expect(first).toBe(1)
    expect(some.release(1, 50)).toBe(true)
    expect(some.release(1, 60)).toBe(false)
    expect(some.reserve(parseAddress("10.0.0.9"), "test")).toBe(true)
    expect(some.stats()).toEqual({
      subnet: "10.0.0.0/28",
      family: 4,
      size: 12,
      used: 1,
      quarantined: 1,
      free: 10,
    })
    some.wake(49)
    expect(some.stateOf(1)).toBe("quarantined")
    some.wake(50)
    expect(some.stateOf(1)).toBe("free")
    expect(some.stateOf(0)).toBe("reserved")
  })

  test("reserving takes an address out of its rest, but not from its owner", () => {
    const some = pool("10.0.0.0/29", "10.0.0.1", "10.0.0.2", "10.0.0.4")
    takeAll(some)
    some.release(0, 50)
    expect(some.reserve(parseAddress("10.0.0.2"), "test")).toBe(true)
    expect(some.reserve(parseAddress("10.0.0.3"), "test")).toBe(false)
    some.wake(1000)
    expect(some.next()).toBeUndefined()
    expect(some.stats()).toMatchObject({ size: 2, used: 2, quarantined: 0, free: 0 })
  })

  test("canonical texts come out", () => {
    const some = pool("10.0.0.77/24", "10.0.0.1", "10.0.0.2", "10.0.0.9")
    expect(some.cidr).toBe("10.0.0.0/24")
    expect(pool("FD00:0::/64", "FD00::0001", "fd00::2", "fd00::9").gateway).toBe("fd00::1")
  })
})
