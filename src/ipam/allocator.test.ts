import { describe, expect, spyOn, test } from "bun:test"
import { Bitmap } from "../core/bitmap.ts"
import { LariatError } from "../errors.ts"
import { type AllocateOptions, Allocator, type AllocatorOptions } from "./allocator.ts"
import type { PoolSpec } from "./pool.ts"

const REST_MS = 1000

const v4: PoolSpec = {
  cidr: "10.42.0.0/29",
  gateway: "10.42.0.1",
  start: "10.42.0.2",
  end: "10.42.0.6",
}
const v4second: PoolSpec = {
  cidr: "10.43.0.0/30",
  gateway: "10.43.0.1",
  start: "10.43.0.1",
  end: "10.43.0.2",
}
const v6: PoolSpec = {
  cidr: "fd00:42::/64",
  gateway: "fd00:42::1",
  start: "fd00:42::2",
  end: "fd00:42::ffff:ffff:ffff",
}

/** An allocator with a clock that the test turns. */
function setup(subnets: readonly PoolSpec[], more: Partial<AllocatorOptions> = {}) {
  const time = { now: 0 }
  const allocator = new Allocator({
    network: "ipsec",
    subnets,
    restMs: REST_MS,
    clock: () => time.now,
    ...more,
  })
  const give = (options?: AllocateOptions): string[] =>
    allocator.allocate(options).map((given) => given.address)
  return { allocator, time, give }
}

