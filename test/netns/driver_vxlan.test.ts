/** The VXLAN driver on three hosts with a container each. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { overheadOf } from "../../src/core/overhead.ts"
import type { OverlayPeer } from "../../src/drivers/driver.ts"
import { openVxlan, type VxlanOptions } from "../../src/drivers/vxlan/vxlan_driver.ts"
import { DriverHand } from "./driver_hand.ts"
import { ip, ipJson } from "./guard.ts"
import { inNetns } from "./lab.ts"
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

function open(host: Host, options: VxlanOptions = {}, network = NETWORK): DriverHand {
  return lab.within(host, () => new DriverHand(openVxlan(network, options)))
}

function driver(host: Host): DriverHand {
  const found = drivers.get(host)
  if (found === undefined) throw new Error(`no driver on ${host}`)
  return found
}

const peer = (host: Host, more: Partial<OverlayPeer> = {}) =>
  peerOf(host, driver(host).parameters, more)

/** Every host prepared, and told of every other. */
function meet(options: VxlanOptions = {}): void {
  for (const host of HOSTS) drivers.set(host, open(host, options))
  for (const host of HOSTS) driver(host).prepare(selfOf(host))
  for (const host of HOSTS) {
    driver(host).putPeers(HOSTS.filter((other) => other !== host).map((other) => peer(other)))
  }
}

const mac = (host: Host) => driver(host).parameters.mac ?? ""

/** `bridge fdb` of a host's VTEP, groups of multicast left out. */
function forwardings(host: Host): string[] {
  const rows = ip("netns", "exec", host, "bridge", "fdb", "show", "dev", "lrv0")
  return rows
    .split("\n")
    .map((row) => row.trim())
    .filter((row) => row !== "" && !/^(33:33|01:00:5e)/.test(row))
    .toSorted()
}

function neighbours(host: Host): string[] {
  return [4, 6]
    .flatMap((family) => ipJson(`-${family}`, "-n", host, "neigh", "show", "dev", "lrv0"))
    .filter(({ state }) => Array.isArray(state) && state.includes("PERMANENT"))
    .map(({ dst, lladdr }) => `${dst} ${lladdr}`)
    .toSorted()
}

/** Routes of ours: destination, metric and next hop. */
function routes(host: Host): string[] {
  return [4, 6]
    .flatMap((family) => ipJson(`-${family}`, "-n", host, "route", "show", "proto", "76"))
    .map(({ type, dst, gateway, dev, metric, prefsrc }) =>
      type === "unreachable"
        ? `unreachable ${dst} ${metric}`
        : `${dst}${gateway === undefined ? "" : ` via ${gateway}`} dev ${dev} ${metric} src ${prefsrc}`,
    )
    .toSorted()
}

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

  test("a host speaks to containers elsewhere from its own address, not the gateway's", async () => {
    meet()
    const lines = await lab.capture({ host: "b", link: "v0" }, "icmp", () =>
      lab.ping("a", containerOf("b")),
    )
    expect(lines.join("\n")).toContain("10.42.1.254 > 10.42.2.2: ICMP echo request")
  })

  for (const family of [4, 6] as const) {
    test(`over IPv${family} the largest packet fits exactly, one byte more does not`, async () => {
      meet({ family })
      const { mtu } = overheadOf("vxlan", { outer: 1500, family })
      expect(ipJson("-n", "a", "link", "show", "lrv0")[0]?.mtu).toBe(mtu)
      const outer = await lab.capture({ link: "pa" }, "udp port 4789", async () => {
        expect(await lab.ping("ca", containerOf("b"), mtu)).toBe(true)
        expect(await lab.ping("ca", containerOf("b", 6), mtu)).toBe(true)
      })
      // 14 bytes of the outer Ethernet header are counted too.
      expect(outer.join("\n")).toContain("length 1514: ")
      expect(await lab.ping("ca", containerOf("b"), mtu + 1)).toBe(false)
      expect(await lab.ping("ca", containerOf("b", 6), mtu + 1)).toBe(false)
    })
  }

  test("nothing is flooded: who is not asked hears nothing, and what is unknown goes nowhere", async () => {
    meet()
    const heard = await lab.capture({ link: "pc" }, "udp port 4789", async () => {
      expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    })
    expect(heard).toEqual([])
    const sent = await lab.capture(
      { link: "pa" },
      "udp port 4789 or net 10.42.0.0/16",
      async () => {
        expect(await lab.ping("ca", "10.42.99.9")).toBe(false)
        expect(await lab.ping("a", "10.42.99.9")).toBe(false)
        await inNetns("a", "ping", "-c", "1", "-W", "1", "-I", "lrv0", "10.42.2.77")
        await inNetns("a", "ping", "-b", "-c", "1", "-W", "1", "-I", "lrv0", "255.255.255.255")
      },
    )
    // 10.42.2.77 is in b's block: that alone goes out, and to b alone.
    const elsewhere = sent.filter((line) => !line.includes("192.0.2.2.4789"))
    expect(elsewhere.filter((line) => line.includes("192.0.2.1."))).toEqual([])
    expect(sent.filter((line) => line.includes("10.42.99.9"))).toEqual([])
  })

  test("without a bridge nothing of the network leaves by the default route", async () => {
    ip("-n", "a", "route", "add", "default", "via", "192.0.2.3")
    ip("-n", "a", "link", "del", "br0")
    meet()
    driver("a").removePeer("host-b")
    const sent = await lab.capture({ link: "pa" }, "icmp", async () => {
      expect(await lab.ping("a", "10.42.2.2")).toBe(false)
      expect(await lab.ping("a", "10.42.99.9")).toBe(false)
    })
    expect(sent).toEqual([])
    expect(await lab.ping("a", containerOf("c"))).toBe(true)
  })

  test("a path that is narrower has routes that say so", async () => {
    meet()
    driver("a").putPeer(peer("b", { mtu: 1400 }))
    expect(await lab.ping("ca", containerOf("b"), 1350)).toBe(true)
    expect(await lab.ping("ca", containerOf("b"), 1351)).toBe(false)
    expect(await lab.ping("ca", containerOf("c"), 1450)).toBe(true)
  })
})

