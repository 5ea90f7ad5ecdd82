/** The WireGuard driver on three hosts with a container each; wants a kernel that has WireGuard. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { overheadOf } from "../../src/core/overhead.ts"
import type { OverlayPeer } from "../../src/drivers/driver.ts"
import {
  openWireguard,
  type WireguardOptions,
} from "../../src/drivers/wireguard/wireguard_driver.ts"
import { NETLINK_GENERIC, NETLINK_ROUTE } from "../../src/netlink/constants.ts"
import { familyId } from "../../src/netlink/genetlink.ts"
import { getLink } from "../../src/netlink/route/link.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import {
  getWireguard,
  setWireguard,
  type WireguardPeer,
} from "../../src/netlink/wireguard/wireguard.ts"
import { DriverHand } from "../netns/driver_hand.ts"
import { ip, ipJson } from "../netns/guard.ts"
import { inNetns } from "../netns/lab.ts"
import {
  containerOf,
  HOSTS,
  type Host,
  NETWORK,
  OverlayLab,
  peerOf,
  selfOf,
} from "../netns/overlay_lab.ts"

let lab: OverlayLab
let drivers: Map<Host, DriverHand>

const random = (n: number) => crypto.getRandomValues(new Uint8Array(n))

function open(host: Host, options: WireguardOptions = {}): DriverHand {
  return lab.within(host, () => new DriverHand(openWireguard(NETWORK, random, options)))
}

function driver(host: Host): DriverHand {
  const found = drivers.get(host)
  if (found === undefined) throw new Error(`no driver on ${host}`)
  return found
}

const peer = (host: Host, more: Partial<OverlayPeer> = {}) =>
  peerOf(host, driver(host).parameters, more)
const others = (host: Host) => HOSTS.filter((other) => other !== host)

/** Every host prepared, and told of every other. */
function meet(optionsOf: (host: Host) => WireguardOptions = () => ({})): void {
  for (const host of HOSTS) drivers.set(host, open(host, optionsOf(host)))
  for (const host of HOSTS) driver(host).prepare(selfOf(host))
  for (const host of HOSTS) driver(host).putPeers(others(host).map((other) => peer(other)))
}

/** The device as its kernel tells it. */
function deviceOf(host: Host) {
  return lab.within(host, () => {
    using route = NetlinkSocket.open(NETLINK_ROUTE)
    using generic = NetlinkSocket.open(NETLINK_GENERIC)
    const index = getLink(route, "lrw0")?.index ?? 0
    return getWireguard(generic, familyId(generic, "wireguard") ?? 0, index)
  })
}

function kernelPeer(host: Host, of: Host): WireguardPeer | undefined {
  const key = driver(of).parameters.publicKey
  return deviceOf(host).peers.find(({ publicKey }) => publicKey.toBase64() === key)
}

function routes(host: Host): string[] {
  return [4, 6]
    .flatMap((family) => ipJson(`-${family}`, "-n", host, "route", "show", "proto", "76"))
    .filter(({ type }) => type !== "unreachable")
    .map(({ dst, dev, gateway, prefsrc }) => `${dst} dev ${dev} via ${gateway} src ${prefsrc}`)
    .toSorted()
}

// Building it takes seconds in a virtual machine: every test leaves it as it was.
beforeAll(async () => {
  lab = await OverlayLab.build()
})
beforeEach(() => {
  drivers = new Map()
})
afterEach(() => {
  for (const one of drivers.values()) {
    one.remove()
    one.close()
  }
})
afterAll(() => lab.close())

