import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { MemoryRuleset } from "../../test/fixtures/firewall/memory_ruleset.ts"
import { LariatError } from "../errors.ts"
import { NetlinkError } from "../netlink/error.ts"
import { EEXIST, EOPNOTSUPP, EPERM } from "../sys/ffi/errno.ts"
import { Firewall } from "./firewall.ts"
import type { GuardedPort } from "./guarded_port.ts"
import type { LimitName } from "./limits.ts"
import type { FirewallState } from "./state.ts"

const STATE: FirewallState = {
  hostNat: [
    { subnet: "10.42.0.0/16", bridge: "docker0" },
    { subnet: "fd00:42::/64", bridge: "docker0" },
  ],
  overlay: ["10.42.0.0/16", "fd00:42::/64"],
  masquerade: ["10.43.0.2/16", "fd00:43::2/64"],
  guarded: [{ index: 7, mac: "02:00:00:00:00:01", addresses: ["10.42.0.7", "fd00:42::7"] }],
}

function guardedPort(index: number, ...addresses: string[]): GuardedPort {
  return { index, mac: `02:00:00:00:00:0${index}`, addresses }
}

function ready(): { kernel: MemoryRuleset; firewall: Firewall } {
  const kernel = new MemoryRuleset()
  const firewall = new Firewall(kernel)
  firewall.ensure(STATE)
  return { kernel, firewall }
}

const keys = (kernel: MemoryRuleset, set: string): string[] =>
  [...(kernel.inet.members.get(set)?.keys() ?? [])].toSorted()

