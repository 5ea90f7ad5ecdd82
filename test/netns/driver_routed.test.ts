/** The driver of plain routes on three hosts with a container each. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import type { OverlayPeer } from "../../src/drivers/driver.ts"
import { openRouted } from "../../src/drivers/routed/routed_driver.ts"
import { DriverHand } from "./driver_hand.ts"
import { ip, ipJson } from "./guard.ts"
import {
  containerOf,
  HOSTS,
  type Host,
  NETWORK,
  OverlayLab,
  peerOf,
  selfOf,
} from "./overlay_lab.ts"

let lab: OverlayLab
let drivers: Map<Host, DriverHand>

const open = (host: Host) => lab.within(host, () => new DriverHand(openRouted(NETWORK)))

function driver(host: Host): DriverHand {
  const found = drivers.get(host)
  if (found === undefined) throw new Error(`no driver on ${host}`)
  return found
}

const peer = (host: Host, more: Partial<OverlayPeer> = {}) => peerOf(host, {}, more)

/** Every host prepared, and told of every other. */
function meet(): void {
  for (const host of HOSTS) drivers.set(host, open(host))
  for (const host of HOSTS) driver(host).prepare(selfOf(host))
  for (const host of HOSTS) {
    driver(host).putPeers(HOSTS.filter((other) => other !== host).map((other) => peer(other)))
  }
}

/** Routes of ours: destination, next hop, source. */
function routes(host: Host): string[] {
  return [4, 6]
    .flatMap((family) => ipJson(`-${family}`, "-n", host, "route", "show", "proto", "76"))
    .map(({ type, dst, gateway, via, dev, prefsrc }) =>
      type === "unreachable"
        ? `unreachable ${dst}`
        : `${dst} via ${gateway ?? JSON.stringify(via)} dev ${dev} src ${prefsrc}`,
    )
    .toSorted()
}

const FALLBACK = ["unreachable 10.42.0.0/16", "unreachable fd00:42::/48"]
const TO_B = [
  "10.42.2.0/24 via 192.0.2.2 dev up0 src 10.42.1.254",
  "fd00:42:0:2::/64 via 2001:db8::2 dev up0 src fd00:42:0:1::fe",
]
const TO_C = [
  "10.42.3.0/24 via 192.0.2.3 dev up0 src 10.42.1.254",
  "fd00:42:0:3::/64 via 2001:db8::3 dev up0 src fd00:42:0:1::fe",
]

beforeEach(async () => {
  drivers = new Map()
  lab = await OverlayLab.build()
})
afterEach(async () => {
  for (const one of drivers.values()) one.close()
  await lab.close()
})

describe("traffic", () => {
  test("containers and hosts of all hosts reach each other, in IPv4 and IPv6", async () => {
    meet()
    for (const family of [4, 6] as const) {
      expect(await lab.ping("ca", containerOf("b", family))).toBe(true)
      expect(await lab.ping("cb", containerOf("c", family))).toBe(true)
      expect(await lab.ping("a", containerOf("c", family))).toBe(true)
    }
    expect(await lab.ping("ca", "10.42.3.254")).toBe(true)
    expect(await lab.ping("ca", "fd00:42:0:3::fe")).toBe(true)
  })

  test("not a byte is added: the largest packet is the underlay's own", async () => {
    meet()
    expect(await lab.ping("ca", containerOf("b"), 1500)).toBe(true)
    expect(await lab.ping("ca", containerOf("b", 6), 1500)).toBe(true)
    driver("a").putPeer(peer("b", { mtu: 1400 }))
    expect(await lab.ping("ca", containerOf("b"), 1400)).toBe(true)
    expect(await lab.ping("ca", containerOf("b"), 1401)).toBe(false)
  })

  test("a host speaks from its own address, and only the host that is asked hears it", async () => {
    meet()
    const [b, c] = await Promise.all([
      lab.capture({ host: "b", link: "up0" }, "icmp", () => lab.ping("a", containerOf("b"))),
      lab.capture({ host: "c", link: "up0" }, "icmp", () => lab.ping("a", containerOf("b"))),
    ])
    expect(b.join("\n")).toContain("10.42.1.254 > 10.42.2.2: ICMP echo request")
    expect(c).toEqual([])
  })

  test("what has no peer is unreachable, and not sent to the default route", async () => {
    meet()
    ip("-n", "a", "route", "add", "default", "via", "192.0.2.3")
    ip("-n", "a", "link", "del", "br0")
    driver("a").removePeer("host-b")
    const sent = await lab.capture({ link: "pa" }, "icmp", async () => {
      expect(await lab.ping("a", "10.42.2.2")).toBe(false)
      expect(await lab.ping("a", "10.42.99.9")).toBe(false)
    })
    expect(sent).toEqual([])
  })
})