describe("traffic", () => {
  test("containers of all hosts reach each other in both families, and never in clear", async () => {
    meet()
    const wire = await lab.capture({ link: "pa" }, "ip or ip6", async () => {
      for (const family of [4, 6] as const) {
        expect(await lab.ping("ca", containerOf("b", family))).toBe(true)
        expect(await lab.ping("cb", containerOf("c", family))).toBe(true)
        expect(await lab.ping("a", containerOf("c", family))).toBe(true)
      }
    })
    expect(wire.some((line) => line.includes("192.0.2.1.51820 > 192.0.2.2.51820"))).toBe(true)
    expect(wire.filter((line) => /10\.42\.|fd00:42/.test(line))).toEqual([])
    const [toB] = driver("a").links()
    expect(toB).toMatchObject({ hostId: "host-b", remote: "192.0.2.2", ready: true })
    expect(toB?.reason).toBeUndefined()
    expect(Math.abs((toB?.lastHandshake ?? 0) - Date.now())).toBeLessThan(60_000)
    expect(toB?.txBytes).toBeGreaterThan(100)
    expect(toB?.rxBytes).toBeGreaterThan(100)
  })

  for (const family of [4, 6] as const) {
    test(`over IPv${family} the largest packet fits exactly, one byte more does not`, async () => {
      meet(() => ({ family }))
      const { mtu } = overheadOf("wireguard", { outer: 1500, family })
      expect(ipJson("-n", "a", "link", "show", "lrw0")[0]?.mtu).toBe(mtu)
      const outer = await lab.capture({ link: "pa" }, "udp port 51820", async () => {
        expect(await lab.ping("ca", containerOf("b"), mtu)).toBe(true)
        expect(await lab.ping("ca", containerOf("b", 6), mtu)).toBe(true)
      })
      expect(outer.join("\n")).toContain("length 1514: ")
      expect(await lab.ping("ca", containerOf("b"), mtu + 1)).toBe(false)
      expect(await lab.ping("ca", containerOf("b", 6), mtu + 1)).toBe(false)
    })
  }

  test("a preshared key that one end alone has lets nothing through", async () => {
    const key = random(32)
    const none = new Uint8Array(32)
    // b and a know one; c thinks that a knows it too.
    const known = (host: Host, other: string) => {
      if (host === "a") return other === "host-b" ? key : none
      return other === "host-a" ? key : none
    }
    meet((host) => ({ presharedKey: (other) => known(host, other) }))
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(await lab.ping("cb", containerOf("c"))).toBe(true)
    expect(kernelPeer("a", "b")?.presharedKey).toEqual(key)
    expect(kernelPeer("a", "c")?.presharedKey).toEqual(none)
    expect(await lab.ping("ca", containerOf("c"))).toBe(false)
  })

  test("who has a peer's key cannot speak for another's block", async () => {
    meet()
    expect(await lab.ping("cc", containerOf("a"))).toBe(true)
    // c takes an address of b's block and asks a from it.
    ip("-n", "cc", "addr", "add", "10.42.2.9/32", "dev", "eth0")
    const heard = await lab.capture({ host: "a", link: "v0" }, "icmp", async () => {
      await inNetns("cc", "ping", "-c", "1", "-W", "1", "-I", "10.42.2.9", containerOf("a"))
    })
    ip("-n", "cc", "addr", "del", "10.42.2.9/32", "dev", "eth0")
    expect(heard).toEqual([])
  })
})