describe("ensure", () => {
  test("makes the table in one transaction and then leaves it alone", () => {
    const { kernel, firewall } = ready()
    expect(kernel.commits).toBe(1)
    expect(firewall.matches()).toBe(true)
    expect(firewall.ensure(STATE)).toBe(false)
    expect(kernel.commits).toBe(1)
  })

  test("finds a table of an earlier agent right", () => {
    const { kernel } = ready()
    expect(new Firewall(kernel).ensure(STATE)).toBe(false)
    expect(kernel.commits).toBe(1)
  })

  test("changes only the elements that another state changes", () => {
    const { kernel, firewall } = ready()
    expect(firewall.ensure({ ...STATE, overlay: ["10.42.0.0/15"] })).toBe(true)
    expect(new Firewall(kernel).ensure(STATE)).toBe(true)
    expect(kernel.commits).toBe(3)
    expect(kernel.rebuilds).toBe(1)
    expect(firewall.ensure(STATE)).toBe(false)
  })

  test("makes the table anew where the kernel refuses to change it", () => {
    const { kernel, firewall } = ready()
    let refusals = 2
    kernel.before = () => {
      kernel.failure = refusals-- > 0 ? new NetlinkError("add elements", EEXIST) : undefined
    }
    expect(firewall.ensure({ ...STATE, overlay: [] })).toBe(true)
    expect(kernel.rebuilds).toBe(2)
    expect(firewall.matches()).toBe(true)
  })

  test("adds what an earlier version's table lacks, and leaves the rest of it alone", () => {
    const { kernel } = ready()
    for (const name of ["clamp", "shorten", "forward"]) {
      kernel.inet.chains.delete(name)
      kernel.inet.rules = kernel.inet.rules.filter(({ chain }) => chain !== name)
    }
    for (const name of ["clamp4", "clamp6", "clamplinks"]) {
      kernel.inet.sets.delete(name)
      kernel.inet.members.delete(name)
    }
    const next = new Firewall(kernel)
    expect(next.ensure({ ...STATE, clamp: ["10.42.0.0/16"] })).toBe(true)
    expect(kernel.rebuilds).toBe(1)
    expect(keys(kernel, "clamp4")).toEqual(["00000000-!", "0a2a0000-", "0a2b0000-!"])
    expect(next.matches()).toBe(true)
    expect(next.ensure(STATE)).toBe(true)
    expect(keys(kernel, "clamp4")).toEqual([])
  })

  test("mends what others do", () => {
    const { kernel, firewall } = ready()
    kernel.flush()
    expect(firewall.differences()).toEqual([
      "table inet lariat is missing",
      "table bridge lariat is missing",
    ])
    expect(firewall.ensure(STATE)).toBe(true)
    expect(firewall.matches()).toBe(true)
  })

  test("tries again when somebody comes between", () => {
    const { kernel, firewall } = ready()
    let others = 2
    kernel.flush()
    kernel.before = () => {
      if (others-- > 0) kernel.current++
    }
    expect(firewall.ensure(STATE)).toBe(true)
    expect(kernel.commits).toBe(2)
    expect(firewall.matches()).toBe(true)
  })

  test("gets through when others never rest", () => {
    const { kernel, firewall } = ready()
    kernel.flush()
    kernel.before = () => {
      kernel.current++
    }
    expect(firewall.ensure(STATE)).toBe(true)
    expect(firewall.matches()).toBe(true)
  })

  test("that is refused leaves what was wanted before", () => {
    const { kernel, firewall } = ready()
    kernel.failure = new NetlinkError("make table inet lariat", EPERM)
    expect(() => firewall.ensure({ ...STATE, overlay: [] })).toThrow(NetlinkError)
    kernel.failure = undefined
    expect(firewall.matches()).toBe(true)
  })

  test("says what a kernel lacks", () => {
    const kernel = new MemoryRuleset()
    kernel.failure = new NetlinkError("make set home4 of table inet lariat", EOPNOTSUPP)
    const firewall = new Firewall(kernel)
    try {
      firewall.ensure(STATE)
      throw new Error("it went well")
    } catch (error) {
      expect(error).toBeInstanceOf(LariatError)
      expect(error).toMatchObject({ code: "kernel-unsupported", cause: kernel.failure })
      expect(String(error)).toContain("Cannot make set home4 of table inet lariat")
    }
  })

  test.each([
    { ...STATE, overlay: ["10.42.0.0"] },
    { ...STATE, masquerade: ["10.42.0.300/16"] },
    { ...STATE, clamp: ["10.42.0.300/16"] },
    { ...STATE, clamp: ["no device name"] },
    { ...STATE, hostNat: [{ subnet: "10.42.0.0/16", bridge: "a name too long" }] },
    { ...STATE, hostNat: [{ subnet: "10.42.0.0/16", bridge: "abcdefghijklmnop" }] },
    { ...STATE, hostNat: [{ subnet: "10.42.0.0/16", bridge: "" }] },
  ])("refuses a state that makes no sense: %j", (state) => {
    const { kernel, firewall } = ready()
    expect(() => firewall.ensure(state)).toThrow(LariatError)
    expect(kernel.commits).toBe(1)
  })
})