describe("what the kernel has", () => {
  test("exactly the routes of the peers, and this host's own addresses", () => {
    meet()
    expect(routes("a")).toEqual([...TO_B, ...TO_C, ...FALLBACK].sort())
    const [holder] = ipJson("-n", "a", "addr", "show", "lrr0") as {
      addr_info: { local: string; tentative?: boolean; scope: string }[]
    }[]
    expect(ipJson("-n", "a", "link", "show", "lrr0")[0]?.ifalias).toBe("lariat bridge managed")
    const own = holder?.addr_info.filter(({ scope }) => scope === "global")
    expect(own?.map(({ local }) => local)).toEqual(["10.42.1.254", "fd00:42:0:1::fe"])
    expect(own?.some(({ tentative }) => tentative === true)).toBe(false)
    expect(driver("a").links()).toMatchObject([
      { hostId: "host-b", remote: "192.0.2.2", ready: true, reason: undefined },
      { hostId: "host-c", remote: "192.0.2.3", ready: true, reason: undefined },
    ])
  })

  test("a second instance finds all, and asks the kernel for nothing", async () => {
    meet()
    const events = await lab.watch("a", async () => {
      driver("a").close()
      drivers.set("a", open("a"))
      driver("a").prepare(selfOf("a"))
      driver("a").putPeers([peer("b"), peer("c")])
      expect(driver("a").repair()).toEqual([])
    })
    expect(events).toEqual([])
  })

  test("repair mends what others broke, takes out what an earlier run left, and says what", async () => {
    meet()
    driver("a").close()
    drivers.set("a", open("a"))
    driver("a").prepare(selfOf("a"))
    driver("a").putPeer(peer("b"))
    ip("-n", "a", "route", "del", "10.42.2.0/24")
    ip("-n", "a", "route", "del", "unreachable", "10.42.0.0/16")
    expect(driver("a").links()[0]?.ready).toBe(true)
    expect(driver("a").repair()).toEqual([
      "added route unreachable 10.42.0.0/16",
      "added route 10.42.2.0/24 via 192.0.2.2",
      "removed route 10.42.3.0/24 via 192.0.2.3",
      "removed route fd00:42:0:3::/64 via 2001:db8::3",
    ])
    expect(routes("a")).toEqual([...TO_B, ...FALLBACK].sort())
    ip("-n", "a", "link", "del", "lrr0")
    expect(driver("a").repair()).toContain("made lrr0")
    expect(driver("a").repair()).toEqual([])
    expect(await lab.ping("a", containerOf("b"))).toBe(true)
  })

  test("routes of others for the same prefix stay, and come first", () => {
    ip("-n", "a", "route", "add", "10.42.2.0/24", "via", "192.0.2.3")
    meet()
    driver("a").repair()
    driver("a").remove()
    expect(ip("-n", "a", "route", "show", "10.42.2.0/24").trim()).toBe(
      "10.42.2.0/24 via 192.0.2.3 dev up0",
    )
    expect(routes("a")).toEqual([])
    expect(ip("-n", "a", "link", "show")).not.toContain("lrr0")
    driver("a").remove()
  })
})