function refusal(action: () => unknown): LariatError {
  try {
    action()
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
  throw new Error("nothing was refused")
}

describe("allocating", () => {
  test("gives an address of every family with what is needed to configure it", () => {
    const { allocator } = setup([v6, v4])
    expect(allocator.families).toEqual([4, 6])
    expect(allocator.allocate()).toEqual([
      { family: 4, address: "10.42.0.2", prefix: 29, gateway: "10.42.0.1", subnet: "10.42.0.0/29" },
      {
        family: 6,
        address: "fd00:42::2",
        prefix: 64,
        gateway: "fd00:42::1",
        subnet: "fd00:42::/64",
      },
    ])
  })

  test("goes on after the last address, also over released ones", () => {
    const { allocator, time, give } = setup([v4])
    expect(give()).toEqual(["10.42.0.2"])
    allocator.release("10.42.0.2")
    time.now += REST_MS
    expect(allocator.stateOf("10.42.0.2")).toBe("free")
    expect([give(), give(), give(), give(), give()].flat()).toEqual([
      "10.42.0.3",
      "10.42.0.4",
      "10.42.0.5",
      "10.42.0.6",
      "10.42.0.2",
    ])
  })

  test("tries the subnets of a family in order", () => {
    const { give } = setup([v4second, v4])
    expect([give(), give()].flat()).toEqual(["10.43.0.2", "10.42.0.2"])
  })

  test("gives every address of a /16 once, and then says that none is left", () => {
    const { allocator, give } = setup([
      { cidr: "10.42.0.0/16", gateway: "10.42.0.1", start: "10.42.0.1", end: "10.42.255.250" },
    ])
    const given = new Set<string>()
    for (let i = 0; i < 65_529; i++) for (const address of give()) given.add(address)
    expect(given.size).toBe(65_529)
    expect(given.has("10.42.0.1")).toBe(false)
    expect(refusal(() => give()).message).toContain(
      "10.42.0.0/16 of 65529: 65529 used, 0 quarantined",
    )
    for (const address of given) allocator.release(address)
    expect(allocator.stats()[0]).toMatchObject({ used: 0, quarantined: 65_529, free: 0 })
    expect(give()).toEqual(["10.42.0.2"])
    allocator.close()
  })

  test("a full family keeps the other one from being given", () => {
    const { allocator, give } = setup([v4second, v6])
    give()
    const error = refusal(() => give())
    expect(error.code).toBe("pool-exhausted")
    expect(error.message).toBe(
      "Cannot give an IPv4 address of network ipsec: no address is left (10.43.0.0/30 of 1: 1 used, 0 quarantined)",
    )
    expect(error.hint).toContain("end_address")
    expect(allocator.stats().map(({ used }) => used)).toEqual([1, 1])
  })
})

test("what will be given next can be looked at, and is given then", () => {
  const { allocator, give } = setup([v4, v4second])
  give({ requested: ["10.42.0.3"] })
  const next = ["10.42.0.2", "10.42.0.4"]
  expect(allocator.upcoming(2)).toEqual([...next, "10.43.0.2"])
  expect(allocator.upcoming(2)).toEqual([...next, "10.43.0.2"])
  expect([...give(), ...give()]).toEqual(next)
  expect(allocator.stats()[0]).toMatchObject({ used: 3, free: 2 })
})

describe("quarantine", () => {
  test("keeps an address for its time, then gives it back", () => {
    const { allocator, time, give } = setup([v4])
    give()
    time.now = 5
    expect(allocator.release("10.42.0.2")).toEqual({ address: "10.42.0.2", until: 5 + REST_MS })
    time.now += REST_MS - 1
    expect(allocator.stateOf("10.42.0.2")).toBe("quarantined")
    expect(allocator.stats()[0]).toMatchObject({ size: 5, used: 0, quarantined: 1, free: 4 })
    time.now += 1
    expect(allocator.stats()[0]).toMatchObject({ size: 5, used: 0, quarantined: 0, free: 5 })
  })

  test("ends early, longest rest first, when nothing else is left", () => {
    const { allocator, time, give } = setup([v4, v4second])
    for (let i = 0; i < 6; i++) give()
    for (const address of ["10.42.0.5", "10.43.0.2", "10.42.0.3"]) {
      allocator.release(address)
      time.now++
    }
    expect([give(), give(), give()].flat()).toEqual(["10.42.0.5", "10.43.0.2", "10.42.0.3"])
    expect(refusal(() => give()).code).toBe("pool-exhausted")
  })

  test("is not for an address that nobody had yet", () => {
    const { allocator, give } = setup([v4])
    give()
    expect(allocator.release("10.42.0.2", { used: false })).toBeUndefined()
    expect(allocator.stateOf("10.42.0.2")).toBe("free")
  })

  test("releasing twice, or what is not ours, changes nothing", () => {
    const { allocator, give } = setup([v4])
    give()
    allocator.release("10.42.0.2")
    for (const address of ["10.42.0.2", "10.42.0.3", "10.42.0.1", "192.0.2.1", "fd00::1"]) {
      expect(allocator.release(address)).toBeUndefined()
      expect(allocator.release(address, { used: false })).toBeUndefined()
    }
    expect(allocator.stats()[0]).toMatchObject({ used: 0, quarantined: 1, free: 4 })
  })
})

describe("requested addresses", () => {
  test("are given as asked, the other family freely, and do not move the cursor", () => {
    const { allocator, give } = setup([v4, v6])
    expect(give({ requested: ["10.42.0.4"] })).toEqual(["10.42.0.4", "fd00:42::2"])
    expect(give({ requested: ["FD00:42:0::ff"] })).toEqual(["10.42.0.2", "fd00:42::ff"])
    expect(give()).toEqual(["10.42.0.3", "fd00:42::3"])
    expect(allocator.allocate({ requested: ["10.42.0.6/32"] })[0]).toEqual({
      family: 4,
      address: "10.42.0.6",
      prefix: 32,
      gateway: "10.42.0.1",
      subnet: "10.42.0.0/29",
    })
  })

  test("may be several of one family, and the same one twice is one", () => {
    const { give } = setup([v4])
    expect(give({ requested: ["10.42.0.6", "10.42.0.4", "10.42.0.6/29"] })).toEqual([
      "10.42.0.6",
      "10.42.0.4",
    ])
  })

  test("come out of their rest at once", () => {
    const { allocator, time, give } = setup([v4])
    give({ requested: ["10.42.0.4"] })
    allocator.release("10.42.0.4")
    expect(give({ requested: ["10.42.0.4"] })).toEqual(["10.42.0.4"])
    time.now += 2 * REST_MS
    expect(allocator.stateOf("10.42.0.4")).toBe("given")
  })

  test("are refused with the reason and never replaced", () => {
    const { allocator, give } = setup([v4, v6], {
      ownerOf: (address) => (address === "10.42.0.3" ? "container c1 (eth0)" : undefined),
    })
    allocator.exclude("10.42.0.6", "it is excluded")
    give({ requested: ["10.42.0.3"] })
    give({ requested: ["10.42.0.4"] })
    const before = allocator.stats()
    for (const [address, code, why] of [
      ["10.42.0.3", "address-taken", "container c1 (eth0) has it"],
      ["10.42.0.4/29", "address-taken", "another container has it"],
      ["10.42.0.1", "address-taken", "it is the gateway"],
      ["10.42.0.6", "address-taken", "it is excluded"],
      ["10.42.0.7", "address-outside", "it is not one of the network's addresses"],
      ["10.99.0.1", "address-outside", "it is not one of the network's addresses"],
      ["10.42.0", "config-invalid", "10.42.0"],
      ["10.42.0.5/33", "config-invalid", "10.42.0.5/33"],
    ] as const) {
      const error = refusal(() => give({ requested: ["fd00:42::99", address] }))
      expect(error.code).toBe(code)
      expect(error.message).toContain(why)
    }
    expect(allocator.stats()).toEqual(before)
  })
})

describe("excluding", () => {
  test("keeps an address from being given; an owned one is refused", () => {
    const { allocator, give } = setup([v4])
    allocator.exclude("10.42.0.2", "the bridge has it")
    allocator.exclude("10.42.0.2", "the bridge has it")
    allocator.exclude("192.0.2.1", "the bridge has it")
    expect(give()).toEqual(["10.42.0.3"])
    expect(refusal(() => allocator.exclude("10.42.0.3", "x")).code).toBe("address-taken")
    expect(refusal(() => give({ requested: ["10.42.0.2"] })).message).toContain("the bridge has it")
    expect(allocator.stats()[0]).toMatchObject({ size: 4, used: 1, free: 3 })
  })
})

describe("restoring", () => {
  test("tells which leases have no place any more", () => {
    const { allocator } = setup([v4])
    const report = allocator.restore(["10.42.0.3", "10.99.0.1", "10.42.0.3", "10.42.0.1"])
    expect(report).toEqual({ outside: ["10.99.0.1", "10.42.0.1"], duplicate: ["10.42.0.3"] })
  })

  test("a lease beats a rest, rests outside are dropped, and no rest outlasts restMs", () => {
    const { allocator, time } = setup([v4])
    time.now = 10
    allocator.restore(
      ["10.42.0.3"],
      [
        { address: "10.42.0.4", until: 1e12 },
        { address: "10.42.0.3", until: 500 },
        { address: "10.99.0.1", until: 500 },
        { address: "10.42.0.5", until: 11 },
        { address: "10.42.0.6", until: 9 },
      ],
    )
    expect(allocator.quarantined()).toEqual([
      { address: "10.42.0.5", until: 11 },
      { address: "10.42.0.4", until: 10 + REST_MS },
    ])
    expect(allocator.stateOf("10.42.0.3")).toBe("given")
    expect(allocator.stateOf("10.42.0.6")).toBe("free")
  })

  test("a cursor outside the pool counts as none", () => {
    const { allocator, give } = setup([v4])
    allocator.restore([], [], { "10.42.0.0/29": "10.42.0.77", "10.9.0.0/16": "10.9.0.1" })
    expect(allocator.cursor()).toEqual({})
    expect(give()).toEqual(["10.42.0.2"])
    expect(allocator.cursor()).toEqual({ "10.42.0.0/29": "10.42.0.2" })
  })
})

test("a bad subnet gives the memory of the good ones back", () => {
  let open = 0
  const create = Bitmap.create
  using _spy = spyOn(Bitmap, "create").mockImplementation((size) => {
    open++
    return Object.defineProperty(create(size), "close", { value: () => open-- })
  })
  const early = refusal(() => setup([v4, v6, { ...v4second, start: "10.43.0.9" }]))
  expect(early.code).toBe("config-invalid")
  const late = refusal(() => setup([v4, { ...v4second, end: "10.43.0.1" }]))
  expect(late.code).toBe("config-invalid")
  expect(open).toBe(0)
})
