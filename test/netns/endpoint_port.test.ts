import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { announce } from "../../src/endpoint/announce.ts"
import { checkPort, type ExpectedPort } from "../../src/endpoint/check_port.ts"
import { createPort } from "../../src/endpoint/create_port.ts"
import { LIVE_GROUP } from "../../src/endpoint/host_link.ts"
import { readSetting, settingPath } from "../../src/endpoint/ipv6.ts"
import type { Port, PortSpec } from "../../src/endpoint/port.ts"
import { removePort } from "../../src/endpoint/remove_port.ts"
import { LariatError } from "../../src/errors.ts"
import { currentNetns, sameNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { answers } from "./answers.ts"
import { Fixture, GATEWAY, GATEWAY6 } from "./endpoint_fixture.ts"
import { ip, ipJson } from "./guard.ts"

let fixture: Fixture

beforeEach(() => {
  fixture = new Fixture()
})
afterEach(() => fixture.close())

/** A lost ARP request or neighbour solicitation is repeated after 1,000 ms: none may be lost. */
const BEFORE_RETRY_MS = 800

const DUAL: Partial<PortSpec> = {
  addresses: ["10.42.7.7/16", "fd00:42::7/64"],
  routes: [
    { dst: "0.0.0.0/0", gw: GATEWAY },
    { dst: "::/0", gw: GATEWAY6 },
    { dst: "10.50.0.0/16", gw: "10.42.0.9", mtu: 1300, advmss: 1260, priority: 7 },
    { dst: "169.254.169.250/32" },
  ],
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof LariatError) return error.code
    throw error
  }
  return "nothing was thrown"
}

function expected(spec: PortSpec, port: Port): ExpectedPort {
  return { ...spec, hostIndex: port.hostIndex, containerIndex: port.containerIndex }
}