describe("changes", () => {
  test("a peer's address outside changes: its routes are replaced, none is missing in between", async () => {
    meet()
    ip("-n", "b", "addr", "add", "192.0.2.22/24", "dev", "up0")
    const events = await lab.watch("a", async () =>
      driver("a").putPeer(peer("b", { underlay: ["192.0.2.22", "2001:db8::2"] })),
    )
    expect(events).toEqual([
      "10.42.2.0/24 via 192.0.2.22 dev up0 proto 76 src 10.42.1.254 metric 76",
    ])
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
  })

  test("a block passes from host to host in one step", async () => {
    meet()
    const events = await lab.watch("a", async () => {
      driver("a").putPeer(peer("c", { blocks: [...selfOf("c").blocks, "10.42.2.0/24"] }))
      driver("a").putPeer(peer("b", { blocks: ["fd00:42:0:2::/64"] }))
    })
    expect(events.filter((line) => line.includes("10.42.2.0/24"))).toEqual([
      "10.42.2.0/24 via 192.0.2.3 dev up0 proto 76 src 10.42.1.254 metric 76",
    ])
  })

  test("this host's own address on the network changes", async () => {
    meet()
    driver("a").prepare({ ...selfOf("a"), overlay: ["10.42.1.253"] })
    expect(routes("a")[0]).toBe("10.42.2.0/24 via 192.0.2.2 dev up0 src 10.42.1.253")
    expect(ip("-n", "a", "addr", "show", "lrr0")).not.toContain("10.42.1.254")
    expect(await lab.ping("a", containerOf("b"))).toBe(true)
  })

  test("IPv4 goes by an IPv6 next hop where hosts have no IPv4", async () => {
    meet()
    for (const [host, other] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      driver(host).putPeer(peer(other, { underlay: selfOf(other).underlay.slice(1) }))
    }
    expect(routes("a").join()).toContain('10.42.2.0/24 via {"family":"inet6","host":"2001:db8::2"}')
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(driver("a").repair()).toEqual([])
  })

  test("a peer that comes behind a router loses its routes, and gets them back", () => {
    meet()
    const linkTo = () =>
      driver("a")
        .links()
        .find(({ hostId }) => hostId === "host-b")
    ip("-n", "a", "route", "add", "192.0.2.2/32", "via", "192.0.2.3")
    const { ready, reason } = linkTo() ?? {}
    expect({ ready, reason }).toEqual({
      ready: false,
      reason:
        "its address 192.0.2.2 is behind router 192.0.2.3: plain routes need both hosts on one layer-2 network",
    })
    driver("a").repair()
    // By IPv6 it is still a neighbour.
    expect(routes("a").join()).toContain('10.42.2.0/24 via {"family":"inet6","host":"2001:db8::2"}')
    ip("-n", "a", "route", "add", "2001:db8::2/128", "via", "2001:db8::3")
    driver("a").repair()
    expect(routes("a")).toEqual([...TO_C, ...FALLBACK].sort())
    expect(linkTo()?.ready).toBe(false)
    ip("-n", "a", "route", "del", "192.0.2.2/32")
    ip("-n", "a", "route", "del", "2001:db8::2/128")
    driver("a").repair()
    expect(routes("a")).toEqual([...TO_B, ...TO_C, ...FALLBACK].sort())
    expect(linkTo()?.ready).toBe(true)
  })
})

test("a thousand peers", () => {
  const one = open("a")
  drivers.set("a", one)
  ip("-n", "a", "addr", "add", "198.18.0.1/16", "dev", "up0")
  one.prepare(selfOf("a"))
  const peers = Array.from({ length: 1000 }, (_, i): OverlayPeer => {
    const [high, low] = [100 + (i >> 8), i & 255]
    return {
      ...{ hostId: `host-${i}`, name: `h${i}`, number: i + 1, mtu: undefined, parameters: {} },
      underlay: [`198.18.${high}.${low}`],
      overlay: [`10.42.${high}.${low}`],
      blocks: [`10.42.${high}.${low}/32`],
    }
  })
  const timed = (what: string, fn: () => unknown) => {
    const start = performance.now()
    fn()
    console.log(`${what}: ${(performance.now() - start).toFixed(1)} ms`)
  }
  timed("1,000 peers in one call", () => one.putPeers(peers))
  expect(routes("a")).toHaveLength(1002)
  timed("the same again", () => one.putPeers(peers))
  timed("repair", () => expect(one.repair()).toEqual([]))
  timed("links", () => expect(one.links().every(({ ready }) => ready)).toBe(true))
  timed("removing each", () => {
    for (const { hostId } of peers) one.removePeer(hostId)
  })
  timed("putting each", () => {
    for (const each of peers) one.putPeer(each)
  })
  expect(routes("a")).toHaveLength(1002)
})
