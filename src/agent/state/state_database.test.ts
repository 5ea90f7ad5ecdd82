import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LariatError } from "../../errors.ts"
import type { AddressRow, NewEndpoint } from "./rows.ts"
import { StateDatabase } from "./state_database.ts"

let directory = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lariat-journal-"))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function refusal(action: () => unknown): LariatError {
  try {
    action()
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
  throw new Error("nothing was refused")
}

const memory = (bootId = "boot-1"): StateDatabase =>
  StateDatabase.open(":memory:", { bootId, wallClock: () => 1_700_000_000_000.7 })

function endpoint(containerId: string, more: Partial<NewEndpoint> = {}): NewEndpoint {
  return {
    network: "ipsec",
    containerId,
    ifname: "eth0",
    kind: "port",
    netns: { path: "/run/netns/x", dev: 4n, ino: 2n ** 64n - 1n },
    hostName: "lrtabc",
    names: { aliases: ["web"], labels: { "io.rancher.stack": "a" }, podName: "web-1" },
    request: { args: { IP: "10.42.0.9" } },
    ...more,
  }
}

const four = (address: string): AddressRow => ({ address, prefix: 16, gateway: "10.42.0.1" })
const six = (address: string): AddressRow => ({ address, prefix: 64, gateway: undefined })

describe("the life of an endpoint", () => {
  test("everything that is written is read again", () => {
    const stateDatabase = memory()
    const id = stateDatabase.begin(endpoint("c1"), [four("10.42.0.9"), six("fd00::9")])
    expect(stateDatabase.endpoint(id)).toEqual({
      id,
      ...endpoint("c1"),
      pool: "ipsec",
      state: "attaching",
      hostIndex: undefined,
      mac: undefined,
      mtu: undefined,
      createdAt: 1_700_000_000_000,
      bootId: "boot-1",
      result: undefined,
      addresses: [four("10.42.0.9"), six("fd00::9")],
    })
    const attached = {
      hostName: "lrtxyz",
      hostIndex: 12,
      mac: "02:00:01:00:00:01",
      mtu: 1402,
      result: { ips: [{ address: "10.42.0.9/16" }] },
    }
    stateDatabase.finish(id, attached)
    expect(stateDatabase.endpoint(id)).toMatchObject({ ...attached, state: "attached" })
    stateDatabase.detach(id)
    stateDatabase.detach(id)
    expect(stateDatabase.endpoint(id)?.state).toBe("detaching")
    expect(stateDatabase.remove(id, [{ address: "10.42.0.9", until: 99.2 }])).toBe(true)
    expect(stateDatabase.endpoint(id)).toBeUndefined()
    expect(stateDatabase.leases("ipsec")).toEqual([])
    expect(stateDatabase.quarantined("ipsec")).toEqual([{ address: "10.42.0.9", until: 100 }])
  })

  test("one that is attached already is written down whole, or not at all", () => {
    const stateDatabase = memory()
    const attached = { mac: "02:00:01:00:00:01", result: {} }
    const row = stateDatabase.record(endpoint("c1"), [four("10.42.0.9")], attached)
    expect(row).toMatchObject({ ...endpoint("c1"), ...attached, state: "attached" })
    expect(stateDatabase.endpoints()).toEqual([row])
    stateDatabase.finish = () => {
      throw new LariatError("the disk is full", { code: "io" })
    }
    const refused = refusal(() =>
      stateDatabase.record(endpoint("c2"), [four("10.42.0.10")], attached),
    )
    expect(refused.message).toBe("the disk is full")
    expect(stateDatabase.endpoints()).toEqual([row])
    expect(stateDatabase.leases("ipsec")).toEqual(["10.42.0.9"])
  })

  test("what little an address-only endpoint has is enough", () => {
    const stateDatabase = memory()
    const id = stateDatabase.begin(
      {
        network: "n",
        containerId: "c",
        ifname: "eth0",
        kind: "ipam",
        netns: undefined,
        names: { aliases: [], labels: {} },
        request: {},
      },
      [],
    )
    stateDatabase.finish(id, { result: {} })
    expect(stateDatabase.endpoint(id)).toMatchObject({
      state: "attached",
      netns: undefined,
      hostName: undefined,
      hostIndex: undefined,
      addresses: [],
    })
  })

  test("the host link's name of the beginning stays unless another is told", () => {
    const stateDatabase = memory()
    const id = stateDatabase.begin(endpoint("c1"), [])
    stateDatabase.finish(id, { hostIndex: 3, result: {} })
    expect(stateDatabase.endpoint(id)?.hostName).toBe("lrtabc")
  })

  test("an endpoint that goes cannot be finished, one that is gone not changed", () => {
    const stateDatabase = memory()
    const id = stateDatabase.begin(endpoint("c1"), [four("10.42.0.9")])
    stateDatabase.detach(id)
    expect(refusal(() => stateDatabase.finish(id, { result: {} })).code).toBe("not-attached")
    stateDatabase.remove(id)
    expect(refusal(() => stateDatabase.finish(id, { result: {} })).code).toBe("not-attached")
    expect(refusal(() => stateDatabase.detach(id)).code).toBe("not-attached")
    expect(stateDatabase.remove(id, [{ address: "10.42.0.9", until: 5 }])).toBe(false)
    expect(stateDatabase.quarantined("ipsec")).toEqual([])
  })

  test("ids are never used twice", () => {
    const stateDatabase = memory()
    const first = stateDatabase.begin(endpoint("c1"), [])
    stateDatabase.remove(first)
    expect(stateDatabase.begin(endpoint("c1"), [])).toBeGreaterThan(first)
  })
})