describe("one address", () => {
  test("is one element in one transaction", () => {
    const { kernel, firewall } = ready()
    const subnets = keys(kernel, "inside4")
    firewall.addMasquerade("10.43.0.9/16")
    expect(kernel.commits).toBe(2)
    expect(keys(kernel, "masquerade4")).toEqual(["0a2b0002-", "0a2b0009-"])
    expect(keys(kernel, "inside4")).toEqual(subnets)
  })

  test("twice is once", () => {
    const { kernel, firewall } = ready()
    firewall.addMasquerade("10.43.0.9/16", "10.43.0.9/16")
    firewall.addMasquerade("10.43.0.9/16")
    firewall.removeMasquerade("10.99.0.1")
    expect(kernel.commits).toBe(2)
  })

  test("brings its subnet and takes it away", () => {
    const { kernel, firewall } = ready()
    const subnets = keys(kernel, "inside4")
    firewall.addMasquerade("10.50.1.2/24")
    expect(keys(kernel, "inside4").length).toBe(2)
    firewall.removeMasquerade("10.50.1.2")
    expect(keys(kernel, "inside4")).toEqual(subnets)
    expect(firewall.matches()).toBe(true)
  })

  test("that gets another subnet keeps its element", () => {
    const { kernel, firewall } = ready()
    firewall.addMasquerade("10.43.0.2/24")
    expect(keys(kernel, "masquerade4")).toEqual(["0a2b0002-"])
    expect(keys(kernel, "inside4")).toEqual(["0a2b00000a2b0000-0a2b00ff0a2b00ff"])
  })

  test("mends a table that was flushed meanwhile", () => {
    const { kernel, firewall } = ready()
    kernel.flush()
    firewall.addMasquerade("10.43.0.9/16")
    expect(keys(kernel, "masquerade4")).toEqual(["0a2b0002-", "0a2b0009-"])
    kernel.flush()
    firewall.removeMasquerade("10.43.0.77")
    expect(firewall.matches()).toBe(true)
    expect(kernel.inet.found).toBeDefined()
  })

  test("that the kernel refuses is not wanted", () => {
    const { kernel, firewall } = ready()
    kernel.failure = new NetlinkError("add elements", EPERM)
    expect(() => firewall.addMasquerade("10.50.1.2/24")).toThrow(NetlinkError)
    kernel.failure = undefined
    expect(firewall.matches()).toBe(true)
    expect(keys(kernel, "masquerade4")).toEqual(["0a2b0002-"])
  })

  test("before the table is there is a fault", () => {
    const firewall = new Firewall(new MemoryRuleset())
    expect(firewall.matches()).toBe(false)
    expect(() => firewall.addMasquerade("10.43.0.9/16")).toThrow("not set up yet")
  })
})

describe("differences", () => {
  const spoil: readonly [string, (kernel: MemoryRuleset) => void][] = [
    ["table inet lariat is switched off", (k) => k.switchOff()],
    ["chain translate is missing", (k) => k.inet.chains.delete("translate")],
    ["chain postrouting has other rules", (k) => k.inet.rules.pop()],
    ["chain alien is not ours", (k) => k.inet.rules.push({ chain: "alien", expressions: [] })],
    ["set home4 is missing", (k) => k.inet.sets.delete("home4")],
    ["set masquerade4 lacks 1 of 1 elements", (k) => k.inet.members.get("masquerade4")?.clear()],
    [
      "set hostnat4 has 1 elements too many",
      (k) => k.inet.members.get("hostnat4")?.set("01020304-", { key: Uint8Array.of(1, 2, 3, 4) }),
    ],
    [
      "chain postrouting has another hook, priority or policy",
      (k) => k.inet.chains.set("postrouting", { name: "postrouting" }),
    ],
    [
      "set never6 has another type",
      (k) => k.inet.sets.set("never6", { name: "never6", flags: 0, keyType: 8, keyLength: 16 }),
    ],
  ]

  test.each(spoil)("%s", (sentence, change) => {
    const { kernel, firewall } = ready()
    change(kernel)
    // While the generation is ours nobody can have changed anything, so nobody looks.
    expect(firewall.matches()).toBe(true)
    kernel.current++
    expect(firewall.differences()).toEqual([sentence])
    firewall.ensure(STATE)
    expect(firewall.differences()).toEqual([])
  })

  test("are none where only counters and comments differ", () => {
    const { kernel, firewall } = ready()
    kernel.inet.rules = kernel.inet.rules.map((rule) => ({
      ...rule,
      comment: "another",
      expressions: rule.expressions.map((expression) =>
        expression.kind === "counter" ? { ...expression, packets: 7n, bytes: 700n } : expression,
      ),
    }))
    kernel.current++
    expect(firewall.differences()).toEqual([])
  })
})

