import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { formatAddress, parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { AddressRange } from "./address_range.ts"
import { Allocator } from "./allocator.ts"
import { BlockPlan } from "./blocks.ts"
import { Pool, type PoolSpec } from "./pool.ts"

const SIXTEEN: PoolSpec = {
  cidr: "10.42.0.0/16",
  gateway: "10.42.0.1",
  start: "10.42.0.2",
  end: "10.42.255.250",
}

function subnet(cidr: string, gateway: string, start: string, end: string): PoolSpec {
  return { cidr, gateway, start, end }
}

describe("a subnet is cut", () => {
  test.each([
    [SIXTEEN, 24, 256],
    [subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.2", "10.0.0.254"), 28, 16],
    [subnet("10.0.0.0/8", "10.0.0.1", "10.0.0.2", "10.255.255.254"), 16, 256],
    [subnet("10.0.0.0/29", "10.0.0.1", "10.0.0.2", "10.0.0.6"), 29, 1],
    [subnet("fd00::/64", "fd00::1", "fd00::2", "fd00::ff:ffff"), 112, 256],
    [subnet("10.42.0.0/16", "10.42.0.1", "10.42.16.0", "10.42.31.255"), 28, 256],
  ])("%j into /%d, %d of them", (spec, length, count) => {
    const plan = new BlockPlan(spec)
    expect([plan.length, plan.count]).toEqual([length, count])
  })

  test("the first and the last block end where the range does", () => {
    const plan = new BlockPlan(SIXTEEN)
    expect(plan.at(0)).toEqual({ ...SIXTEEN, block: "10.42.0.0/24", end: "10.42.0.254" })
    expect(plan.at(255)).toMatchObject({ start: "10.42.255.1", end: "10.42.255.250" })
    expect(plan.at(256)).toBeUndefined()
  })

  test("a block without usable address is none", () => {
    const spec = subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.0", "10.0.0.255")
    const plan = new BlockPlan(spec, { length: 31 })
    expect(plan.at(0)).toBeUndefined()
    expect(plan.at(1)).toMatchObject({ block: "10.0.0.2/31" })
  })

  test.each([
    [256, 112, 256],
    [5000, 117, 8192],
    [65_536, 120, 65_536],
  ])("for %d hosts into /%d of IPv6, %d of them", (atLeast, length, count) => {
    const spec = subnet("fd00::/64", "fd00::1", "fd00::2", "fd00::ff:ffff")
    const plan = new BlockPlan(spec, { atLeast })
    expect([plan.length, plan.count]).toEqual([length, count])
  })

  test("blocks that do not fit are refused", () => {
    expect(() => new BlockPlan(SIXTEEN, { length: 12 })).toThrow("larger than it")
    const eight = subnet("10.0.0.0/8", "10.0.0.1", "10.0.0.2", "10.255.255.254")
    expect(() => new BlockPlan(eight, { length: 30 })).toThrow("65536 are the most")
  })
})

test("every address that may be given is of one block alone, but those at the edges, and blocks are what they are called", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 20, max: 28 }),
      fc.nat(4000),
      fc.nat(4000),
      fc.integer({ min: 0, max: 6 }),
      (length, a, b, extra) => {
        const size = 2 ** (32 - length)
        const whole = new AddressRange(parseAddress("10.7.0.0"), parseAddress("10.7.255.255"))
        const [low = 0, high = 0] = [a % size, b % size].sort((x, y) => x - y)
        const at = (offset: number) => formatAddress(whole.at(offset))
        const spec = subnet(`10.7.0.0/${length}`, at(1), at(low), at(high))
        const plan = new BlockPlan(spec, { length: Math.min(32, length + extra) })
        const seen = new Map<string, string>()
        for (let index = 0; index < plan.count; index++) {
          const block = plan.at(index)
          if (block === undefined) continue
          expect(plan.named(block.block)).toEqual(block)
          const range = new AddressRange(parseAddress(block.start), parseAddress(block.end))
          for (let offset = 0; offset < range.size; offset++) {
            const address = range.at(offset)
            expect(prefixContains(parsePrefix(block.block), address)).toBe(true)
            expect(plan.containing(address)).toEqual(block)
            expect(seen.has(formatAddress(address))).toBe(false)
            seen.set(formatAddress(address), block.block)
          }
          // The pool of a block that is one has an address to give.
          const pool = new Pool(block)
          expect(pool.size).toBeGreaterThan(0)
          pool.close()
        }
        const blockSize = 2 ** (32 - Math.min(32, length + extra))
        const edge = (offset: number) =>
          blockSize >= 16 && [0, blockSize - 1].includes(offset % blockSize)
        const lost = (offset: number) => offset === 0 || offset === 1 || offset === size - 1
        for (let offset = low; offset <= high; offset++) {
          if (edge(offset)) expect(seen.has(at(offset))).toBe(false)
          else if (!lost(offset)) expect(seen.has(at(offset))).toBe(true)
        }
      },
    ),
    { numRuns: 60 },
  )
})