describe("createPort", () => {
  test("makes both ends as asked for", () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    const spec = fixture.spec(1, bridge.index, { ...DUAL, hairpin: true })
    const port = createPort(fixture.kernel, netns, spec)

    const [host] = ipJson("-details", "link", "show", "dev", spec.hostName)
    expect(host).toMatchObject({
      ifindex: port.hostIndex,
      address: port.hostMac,
      master: "br0",
      mtu: 1402,
      ifalias: "container-1/eth0",
      inet6_addr_gen_mode: "none",
    })
    expect(fixture.kernel.link(spec.hostName)).toMatchObject({ group: LIVE_GROUP, up: true })
    expect(host?.linkinfo).toMatchObject({ info_slave_data: { hairpin: true } })

    const [inside] = ipJson("-n", "box", "link", "show", "dev", "eth0")
    expect(inside).toMatchObject({ ifindex: port.containerIndex, address: spec.mac, mtu: 1402 })
    expect(inside?.flags).toContain("UP")
    const addresses = ipJson("-n", "box", "addr", "show", "dev", "eth0")[0]?.addr_info
    expect(addresses).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ local: "10.42.7.7", prefixlen: 16 }),
        expect.objectContaining({ local: "fd00:42::7", prefixlen: 64, nodad: true }),
      ]),
    )
    expect(JSON.stringify(addresses)).not.toContain("tentative")
    const routes = ipJson("-n", "box", "route", "show")
    expect(routes).toContainEqual(expect.objectContaining({ dst: "default", gateway: GATEWAY }))
    expect(routes).toContainEqual(expect.objectContaining({ dst: "169.254.169.250" }))
    expect(routes).toContainEqual(
      expect.objectContaining({
        dst: "10.50.0.0/16",
        gateway: "10.42.0.9",
        metric: 7,
        metrics: [expect.objectContaining({ mtu: 1300, advmss: 1260 })],
      }),
    )
    expect(checkPort(fixture.kernel, netns, expected(spec, port))).toEqual([])
  })

  test("both gateways answer at once", async () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    createPort(fixture.kernel, netns, fixture.spec(1, bridge.index, DUAL))
    expect(await answers(netns, GATEWAY, BEFORE_RETRY_MS)).toBe(true)
    expect(await answers(netns, GATEWAY6, BEFORE_RETRY_MS)).toBe(true)
  })

  test("an IPv6 address where the namespace has IPv6 switched off", async () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    for (const name of ["all", "default"]) {
      execFileSync("ip", [
        "netns",
        "exec",
        "box",
        "sh",
        "-c",
        `echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`,
      ])
    }
    createPort(fixture.kernel, netns, fixture.spec(1, bridge.index, DUAL))
    expect(await answers(netns, GATEWAY6, BEFORE_RETRY_MS)).toBe(true)
  })

  test("takes no router advertisements, with IPv6 and without", () => {
    const bridge = fixture.bridge()
    const six = fixture.netns("six")
    createPort(fixture.kernel, six, fixture.spec(1, bridge.index, DUAL))
    const four = fixture.netns("four")
    createPort(fixture.kernel, four, fixture.spec(2, bridge.index))
    for (const netns of [six, four]) {
      const accepts = withNetns(netns, () => readSetting(settingPath("eth0", "accept_ra")))
      expect(accepts).toBe("0")
    }
    expect(ip("-n", "four", "-6", "addr")).not.toContain("fe80")
  })

  test("a /32 address with a gateway outside of it", async () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    const more = { addresses: ["10.42.7.7/32"], routes: [{ dst: "0.0.0.0/0", gw: GATEWAY }] }
    createPort(fixture.kernel, netns, fixture.spec(1, bridge.index, more))
    expect(await answers(netns, GATEWAY, BEFORE_RETRY_MS)).toBe(true)
  })

  test("a second network of the container keeps the first one's default route", () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    createPort(fixture.kernel, netns, fixture.spec(1, bridge.index))
    const second = fixture.spec(2, bridge.index, { ifname: "eth1", addresses: ["10.43.0.2/24"] })
    const routes = [{ dst: "0.0.0.0/0", gw: "10.43.0.1" }]
    const port = createPort(fixture.kernel, netns, { ...second, routes })
    const defaults = ipJson("-n", "box", "route", "show", "default")
    expect(defaults.map((route) => route.gateway)).toEqual([GATEWAY])
    expect(checkPort(fixture.kernel, netns, expected({ ...second, routes }, port))).toEqual([])
  })

  test("refuses an interface name that the container has, and leaves all as it was", () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    ip("-n", "box", "link", "add", "eth0", "type", "bridge")
    const spec = fixture.spec(1, bridge.index)
    expect(codeOf(() => createPort(fixture.kernel, netns, spec))).toBe("ifname-exists")
    expect(fixture.kernel.link(spec.hostName)).toBeUndefined()
    expect(codeOf(() => createPort(fixture.kernel, netns, { ...spec, ifname: "lo" }))).toBe(
      "ifname-exists",
    )
  })

  test("a port of the same attachment that is there already is an error, not replaced", () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    const spec = fixture.spec(1, bridge.index)
    const port = createPort(fixture.kernel, netns, spec)
    expect(codeOf(() => createPort(fixture.kernel, netns, spec))).toBe("ifname-exists")
    expect(fixture.kernel.link(spec.hostName)?.index).toBe(port.hostIndex)
  })

  test("takes the place of what a crashed attach left behind under the same name", () => {
    const bridge = fixture.bridge()
    const spec = fixture.spec(1, bridge.index)
    createPort(fixture.kernel, fixture.netns("before"), spec)
    const port = createPort(fixture.kernel, fixture.netns("box"), spec)
    expect(fixture.kernel.link(spec.hostName)?.index).toBe(port.hostIndex)
    expect(ip("-n", "before", "link")).not.toContain("eth0")
  })

  test("does not touch a foreign link that has its name", () => {
    const bridge = fixture.bridge()
    const spec = fixture.spec(1, bridge.index)
    ip("link", "add", spec.hostName, "type", "bridge")
    expect(codeOf(() => createPort(fixture.kernel, fixture.netns("box"), spec))).toBe("kernel")
    expect(fixture.kernel.link(spec.hostName)?.kind).toBe("bridge")
  })

  const failures: readonly (readonly [string, Partial<PortSpec>])[] = [
    ["an MTU below the least", { mtu: 20 }],
    ["an address that is none", { addresses: ["10.42.0.2/16", "nonsense"] }],
    ["a broadcast MAC", { mac: "ff:ff:ff:ff:ff:ff" }],
    ["a gateway of the wrong family", { routes: [{ dst: "10.0.0.0/8", gw: "255.255.255.255" }] }],
    ["a route that is none", { routes: [{ dst: "10.0.0.0/33" }] }],
    ["a name that is too long", { ifname: "a-name-of-16-chr" }],
    ["a name with a slash", { ifname: "a/b", addresses: ["fd00:42::7/64"] }],
    ["a bridge that is not there", { bridgeIndex: 999_999 }],
  ]
  for (const [what, more] of failures) {
    test(`${what}: an error, and nothing is left`, () => {
      const bridge = fixture.bridge()
      const netns = fixture.netns("box")
      const before = ip("-n", "box", "link")
      const spec = fixture.spec(1, bridge.index, more)
      expect(codeOf(() => createPort(fixture.kernel, netns, spec))).toMatch(/kernel|config-invalid/)
      expect(fixture.kernel.link(spec.hostName)).toBeUndefined()
      expect(ip("-n", "box", "link")).toBe(before)
      expect(fixture.kernel.links({ master: bridge.index })).toEqual([])
    })
  }

  test("the thread is at home afterwards", () => {
    const home = currentNetns()
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    createPort(fixture.kernel, netns, fixture.spec(1, bridge.index))
    expect(() => createPort(fixture.kernel, netns, fixture.spec(2, bridge.index))).toThrow()
    const now = currentNetns()
    expect(sameNetns(home, now)).toBe(true)
    home.close()
    now.close()
  })
})