describe("what the kernel has", () => {
  test("exactly the peers, with what was asked for", () => {
    meet(() => ({ keepalive: 25, port: 4321 }))
    const device = deviceOf("a")
    expect(device.port).toBe(4321)
    expect(device.publicKey?.toBase64()).toBe(driver("a").parameters.publicKey ?? "")
    expect(device.peers).toHaveLength(2)
    expect(kernelPeer("a", "b")).toMatchObject({
      endpoint: { address: "192.0.2.2", port: 4321 },
      keepalive: 25,
      presharedKey: new Uint8Array(32),
    })
    expect(kernelPeer("a", "b")?.allowedIps.toSorted()).toEqual([
      "10.42.2.0/24",
      "fd00:42:0:2::/64",
    ])
    expect(routes("a")).toEqual([
      "10.42.2.0/24 dev lrw0 via undefined src 10.42.1.254",
      "10.42.3.0/24 dev lrw0 via undefined src 10.42.1.254",
      "fd00:42:0:2::/64 dev lrw0 via undefined src fd00:42:0:1::fe",
      "fd00:42:0:3::/64 dev lrw0 via undefined src fd00:42:0:1::fe",
    ])
    expect(ipJson("-n", "a", "link", "show", "lrw0")[0]?.ifalias).toBe("lariat wireguard managed")
    expect(ip("netns", "exec", "a", "cat", "/proc/sys/net/ipv4/conf/lrw0/rp_filter").trim()).toBe(
      "2",
    )
  })

  test("a second instance has the same key, changes nothing, and no session ends", async () => {
    const key = random(32)
    meet(() => ({ presharedKey: () => key }))
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    const before = deviceOf("a")
    const parameters = driver("a").parameters
    driver("a").close()
    const again = open("a")
    drivers.set("a", again)
    again.prepare(selfOf("a"))
    again.putPeers(others("a").map((other) => peer(other)))
    expect(again.repair()).toEqual([])
    expect(again.parameters).toEqual(parameters)
    expect(deviceOf("a")).toEqual(before)
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(kernelPeer("a", "b")?.lastHandshake).toBe(
      before.peers.find(({ allowedIps }) => allowedIps.includes("10.42.2.0/24"))?.lastHandshake ??
        0,
    )
  })

  test("repair mends what others broke, and says what", async () => {
    meet()
    lab.within("a", () => {
      using route = NetlinkSocket.open(NETLINK_ROUTE)
      using generic = NetlinkSocket.open(NETLINK_GENERIC)
      const index = getLink(route, "lrw0")?.index ?? 0
      const [b, c] = [kernelPeer("a", "b"), kernelPeer("a", "c")]
      if (b === undefined || c === undefined) throw new Error("there are no peers")
      const peers = [
        { publicKey: b.publicKey, remove: true },
        { publicKey: c.publicKey, keepalive: 9, allowedIps: ["10.42.77.0/24", "0.0.0.0/0"] },
        { publicKey: random(32), allowedIps: ["10.42.3.0/24"] },
      ]
      const message = setWireguard(familyId(generic, "wireguard") ?? 0, index, {
        privateKey: random(32),
        port: 1000,
        peers,
      })
      generic.request(message)
    })
    const did = driver("a").repair()
    expect(did.slice(0, 2)).toEqual(["set the key of lrw0", "set the port of lrw0 to 51820"])
    expect(did.slice(2, 4).toSorted()).toEqual(["added peer host-b", "changed peer host-c"])
    expect(did).toContain("added prefix 10.42.2.0/24")
    expect(did).toContain("changed prefix 10.42.3.0/24")
    expect(did).toContain("removed prefix 10.42.77.0/24")
    expect(did.join()).toContain("removed peer ")
    expect(driver("a").repair()).toEqual([])
    expect(deviceOf("a").peers).toHaveLength(2)
    expect(kernelPeer("a", "c")?.allowedIps.toSorted()).toEqual([
      "10.42.3.0/24",
      "fd00:42:0:3::/64",
    ])
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
  })

  test("a device that was deleted comes back with its key: no other host need be told", async () => {
    meet()
    const parameters = driver("a").parameters
    ip("-n", "a", "link", "del", "lrw0")
    expect(driver("a").links()[0]).toMatchObject({
      ready: false,
      reason: "device lrw0 is not there",
    })
    driver("a").putPeer(peer("b", { blocks: ["10.42.2.0/24", "10.42.4.0/24"] }))
    expect(driver("a").parameters).toEqual(parameters)
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    expect(await lab.ping("ca", containerOf("c"))).toBe(true)
  })

  test("remove takes everything out, twice too", () => {
    meet()
    driver("a").remove()
    driver("a").remove()
    expect(routes("a")).toEqual([])
    expect(ip("-n", "a", "link", "show")).not.toContain("lrw0")
  })
})