describe("guarded ports", () => {
  const own = (kernel: MemoryRuleset): string =>
    ["ports", "macs", "own4", "own6"].map((set) => kernel.bridge.members.get(set)?.size ?? 0).join()

  test("are elements alone: of what they sent and were guarded for nothing is left", () => {
    const { kernel, firewall } = ready()
    // With its IPv6 address goes the link-local one.
    expect(own(kernel)).toBe("1,1,1,2")
    firewall.guard([guardedPort(8, "10.42.0.8"), guardedPort(9, "10.42.0.9", "fd00:42::9")])
    expect(own(kernel)).toBe("3,3,3,4")
    firewall.guard([guardedPort(8, "10.42.0.8", "10.43.0.8")], { gone: 9 })
    expect(own(kernel)).toBe("2,2,3,2")
    expect(kernel.rebuilds).toBe(1)
    expect(firewall.matches()).toBe(true)
  })

  test("one that is not known may be taken back", () => {
    const { kernel, firewall } = ready()
    firewall.guard([], { gone: 99 })
    expect(own(kernel)).toBe("1,1,1,2")
  })

  test("stay as they were where the kernel refuses", () => {
    const { kernel, firewall } = ready()
    kernel.failure = new NetlinkError("add elements", EPERM)
    expect(() => firewall.guard([guardedPort(8, "10.42.0.8")])).toThrow(NetlinkError)
    kernel.failure = undefined
    expect(firewall.matches()).toBe(true)
    expect(new Firewall(kernel).ensure(STATE)).toBe(false)
  })

  test("are not where the kernel has no tables of bridges; the rest is", () => {
    const kernel = new MemoryRuleset()
    kernel.knowsBridges = false
    const firewall = new Firewall(kernel)
    expect(firewall.ensure(STATE)).toBe(true)
    expect(firewall.canGuard).toBe(false)
    firewall.guard([guardedPort(8, "10.42.0.8")])
    expect(firewall.forged()).toEqual({})
    expect(firewall.matches()).toBe(true)
    expect(keys(kernel, "home4")).toHaveLength(1)
    firewall.remove()
    expect(kernel.isEmpty).toBe(true)
  })
})

test("remove takes the table away, twice too", () => {
  const { kernel, firewall } = ready()
  firewall.remove()
  expect(kernel.isEmpty).toBe(true)
  firewall.remove()
  expect(firewall.matches()).toBe(false)
})

test("after any history the table is what a fresh start would make", () => {
  const address = fc
    .tuple(fc.constantFrom("10.43.", "10.44.", "10.43.1"), fc.nat(3), fc.constantFrom(16, 24, 32))
    .map(([head, host, length]) => `${head.length > 6 ? head : `${head}0`}.${host}/${length}`)
  const addresses = fc.array(address, { maxLength: 3 })
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), addresses }),
    fc.record({ do: fc.constant("remove" as const), addresses }),
    fc.record({ do: fc.constant("guard" as const), index: fc.nat(3), address: fc.nat(3) }),
    fc.record({ do: fc.constant("unguard" as const), index: fc.nat(3) }),
    fc.record({ do: fc.constant("flush" as const) }),
    fc.record({ do: fc.constant("noise" as const) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const { kernel, firewall } = ready()
      const wanted = new Map([["10.43.0.2", "10.43.0.2/16"]])
      const guarded = new Map((STATE.guarded ?? []).map((port) => [port.index, port]))
      for (const one of steps) {
        if (one.do === "flush") kernel.flush()
        else if (one.do === "noise") kernel.current++
        else if (one.do === "guard") {
          const port = guardedPort(one.index, `10.42.0.${one.address}`)
          firewall.guard([port])
          guarded.set(one.index, port)
        } else if (one.do === "unguard") {
          firewall.guard([], { gone: one.index })
          guarded.delete(one.index)
        } else if (one.do === "add") {
          firewall.addMasquerade(...one.addresses)
          for (const text of one.addresses) wanted.set(text.split("/")[0] ?? "", text)
        } else {
          firewall.removeMasquerade(...one.addresses)
          for (const text of one.addresses) wanted.delete(text.split("/")[0] ?? "")
        }
      }
      const state = {
        ...STATE,
        masquerade: [...wanted.values(), "fd00:43::2/64"],
        guarded: [...guarded.values()],
      }
      if (firewall.matches()) expect(new Firewall(kernel).ensure(state)).toBe(false)
      else expect(kernel.isEmpty).toBe(true)
    }),
    { numRuns: 100 },
  )
})