describe("what must be unique", () => {
  test("one interface of one container in one network", () => {
    const stateDatabase = memory()
    stateDatabase.begin(endpoint("c1"), [four("10.42.0.2")])
    const error = refusal(() => stateDatabase.begin(endpoint("c1"), [four("10.42.0.3")]))
    expect(error.code).toBe("ifname-exists")
    expect(error.message).toContain("eth0 of container c1 to network ipsec")
    expect(stateDatabase.leases("ipsec")).toEqual(["10.42.0.2"])
    stateDatabase.begin(endpoint("c1", { ifname: "eth1" }), [])
    stateDatabase.begin(endpoint("c1", { network: "other" }), [])
    expect(stateDatabase.endpoints()).toHaveLength(3)
  })

  test("one owner of an address; the refusal names it and leaves nothing behind", () => {
    const stateDatabase = memory()
    stateDatabase.begin(endpoint("c1"), [four("10.42.0.2")])
    const error = refusal(() =>
      stateDatabase.begin(endpoint("c2"), [four("10.42.0.3"), four("10.42.0.2")], {
        cursors: { "10.42.0.0/16": "10.42.0.3" },
      }),
    )
    expect(error.code).toBe("address-taken")
    expect(error.message).toContain("container c1 (eth0) has it")
    expect(stateDatabase.endpoints()).toHaveLength(1)
    expect(stateDatabase.leases("ipsec")).toEqual(["10.42.0.2"])
    expect(stateDatabase.cursors("ipsec")).toEqual({})
    stateDatabase.begin(endpoint("c3", { network: "other" }), [four("10.42.0.2")])
  })
})

describe("finding", () => {
  test("by every column, in the order of begin, addresses in theirs", () => {
    const stateDatabase = memory()
    const a = stateDatabase.begin(endpoint("c1"), [four("10.42.0.9"), four("10.42.0.2")])
    const b = stateDatabase.begin(endpoint("c2", { kind: "adopted" }), [four("10.42.0.3")])
    const c = stateDatabase.begin(endpoint("c1", { network: "other", ifname: "eth1" }), [])
    stateDatabase.finish(b, { result: {} })
    const ids = (network?: string): number[] =>
      stateDatabase.endpoints(network).map((row) => row.id)
    expect(ids()).toEqual([a, b, c])
    expect(ids("ipsec")).toEqual([a, b])
    expect(ids("none")).toEqual([])
    expect(stateDatabase.endpoints().map((row) => row.addresses.map((one) => one.address))).toEqual(
      [["10.42.0.9", "10.42.0.2"], ["10.42.0.3"], []],
    )
  })

  test("by address in a network", () => {
    const stateDatabase = memory()
    const a = stateDatabase.begin(endpoint("c1"), [four("10.42.0.9")])
    const b = stateDatabase.begin(endpoint("c1", { network: "other" }), [four("10.42.0.9")])
    expect(stateDatabase.findByAddress("10.42.0.9", "ipsec")?.id).toBe(a)
    expect(stateDatabase.findByAddress("10.42.0.9", "other")?.id).toBe(b)
    expect(stateDatabase.findByAddress("10.42.0.8", "ipsec")).toBeUndefined()
    expect(stateDatabase.findByAddress("10.42.0.9", "none")).toBeUndefined()
  })

  test("texts are data, not SQL", () => {
    const stateDatabase = memory()
    const odd = "x'; DROP TABLE endpoint; --"
    stateDatabase.begin(endpoint(odd, { network: odd }), [])
    expect(stateDatabase.endpoints(odd)).toHaveLength(1)
  })
})