describe("changes", () => {
  test("a peer's address outside changes", async () => {
    meet()
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
    ip("-n", "b", "addr", "del", "192.0.2.2/24", "dev", "up0")
    ip("-n", "b", "addr", "add", "192.0.2.22/24", "dev", "up0")
    driver("a").putPeer(peer("b", { underlay: ["192.0.2.22"] }))
    expect(kernelPeer("a", "b")?.endpoint?.address).toBe("192.0.2.22")
    const reached = await lab.ping("ca", containerOf("b"))
    ip("-n", "b", "addr", "del", "192.0.2.22/24", "dev", "up0")
    ip("-n", "b", "addr", "add", "192.0.2.2/24", "dev", "up0")
    expect(reached).toBe(true)
  })

  test("blocks pass from host to host, and the others stay", async () => {
    meet()
    const moved = "10.42.2.0/24"
    driver("a").putPeer(peer("c", { blocks: [...selfOf("c").blocks, moved] }))
    expect(kernelPeer("a", "c")?.allowedIps).toContain(moved)
    expect(kernelPeer("a", "b")?.allowedIps).toEqual(["fd00:42:0:2::/64"])
    driver("a").putPeer(peer("b", { blocks: ["fd00:42:0:2::/64"] }))
    // b's own address lies in no block of b's any more.
    expect(kernelPeer("a", "b")?.allowedIps.toSorted()).toEqual([
      "10.42.2.254/32",
      "fd00:42:0:2::/64",
    ])
    driver("a").putPeer(peer("c"))
    expect(kernelPeer("a", "c")?.allowedIps).not.toContain(moved)
    expect(deviceOf("a").peers).toHaveLength(2)
    expect(await lab.ping("ca", containerOf("c"))).toBe(true)
  })

  test("a peer with a new key", async () => {
    meet()
    driver("b").remove()
    driver("b").close()
    drivers.set("b", open("b"))
    driver("b").prepare(selfOf("b"))
    driver("b").putPeers(others("b").map((other) => peer(other)))
    driver("a").putPeer(peer("b"))
    expect(deviceOf("a").peers).toHaveLength(2)
    expect(await lab.ping("ca", containerOf("b"))).toBe(true)
  })
})

test("a port that is taken is named", () => {
  const holder = lab.within(
    "a",
    () =>
      new DriverHand(openWireguard({ ...NETWORK, number: 1, subnets: ["10.43.0.0/16"] }, random)),
  )
  holder.prepare({ ...selfOf("a"), overlay: [], blocks: [] })
  drivers.set("a", open("a"))
  expect(() => driver("a").prepare(selfOf("a"))).toThrow(
    "Cannot set up lrw0: UDP port 51820 is taken",
  )
  holder.remove()
  holder.close()
})

test("a thousand peers", () => {
  const one = open("a")
  drivers.set("a", one)
  one.prepare(selfOf("a"))
  const peers = Array.from({ length: 1000 }, (_, i): OverlayPeer => {
    const [high, low] = [100 + (i >> 8), i & 255]
    const key = new Uint8Array(32).fill(5)
    new DataView(key.buffer).setUint32(4, i)
    return {
      ...{ hostId: `host-${i}`, name: `h${i}`, number: i + 1, mtu: undefined },
      underlay: [`198.18.${high}.${low}`],
      overlay: [`10.42.${high}.${low}`],
      blocks: [`10.42.${high}.${low}/32`, `fd00:42:0:${(i + 16).toString(16)}::/64`],
      parameters: { publicKey: key.toBase64(), port: "51820" },
    }
  })
  const timed = (what: string, fn: () => unknown) => {
    const start = performance.now()
    fn()
    console.log(`${what}: ${(performance.now() - start).toFixed(1)} ms`)
  }
  timed("1,000 peers in one call", () => one.putPeers(peers))
  expect(deviceOf("a").peers).toHaveLength(1000)
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
    for (const { hostId } of peers) driver("a").removePeer(hostId)
  })
  expect(deviceOf("a").peers).toEqual([])
})
