/** What the host itself needs: MTU of the underlay, forwarding. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { enableForwarding, forwardingEnabled } from "../../src/endpoint/forwarding.ts"
import { readSetting, settingPath } from "../../src/endpoint/ipv6.ts"
import { underlay } from "../../src/endpoint/underlay.ts"
import { writeProc } from "../../src/sys/ffi/file.ts"
import { Fixture } from "./endpoint_fixture.ts"
import { ip } from "./guard.ts"

let fixture: Fixture

beforeEach(() => {
  fixture = new Fixture()
  for (const [name, mtu, net] of [
    ["up0", "1400", 1],
    ["up1", "8900", 2],
  ] as const) {
    ip("link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", `${name}p`)
    ip("link", "set", name, "up")
    ip("link", "set", `${name}p`, "up")
    ip("addr", "add", `192.0.${net}.1/24`, "dev", name)
  }
})
afterEach(() => {
  ip("link", "del", "up0")
  ip("link", "del", "up1")
  fixture.close()
})

describe("the MTU of the underlay", () => {
  test("1500 without a default route", () => {
    expect(underlay(fixture.kernel).mtu).toBe(1500)
  })

  test("that of the default route's link; the least priority counts", () => {
    ip("route", "add", "default", "via", "192.0.2.9", "metric", "200")
    expect(underlay(fixture.kernel).mtu).toBe(8900)
    ip("route", "add", "default", "via", "192.0.1.9", "metric", "100")
    expect(underlay(fixture.kernel).mtu).toBe(1400)
  })

  test("that of the route itself where it is smaller", () => {
    ip("route", "add", "default", "via", "192.0.2.9", "mtu", "1280")
    expect(underlay(fixture.kernel).mtu).toBe(1280)
  })

  test("an IPv6 default route where there is no other", () => {
    ip("addr", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    ip("-6", "route", "add", "default", "via", "2001:db8::9", "dev", "up0")
    expect(underlay(fixture.kernel).mtu).toBe(1400)
  })
})

describe("enableForwarding", () => {
  test("says whether it changed something", () => {
    writeProc("/proc/sys/net/ipv4/ip_forward", "0")
    expect(forwardingEnabled(4)).toBe(false)
    expect(enableForwarding(4, fixture.kernel)).toBe(true)
    expect(readSetting("/proc/sys/net/ipv4/ip_forward")).toBe("1")
    expect(enableForwarding(4, fixture.kernel)).toBe(false)
  })

  test("interfaces that take router advertisements go on doing so", () => {
    writeProc(settingPath("all", "forwarding"), "0")
    writeProc(settingPath("up0", "accept_ra"), "1")
    writeProc(settingPath("up1", "accept_ra"), "0")
    expect(enableForwarding(6, fixture.kernel)).toBe(true)
    expect(forwardingEnabled(6)).toBe(true)
    expect(readSetting(settingPath("up0", "accept_ra"))).toBe("2")
    expect(readSetting(settingPath("up1", "accept_ra"))).toBe("0")
  })
})