describe("quarantine", () => {
  test("is listed by time and network, and forgotten when it is over", () => {
    const stateDatabase = memory()
    const rest = (network: string, address: string, until: number): void => {
      stateDatabase.remove(stateDatabase.begin(endpoint("c", { network }), []), [
        { address, until },
      ])
    }
    rest("a", "10.0.0.1", 300)
    rest("a", "10.0.0.2", 100)
    rest("b", "10.0.0.3", 200)
    expect(stateDatabase.quarantined("a").map((row) => row.until)).toEqual([100, 300])
    expect(stateDatabase.purgeQuarantine(200.9)).toBe(2)
    expect(stateDatabase.quarantined("a")).toEqual([{ address: "10.0.0.1", until: 300 }])
    expect(stateDatabase.quarantined("b")).toEqual([])
  })

  test("ends for an address that is given again", () => {
    const stateDatabase = memory()
    const quarantined = [{ address: "10.42.0.2", until: 300 }]
    stateDatabase.remove(stateDatabase.begin(endpoint("c1"), [four("10.42.0.2")]), quarantined)
    stateDatabase.begin(endpoint("c1"), [four("10.42.0.2")])
    expect(stateDatabase.quarantined("ipsec")).toEqual([])
  })

  test("of an earlier boot is over: its clock began anew", () => {
    const path = join(directory, "lariat.db")
    const before = StateDatabase.open(path, { bootId: "boot-1" })
    before.remove(before.begin(endpoint("c1"), []), [{ address: "10.42.0.2", until: 1e9 }])
    before.close()
    const after = StateDatabase.open(path, { bootId: "boot-2" })
    expect(after.quarantined("ipsec")).toEqual([])
    expect(after.purgeQuarantine(0)).toBe(1)
    after.close()
  })
})

test("networks, cursors and the agent's own values", () => {
  const stateDatabase = memory()
  stateDatabase.putNetwork("n", { subnets: [] })
  stateDatabase.putNetwork("n", { subnets: ["x"] })
  stateDatabase.putNetwork("m", {})
  expect(stateDatabase.networks()).toEqual([
    { name: "m", spec: {} },
    { name: "n", spec: { subnets: ["x"] } },
  ])
  expect(stateDatabase.deleteNetwork("n")).toBe(true)
  expect(stateDatabase.deleteNetwork("n")).toBe(false)

  expect(stateDatabase.cursors("n")).toEqual({})
  stateDatabase.putCursors("n", { "10.42.0.0/16": "10.42.0.7" })
  expect(stateDatabase.cursors("n")).toEqual({ "10.42.0.0/16": "10.42.0.7" })
  stateDatabase.begin(endpoint("c"), [], { cursors: { a: "b" } })
  expect(stateDatabase.cursors("ipsec")).toEqual({ a: "b" })

  expect(stateDatabase.meta("schema")).toBeUndefined()
  stateDatabase.putMeta("schema", "mine")
  stateDatabase.putMeta("host", "h1")
  expect([stateDatabase.meta("schema"), stateDatabase.meta("host")]).toEqual(["mine", "h1"])
})

test("what is of one network is given to another, but for an address that this one has", () => {
  const stateDatabase = memory()
  const moved = stateDatabase.begin(endpoint("c1"), [four("10.42.0.9")])
  const stays = stateDatabase.begin(endpoint("c2"), [four("10.42.0.8")])
  const other = endpoint("c3", { network: "overlay" })
  stateDatabase.begin(other, [four("10.42.0.8")])
  const gone = stateDatabase.begin(endpoint("c4"), [four("10.42.0.7")])
  stateDatabase.remove(gone, [{ address: "10.42.0.7", until: 9 }])
  stateDatabase.putCursors("ipsec", { a: "10.42.0.9" })
  stateDatabase.movePool("ipsec", "overlay")
  expect(stateDatabase.endpoint(moved)?.pool).toBe("overlay")
  expect(stateDatabase.endpoint(stays)?.pool).toBe("ipsec")
  expect(stateDatabase.leases("overlay").sort()).toEqual(["10.42.0.8", "10.42.0.9"])
  expect(stateDatabase.leases("ipsec")).toEqual(["10.42.0.8"])
  expect(stateDatabase.quarantined("overlay").map(({ address }) => address)).toEqual(["10.42.0.7"])
  expect(stateDatabase.cursors("overlay")).toEqual({ a: "10.42.0.9" })
  expect(stateDatabase.pools().sort()).toEqual(["ipsec", "overlay"])
})

test("everything is there after closing and opening again", () => {
  const path = join(directory, "state", "lariat.db")
  const first = StateDatabase.open(path, { bootId: "b" })
  const id = first.begin(endpoint("c1"), [four("10.42.0.9")])
  const row = first.endpoint(id)
  first.checkpoint()
  first.close()
  const second = StateDatabase.open(path, { bootId: "b" })
  expect(second.endpoint(id)).toEqual(row)
  expect(second.begin(endpoint("c2"), [])).toBeGreaterThan(id)
  second.close()
})