describe("checkPort", () => {
  const breakages: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "lost address",
      ["-n", "box", "addr", "del", "10.42.7.7/16", "dev", "eth0"],
      /lost the address 10.42.7.7.16/,
    ],
    [
      "lost IPv6 address",
      ["-n", "box", "addr", "del", "fd00:42::7/64", "dev", "eth0"],
      /lost the address fd00:42::7.64/,
    ],
    [
      "lost route",
      ["-n", "box", "route", "del", "169.254.169.250/32"],
      /route to 169.254.169.250.32 is gone/,
    ],
    [
      "changed gateway",
      ["-n", "box", "route", "replace", "default", "via", "10.42.0.99"],
      /route to 0.0.0.0.0 via 10.42.0.1 is gone/,
    ],
    [
      "other MTU",
      ["-n", "box", "link", "set", "eth0", "mtu", "1300"],
      /MTU 1300 and should have 1402/,
    ],
    [
      "other MAC",
      ["-n", "box", "link", "set", "eth0", "address", "02:00:00:00:00:09"],
      /MAC address 02:00:00:00:00:09/,
    ],
    ["down inside", ["-n", "box", "link", "set", "eth0", "down"], /eth0 is down/],
    ["down outside", ["link", "set", "dev", "HOST", "down"], /lrt\w+ is down/],
    ["off the bridge", ["link", "set", "dev", "HOST", "nomaster"], /no port of any bridge/],
    [
      "gone",
      ["link", "del", "dev", "HOST"],
      /host has no interface.*\n.*container has no interface/,
    ],
  ]
  for (const [what, command, sentence] of breakages) {
    test(what, () => {
      const bridge = fixture.bridge()
      const netns = fixture.netns("box")
      const spec = fixture.spec(1, bridge.index, DUAL)
      const port = createPort(fixture.kernel, netns, spec)
      ip(...command.map((word) => (word === "HOST" ? spec.hostName : word)))
      expect(checkPort(fixture.kernel, netns, expected(spec, port)).join("\n")).toMatch(sentence)
    })
  }

  test("what later plugins add is fine", () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    const spec = fixture.spec(1, bridge.index, DUAL)
    const port = createPort(fixture.kernel, netns, spec)
    ip("-n", "box", "addr", "add", "192.0.2.1/24", "dev", "eth0")
    ip("-n", "box", "route", "add", "198.51.100.0/24", "via", "192.0.2.9")
    expect(checkPort(fixture.kernel, netns, expected(spec, port))).toEqual([])
  })
})

describe("announce", () => {
  test("neighbours learn the new MAC of an address, in both families", async () => {
    const bridge = fixture.bridge()
    const watcher = fixture.netns("watcher")
    const peer = fixture.spec(1, bridge.index, { addresses: ["10.42.1.1/16", "fd00:42::11/64"] })
    createPort(fixture.kernel, watcher, peer)
    const old = createPort(
      fixture.kernel,
      fixture.netns("old"),
      fixture.spec(2, bridge.index, DUAL),
    )
    expect(await answers(watcher, "10.42.7.7", BEFORE_RETRY_MS)).toBe(true)
    expect(await answers(watcher, "fd00:42::7", BEFORE_RETRY_MS)).toBe(true)
    expect(neighbours().sort()).toEqual([
      "10.42.7.7 02:00:01:00:00:02",
      "fd00:42::7 02:00:01:00:00:02",
    ])
    await removePort(fixture.kernel, old.hostIndex)
    const box = fixture.netns("box")
    const spec = fixture.spec(3, bridge.index, DUAL)
    createPort(fixture.kernel, box, spec)
    await waitUntilForwarding(spec.hostName)
    announce(box, "eth0", spec.mac, spec.addresses)
    await Bun.sleep(200)
    expect(neighbours().sort()).toEqual([
      "10.42.7.7 02:00:01:00:00:03",
      "fd00:42::7 02:00:01:00:00:03",
    ])
  })
})

function neighbours(): string[] {
  return ipJson("-n", "watcher", "neigh", "show")
    .filter(({ dst }) => dst === "10.42.7.7" || dst === "fd00:42::7")
    .map(({ dst, lladdr }) => `${dst} ${lladdr}`)
}

async function waitUntilForwarding(name: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (ipJson("link", "show", "dev", name)[0]?.operstate === "UP") return
    await Bun.sleep(5)
  }
  throw new Error(`${name} never forwards`)
}