describe("limits of services", () => {
  const limits = {
    services: [{ protocol: "udp", address: "169.254.169.250", port: 53 } as const],
    values: {
      connections: 256,
      connectionsInAll: 4096,
      connectionsPerSecond: 1000,
      bytesPerSecond: 4000,
      queriesPerSecond: 50,
    },
  }
  const limited: FirewallState = { ...STATE, limits }
  const kinds = ({ inet }: MemoryRuleset): string[] =>
    inet.rules
      .flatMap(({ expressions }) => expressions)
      .flatMap((one) => (one.kind === "limit-each" ? [one.limit.kind] : []))

  test("are rules for each family, and changing them makes the rules of their chains anew", () => {
    const { kernel, firewall } = ready()
    expect(firewall.ensure(limited)).toBe(true)
    expect(firewall.ensure(limited)).toBe(false)
    expect(kinds(kernel)).toEqual([
      ...Array(4).fill("rate-over"),
      ...Array(4).fill("connections-over"),
      ...Array(2).fill("rate-over"),
    ])
    expect(firewall.ensure(STATE)).toBe(true)
    expect(kinds(kernel)).toEqual([])
    expect(kernel.rebuilds).toBe(1)
  })

  test("come back after a flush", () => {
    const { kernel, firewall } = ready()
    firewall.ensure(limited)
    kernel.flush()
    expect(firewall.matches()).toBe(false)
    firewall.ensure(limited)
    expect(kinds(kernel)).toHaveLength(10)
  })

  test("0 bounds nothing", () => {
    const { kernel, firewall } = ready()
    const values = {
      connections: 0,
      connectionsInAll: 0,
      connectionsPerSecond: 0,
      bytesPerSecond: 0,
      queriesPerSecond: 50,
    }
    firewall.ensure({ ...STATE, limits: { ...limits, values } })
    expect(kinds(kernel)).toEqual(["rate-over", "rate-over"])
  })

  test("that the kernel cannot hold are left out and told", () => {
    const counts: LimitName[] = ["connections", "connectionsInAll"]
    const rates: LimitName[] = ["connectionsPerSecond", "bytesPerSecond", "queriesPerSecond"]
    for (const [lacks, lost, kept] of [
      [["connections-over"], counts, "rate-over"],
      [["rate-over"], rates, "connections-over"],
      [["connections-over", "rate-over"], [...counts, ...rates], undefined],
    ] as const) {
      const kernel = new MemoryRuleset()
      const firewall = new Firewall(kernel)
      kernel.lacks = lacks
      for (let time = 0; time < 2; time++) firewall.ensure(limited)
      expect(firewall.lacking()).toEqual(lost)
      expect([...new Set(kinds(kernel))]).toEqual(kept === undefined ? [] : [kept])
      expect(firewall.matches()).toBe(true)
    }
  })

  test("count what they drop by name", () => {
    const { kernel, firewall } = ready()
    firewall.ensure(limited)
    kernel.inet.rules = kernel.inet.rules.map((rule) => ({
      ...rule,
      expressions: rule.expressions.map((one) =>
        one.kind === "counter" ? { ...one, packets: 4n } : one,
      ),
    }))
    const four = 2 * 4
    expect(firewall.dropped()).toMatchObject({
      connections: four,
      connectionsInAll: four,
      connectionsPerSecond: four,
      bytesPerSecond: four,
      queriesPerSecond: four,
    })
  })
})