describe("what the kernel has", () => {
  test("exactly the entries of the peers", () => {
    meet()
    expect(forwardings("a")).toEqual(
      [
        `${mac("b")} dst 192.0.2.2 self permanent`,
        `${mac("c")} dst 192.0.2.3 self permanent`,
      ].sort(),
    )
    expect(neighbours("a")).toEqual(
      [
        `10.42.2.254 ${mac("b")}`,
        `10.42.3.254 ${mac("c")}`,
        `fd00:42:0:2::fe ${mac("b")}`,
        `fd00:42:0:3::fe ${mac("c")}`,
      ].sort(),
    )
    expect(routes("a")).toEqual(
      [
        "10.42.2.0/24 via 10.42.2.254 dev lrv0 76 src 10.42.1.254",
        "10.42.3.0/24 via 10.42.3.254 dev lrv0 76 src 10.42.1.254",
        "fd00:42:0:2::/64 via fd00:42:0:2::fe dev lrv0 76 src fd00:42:0:1::fe",
        "fd00:42:0:2::fe dev lrv0 76 src fd00:42:0:1::fe",
        "fd00:42:0:3::fe dev lrv0 76 src fd00:42:0:1::fe",
        "fd00:42:0:3::/64 via fd00:42:0:3::fe dev lrv0 76 src fd00:42:0:1::fe",
        "unreachable 10.42.0.0/16 2147483647",
        "unreachable fd00:42::/48 2147483647",
      ].sort(),
    )
    const [link] = ipJson("-n", "a", "-d", "link", "show", "lrv0") as [Record<string, unknown>]
    expect(link).toMatchObject({ ifalias: "lariat vxlan managed", address: mac("a"), mtu: 1450 })
    expect(link.linkinfo).toMatchObject({
      info_data: { id: 1042, port: 4789, local: "192.0.2.1", learning: false },
    })
    const addresses = ipJson("-n", "a", "addr", "show", "lrv0")[0]?.addr_info as { local: string }[]
    expect(addresses.map(({ local }) => local)).toEqual(["10.42.1.254", "fd00:42:0:1::fe"])
    expect(ip("netns", "exec", "a", "cat", "/proc/sys/net/ipv4/conf/lrv0/rp_filter").trim()).toBe(
      "2",
    )
    expect(driver("a").links()).toEqual(
      ["b", "c"].map((host) => ({
        hostId: `host-${host}`,
        remote: `192.0.2.${host === "b" ? 2 : 3}`,
        ready: true,
        reason: undefined,
        ...{ txBytes: 0, rxBytes: 0, txPackets: 0, rxPackets: 0 },
      })),
    )
  })

  test("a second instance finds all, and asks the kernel for nothing", async () => {
    meet()
    const before = [forwardings("a"), neighbours("a"), routes("a")]
    const monitor = await lab.watch("a", async () => {
      driver("a").close()
      const again = open("a")
      drivers.set("a", again)
      again.prepare(selfOf("a"))
      again.putPeers([peer("b"), peer("c")])
      expect(again.repair()).toEqual([])
    })
    expect(monitor).toEqual([])
    expect([forwardings("a"), neighbours("a"), routes("a")]).toEqual(before)
  })

  test("of peers that are gone since an earlier instance, repair takes out what is left", () => {
    meet()
    driver("a").close()
    const again = open("a")
    drivers.set("a", again)
    again.prepare(selfOf("a"))
    again.putPeer(peer("b"))
    expect(routes("a").join()).toContain("10.42.3.0/24")
    expect(again.repair().toSorted()).toEqual(
      [
        "removed route 10.42.3.0/24 via 10.42.3.254",
        "removed route fd00:42:0:3::/64 via fd00:42:0:3::fe",
        "removed route fd00:42:0:3::fe/128",
        `removed neighbour 10.42.3.254 at ${mac("c")}`,
        `removed neighbour fd00:42:0:3::fe at ${mac("c")}`,
        `removed forwarding of ${mac("c")} to 192.0.2.3`,
      ].sort(),
    )
    expect(again.repair()).toEqual([])
  })

  test("repair mends what others broke, and says what", async () => {
    meet()
    ip("-n", "a", "route", "del", "10.42.2.0/24")
    ip("-n", "a", "neigh", "del", "10.42.3.254", "dev", "lrv0")
    ip("netns", "exec", "a", "bridge", "fdb", "del", mac("b"), "dev", "lrv0", "dst", "192.0.2.2")
    ip(
      "netns",
      "exec",
      "a",
      "bridge",
      "fdb",
      "append",
      "00:00:00:00:00:00",
      "dev",
      "lrv0",
      "dst",
      "192.0.2.9",
    )
    ip("-n", "a", "addr", "del", "10.42.1.254/32", "dev", "lrv0")
    ip("-n", "a", "link", "set", "lrv0", "mtu", "1300")
    ip("netns", "exec", "a", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/lrv0/rp_filter")
    expect(driver("a").repair().toSorted()).toEqual(
      [
        "set rp_filter of lrv0 to 2",
        "set mtu of lrv0",
        "added address 10.42.1.254/32",
        `added forwarding of ${mac("b")} to 192.0.2.2`,
        "removed forwarding of 00:00:00:00:00:00 to 192.0.2.9",
        `added neighbour 10.42.3.254 at ${mac("c")}`,
        "added route 10.42.2.0/24 via 10.42.2.254",
        // With the link's last IPv4 address the kernel takes out all of IPv4 on it.
        `added neighbour 10.42.2.254 at ${mac("b")}`,
        "added route 10.42.3.0/24 via 10.42.3.254",
      ].sort(),
    )
    expect(driver("a").repair()).toEqual([])
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
  })

  test("a device that was deleted or set down comes back whole", async () => {
    meet()
    ip("-n", "a", "link", "del", "lrv0")
    expect(driver("a").links()[0]).toMatchObject({
      ready: false,
      reason: "device lrv0 is not there",
    })
    expect(driver("a").repair()).toContain("made lrv0")
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    ip("-n", "a", "link", "set", "lrv0", "down")
    expect(driver("a").links()[0]).toMatchObject({ ready: false, reason: "device lrv0 is down" })
    driver("a").putPeer(peer("b", { blocks: ["10.42.2.0/24", "10.42.4.0/24"] }))
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(await lab.ping("ca", containerOf("c", 6))).toBe(true)
  })

  test("remove takes everything out, twice too", () => {
    meet()
    driver("a").remove()
    driver("a").remove()
    expect(routes("a")).toEqual([])
    expect(ip("-n", "a", "link", "show")).not.toContain("lrv0")
    expect(ip("-n", "a", "route", "show")).toContain("10.42.0.0/16 dev br0")
  })
})

describe("changes", () => {
  test("a peer's address outside changes: one entry is replaced, none is missing in between", async () => {
    meet()
    ip("-n", "b", "addr", "add", "192.0.2.22/24", "dev", "up0")
    driver("b").prepare({ ...selfOf("b"), underlay: ["192.0.2.22"] })
    const events = await lab.watch("a", async () =>
      driver("a").putPeer(peer("b", { underlay: ["192.0.2.22"] })),
    )
    expect(events).toEqual([`192.0.2.22 dev lrv0 lladdr ${mac("b")} NOARP PERMANENT`])
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    const back = await lab.capture({ link: "pb" }, "udp port 4789", () =>
      lab.ping("ca", containerOf("b")),
    )
    expect(back.some((line) => line.includes("192.0.2.22."))).toBe(true)
    expect(back.some((line) => line.includes("192.0.2.2."))).toBe(false)
  })

  test("a block passes from one host to another without a moment on neither", async () => {
    meet()
    const moved = ["10.42.2.0/24"]
    const events = await lab.watch("a", async () => {
      driver("a").putPeer(peer("c", { blocks: [...selfOf("c").blocks, ...moved] }))
      driver("a").putPeer(peer("b", { blocks: ["fd00:42:0:2::/64"] }))
    })
    expect(events.filter((line) => line.includes("10.42.2.0/24"))).toEqual([
      "10.42.2.0/24 via 10.42.3.254 dev lrv0 proto 76 src 10.42.1.254 metric 76 onlink",
    ])
    expect(events.some((line) => line.startsWith("Deleted 10.42.2.0/24"))).toBe(false)
    // b's own address lies in no block of b's any more, and has a route of its own.
    expect(routes("a").join()).toContain("10.42.2.254 via 10.42.2.254")
  })

  test("a peer's VTEP and own address change together", async () => {
    meet()
    const parameters = { ...driver("b").parameters, mac: "0e:00:00:00:00:99" }
    driver("a").putPeer(peer("b", { parameters, overlay: ["10.42.2.253"] }))
    expect(forwardings("a")).toContain("0e:00:00:00:00:99 dst 192.0.2.2 self permanent")
    expect(forwardings("a").join()).not.toContain(mac("b"))
    expect(neighbours("a")).toContain("10.42.2.253 0e:00:00:00:00:99")
    expect(neighbours("a").join()).not.toContain("10.42.2.254")
    expect(routes("a").join()).toContain("10.42.2.0/24 via 10.42.2.253")
    expect(driver("a").links()[0]?.reason).toContain("no own IPv6 address")
  })

  test("this host's own addresses change, inside and outside", async () => {
    meet()
    ip("-n", "a", "addr", "add", "192.0.2.11/24", "dev", "up0")
    driver("a").prepare({ ...selfOf("a"), overlay: ["10.42.1.253"], underlay: ["192.0.2.11"] })
    for (const host of ["b", "c"] as const) {
      driver(host).putPeer(peer("a", { overlay: ["10.42.1.253"], underlay: ["192.0.2.11"] }))
    }
    expect(routes("a").join()).toContain("10.42.2.0/24 via 10.42.2.254 dev lrv0 76 src 10.42.1.253")
    expect(ip("-n", "a", "addr", "show", "lrv0")).not.toContain("10.42.1.254")
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(await lab.ping("a", containerOf("c"))).toBe(true)
  })

  test("another VNI or another outer family makes the device anew, with all peers", async () => {
    meet()
    for (const host of HOSTS) driver(host).close()
    meet({ vni: 7, family: 6 })
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(await lab.ping("cb", containerOf("c", 6))).toBe(true)
  })

  test("a peer that is removed has nothing left", () => {
    meet()
    driver("a").removePeer("host-b")
    driver("a").removePeer("host-b")
    driver("a").removePeer("host-c")
    expect(forwardings("a")).toEqual([])
    expect(neighbours("a")).toEqual([])
    expect(routes("a")).toEqual([
      "unreachable 10.42.0.0/16 2147483647",
      "unreachable fd00:42::/48 2147483647",
    ])
  })
})

describe("refusals", () => {
  test("a link of another is never touched", () => {
    ip("-n", "a", "link", "add", "lrv0", "type", "vxlan", "id", "9", "dstport", "4789")
    drivers.set("a", open("a"))
    expect(() => driver("a").prepare(selfOf("a"))).toThrow("the name is taken by a vxlan link")
    driver("a").remove()
    expect(ip("-n", "a", "link", "show")).toContain("lrv0")
  })

  test("a VNI that another link has is named with that link", () => {
    ip("-n", "a", "link", "add", "vtep1042", "type", "vxlan", "id", "1042", "dstport", "4789")
    drivers.set("a", open("a"))
    expect(() => driver("a").prepare(selfOf("a"))).toThrow("vtep1042 has VNI 1042 at UDP port 4789")
  })

  test("peers that cannot be spoken to say why, and leave no trace", () => {
    meet()
    const reasonOf = (more: Partial<OverlayPeer>) => {
      driver("a").putPeer(peer("b", more))
      const link = driver("a")
        .links()
        .find(({ hostId }) => hostId === "host-b")
      expect(link?.ready).toBe(false)
      expect(routes("a").join()).not.toContain("10.42.2.0/24")
      return link?.reason
    }
    const { parameters } = driver("b")
    expect(reasonOf({ parameters: {} })).toBe("it has not said the MAC of its VTEP")
    expect(reasonOf({ parameters: { ...parameters, vni: "7" } })).toBe(
      'it uses VNI "7", and this host 1042',
    )
    expect(reasonOf({ parameters: { ...parameters, mac: "ff:ff:ff:ff:ff:ff" } })).toContain(
      "is none",
    )
    expect(reasonOf({ parameters: { ...parameters, mac: mac("c") } })).toBe(
      "host host-c has the same MAC of its VTEP",
    )
    expect(reasonOf({ underlay: ["2001:db8::2"] })).toBe(
      "it has no IPv4 address outside the network",
    )
    expect(reasonOf({ underlay: ["10.42.9.9"] })).toBe(
      "its address 10.42.9.9 is inside the network",
    )
    expect(reasonOf({ blocks: ["0.0.0.0/0"], overlay: [] })).toContain(
      "0.0.0.0/0 is outside the network",
    )
    expect(reasonOf({ overlay: [] })).toContain("no own IPv4 address")
    driver("a").putPeer(peer("b"))
    expect(
      driver("a")
        .links()
        .every(({ ready }) => ready),
    ).toBe(true)
  })

  test("a host that waits for a MAC gets it when the other gives it up", () => {
    meet()
    driver("a").putPeer(peer("b", { parameters: { ...driver("b").parameters, mac: mac("c") } }))
    driver("a").removePeer("host-c")
    expect(forwardings("a")).toEqual([`${mac("c")} dst 192.0.2.2 self permanent`])
  })
})

test("a thousand peers", () => {
  const one = open("a")
  drivers.set("a", one)
  const peers = Array.from({ length: 1000 }, (_, i): OverlayPeer => {
    const [high, low] = [100 + (i >> 8), i & 255]
    return {
      ...{ hostId: `host-${i}`, name: `h${i}`, number: i + 1, mtu: undefined },
      underlay: [`198.18.${high}.${low}`],
      overlay: [`10.42.${high}.${low}`],
      blocks: [`10.42.${high}.${low}/32`, `fd00:42:0:${(i + 16).toString(16)}::/64`],
      parameters: {
        mac: `0e:00:00:00:${(i >> 8).toString(16).padStart(2, "0")}:${low.toString(16).padStart(2, "0")}`,
      },
    }
  })
  one.prepare(selfOf("a"))
  const timed = (what: string, fn: () => unknown) => {
    const start = performance.now()
    fn()
    console.log(`${what}: ${(performance.now() - start).toFixed(1)} ms`)
  }
  timed("1,000 peers in one call", () => one.putPeers(peers))
  expect(forwardings("a")).toHaveLength(1000)
  timed("the same again", () => one.putPeers(peers))
  timed("repair", () => expect(one.repair()).toEqual([]))
  timed("links", () => expect(one.links()).toHaveLength(1000))
  timed("a restart", () => {
    one.close()
    const again = open("a")
    drivers.set("a", again)
    again.prepare(selfOf("a"))
    again.putPeers(peers)
  })
  timed("removing each", () => {
    for (const { hostId } of peers) drivers.get("a")?.removePeer(hostId)
  })
  expect(forwardings("a")).toEqual([])
  timed("putting each", () => {
    for (const each of peers) drivers.get("a")?.putPeer(each)
  })
  expect(forwardings("a")).toHaveLength(1000)
})