describe("an allocator over blocks", () => {
  const plan = new BlockPlan(SIXTEEN)
  const block = (index: number) => {
    const spec = plan.at(index)
    if (spec === undefined) throw new Error("no such block")
    return spec
  }
  const make = () =>
    new Allocator({ network: "n", subnets: [], families: [4], restMs: 10, clock: () => 0 })

  test("gives nothing while it holds none, and says so", () => {
    const allocator = make()
    expect(() => allocator.allocate()).toThrow("this host holds no block of it")
  })

  test("gives from its blocks with the subnet's prefix and gateway, then from the next", () => {
    const allocator = make()
    allocator.addPool(block(7))
    expect(allocator.allocate()).toEqual([
      { family: 4, address: "10.42.7.1", prefix: 16, gateway: "10.42.0.1", subnet: "10.42.0.0/16" },
    ])
    allocator.addPool(block(9))
    for (let count = 1; count < 254; count++) allocator.allocate()
    expect(allocator.allocate()[0]?.address).toBe("10.42.9.1")
    expect(allocator.stats().map((one) => [one.block, one.used])).toEqual([
      ["10.42.7.0/24", 254],
      ["10.42.9.0/24", 1],
    ])
  })

  test("has a cursor for each block, which outlives a restart", () => {
    const allocator = make()
    allocator.addPool(block(7))
    allocator.addPool(block(9))
    allocator.allocate()
    const cursor = allocator.cursor()
    expect(cursor).toEqual({ "10.42.7.0/24": "10.42.7.1" })
    const again = make()
    again.addPool(block(7))
    again.restore([], [], cursor)
    expect(again.allocate()[0]?.address).toBe("10.42.7.2")
  })

  test("goes on where a host that was alone before had come to", () => {
    const allocator = make()
    allocator.addPool(block(7))
    allocator.addPool(block(9))
    allocator.restore([], [], { "10.42.0.0/16": "10.42.7.200" })
    expect(allocator.allocate()[0]?.address).toBe("10.42.7.201")
  })

  test("never has an address twice", () => {
    const allocator = make()
    allocator.addPool(block(7))
    expect(() => allocator.addPool(block(7))).toThrow("shares addresses with 10.42.7.0/24")
    expect(() => allocator.addPool(SIXTEEN)).toThrow("10.42.0.0/16")
    expect(allocator.stats()).toHaveLength(1)
  })

  test("never gives what was excluded before its block came", () => {
    const allocator = make()
    allocator.exclude("10.42.7.1", "the bridge has it")
    allocator.addPool(block(7))
    expect(allocator.allocate()[0]?.address).toBe("10.42.7.2")
    expect(() => allocator.allocate({ requested: ["10.42.7.1"] })).toThrow("the bridge has it")
  })

  test("an address of another block is refused for that reason", () => {
    const allocator = make()
    allocator.addPool(block(7))
    const ask = (address: string) => () => allocator.allocate({ requested: [address] })
    expect(ask("10.42.8.1")).toThrow("it is in no block that this host holds")
    expect(ask("10.43.8.1")).toThrow("it is not one of the network's addresses")
  })

  test("gives nothing more from a block that is another host's, and keeps what is given", () => {
    const allocator = make()
    allocator.addPool(block(7))
    const [given] = allocator.allocate()
    allocator.retirePool("10.42.7.0/24")
    expect(() => allocator.allocate()).toThrow("no address is left")
    expect(() => allocator.allocate({ requested: ["10.42.7.9"] })).toThrow("another host's")
    expect(allocator.stats()).toMatchObject([{ size: 1, used: 1, free: 0 }])
    allocator.addPool({ ...block(8), retired: true })
    allocator.addPool(block(9))
    expect(allocator.allocate()[0]?.address).toBe("10.42.9.1")
    const addresses = ["10.42.7.1", "10.42.8.1", "10.42.9.1", "10.42.10.1"]
    expect(addresses.map((one) => allocator.isRetired(one))).toEqual([true, true, false, false])
    allocator.release(given?.address ?? "")
    expect(allocator.removePool("10.42.7.0/24")).toBe(true)
  })

  test("gives a block up only when nobody has an address of it", () => {
    const allocator = make()
    allocator.addPool(block(7))
    const [given] = allocator.allocate()
    expect(allocator.removePool("10.42.7.0/24")).toBe(false)
    allocator.release(given?.address ?? "", { used: false })
    expect(allocator.removePool("10.42.7.0/24")).toBe(true)
    expect(allocator.removePool("10.42.7.0/24")).toBe(false)
    expect(() => allocator.allocate()).toThrow("no block")
  })
})
