import { expect, test } from "bun:test"
import { defaultAgentSettings } from "../../config/agent_settings.ts"
import { hostIdentity, residentBytes, uuidFrom } from "./identity.ts"
import { StateDatabase } from "./state_database.ts"

test("the host keeps its uuid, an explicit address comes before a detected one", () => {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const settings = defaultAgentSettings()
  const first = hostIdentity(stateDatabase, settings, () => "192.0.2.1")
  const again = hostIdentity(stateDatabase, { ...settings, hostIp: "192.0.2.9" }, () => "192.0.2.1")
  expect(first.ip).toBe("192.0.2.1")
  expect(again.ip).toBe("192.0.2.9")
  expect(again.uuid).toBe(first.uuid)
  stateDatabase.close()
})

test("a host with addresses of both families has them in the order in which they are used", () => {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const settings = defaultAgentSettings()
  const addresses = (found: Record<number, string>, hostIp?: string) =>
    hostIdentity(stateDatabase, { ...settings, hostIp }, (family) => found[family]).addresses
  expect(addresses({ 4: "192.0.2.1", 6: "2001:db8::1" })).toEqual(["192.0.2.1", "2001:db8::1"])
  // Who names an IPv6 address wants it used: beside an IPv4 one it would not be.
  expect(addresses({ 4: "192.0.2.1", 6: "2001:db8::1" }, "2001:db8::9")).toEqual(["2001:db8::9"])
  expect(addresses({ 4: "192.0.2.1", 6: "2001:db8::1" }, "192.0.2.9")).toEqual([
    "192.0.2.9",
    "2001:db8::1",
  ])
  expect(addresses({ 6: "2001:db8::1" })).toEqual(["2001:db8::1"])
  expect(addresses({})).toEqual([])
  stateDatabase.close()
})

test("addresses that change are followed, and kept while there are none", () => {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const found: { 4?: string; 6?: string } = {}
  const host = hostIdentity(stateDatabase, defaultAgentSettings(), (family) => found[family])
  expect([host.ip, host.hasRoute]).toEqual([undefined, false])
  found[4] = "192.0.2.1"
  expect(host.look()).toBe(true)
  expect(host.look()).toBe(false)
  expect({ ...host }).toMatchObject({ ip: "192.0.2.1", addresses: ["192.0.2.1"], hasRoute: true })
  found[4] = "192.0.2.2"
  expect(host.look()).toBe(true)
  delete found[4]
  expect([host.look(), host.ip, host.hasRoute]).toEqual([false, "192.0.2.2", false])
  found[6] = "2001:db8::1"
  expect([host.look(), host.ip]).toEqual([true, "2001:db8::1"])
  stateDatabase.close()
})

test("a derived uuid is stable, of version 8, and differs by text", () => {
  expect(uuidFrom("a")).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  )
  expect(uuidFrom("a")).toBe(uuidFrom("a"))
  expect(uuidFrom("a")).not.toBe(uuidFrom("b"))
})

test("resident memory is read", () => {
  expect(residentBytes()).toBeGreaterThan(1_000_000)
})
