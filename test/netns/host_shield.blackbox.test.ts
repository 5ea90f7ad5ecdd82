/** Frames of a container move nothing of the host: its routes, addresses, MTU. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { run, waitFor } from "../clients/program.ts"
import { attached } from "./container.ts"
import { addr, frame, icmp, icmp6, joined, packet, quoted, sendFrom, u16, u32 } from "./frames.ts"
import { mustLink } from "./kernel_view.ts"
import { inNetns, Lab, ownLinks, SEED, SEED_CONF } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"

const ALL_NODES = "ff02::1"
const ROUTER = "fe80::bad"
const ROUTER_MAC = "02:00:00:00:0b:ad"
/** A group of IEEE 802.1 (LLDP) that a bridge does not forward: what comes is the port's own. */
const PAST_THE_BRIDGE = "01:80:c2:00:00:0e"
const ALL_NODES_MAC = "33:33:00:00:00:01"
/** Somewhere that the host reaches by its default route. */
const FAR = "203.0.113.9"
/** Somewhere that it reaches by a container. */
const FAR6 = "2001:db8:5::9"
const GATEWAY6 = "fe80::a"

/** Types of ICMPv6: RFC 4861. */
const ADVERTISEMENT = 134
const REDIRECT6 = 137

/** All that a router may say: RFC 4861 §4.2 and §4.6, RFC 4191 §2.3, RFC 8106 §5.1. */
function advertisement(): Uint8Array {
  const life = u32(1800)
  const body = joined(
    ...[[33, 0, ...u16(1800)], u32(0), u32(0)],
    joined([1, 1], [2, 0, 0, 0, 0x0b, 0xad]),
    joined([5, 1, 0, 0], u32(1300)),
    joined([3, 4, 64, 0xc0], life, life, u32(0), addr("2001:db8:bad::")),
    joined([24, 3, 48, 0x08], life, addr("2001:db8:cafe::")),
    joined([25, 3, 0, 0], life, addr("2001:db8:bad::53")),
  )
  return icmp6(ROUTER, ALL_NODES, ADVERTISEMENT, body)
}

/** What the host's kernel lives by. */
async function state(): Promise<string> {
  const parts = [
    ["-4", "route", "show", "table", "main"],
    ["-6", "route", "show", "table", "main"],
    ["route", "get", FAR],
    ["route", "get", FAR6],
    ["-6", "address", "show", "scope", "global"],
  ]
  const texts = await Promise.all(parts.map((argv) => run(["ip", ...argv])))
  const conf = await run([
    ...["sh", "-c", "cd /proc/sys/net/ipv6/conf; grep . */mtu */hop_limit | sort"],
  ])
  return [...texts, conf].join("\n").replaceAll(/ cache.*| uid \d+|expires \S+/g, "")
}

/** What the host's tables hold of what the container said. */
const MOVED = /2001:db8:(bad|cafe)|fe80::bad|mtu 1300|\b1300$|hop_limit:33|192\.0\.2\.66/m

/** Sends all of it to the bridge and past it, from a container. */
async function attack(id: string, bridge: string): Promise<void> {
  const { address: mac } = await mustLink(bridge)
  // An echo's answer: of what the kernel itself sent it asks no socket.
  const redirected = packet("192.0.2.1", FAR, 1, new Uint8Array(8))
  const frames = [ALL_NODES_MAC, PAST_THE_BRIDGE].flatMap((to) => [
    frame(to, ROUTER_MAC, advertisement()),
    frame(
      to === ALL_NODES_MAC ? mac : to,
      ROUTER_MAC,
      // To the host, from its router: what goes to FAR shall go by another one.
      icmp("192.0.2.254", "192.0.2.1", 5, 1, joined(addr("192.0.2.66"), quoted(redirected))),
    ),
    frame(
      to,
      ROUTER_MAC,
      icmp6(GATEWAY6, ALL_NODES, REDIRECT6, joined(u32(0), addr("fe80::bad2"), addr(FAR6))),
    ),
  ])
  for (let round = 0; round < 3; round++) {
    for (const one of frames) sendFrom(id, "eth0", one)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function expectUnmoved(id: string, bridge: string): Promise<void> {
  // Whoever forwards IPv6 takes no redirects there.
  writeFileSync(`/proc/sys/net/ipv6/conf/${bridge}/forwarding`, "0")
  // Gone with a bridge that was deleted.
  await run(["ip", "-6", "route", "replace", "2001:db8:5::/64", "via", GATEWAY6, "dev", bridge])
  const before = await state()
  await attack(id, bridge)
  const after = await state()
  expect(after).not.toMatch(MOVED)
  expect(after).toBe(before)
}

/** The host's own way to the world, with routers that it listens to. */
async function uplink(): Promise<void> {
  await run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"])
  for (const link of ["up0", "up1"]) await run(["ip", "link", "set", link, "up"])
  await run(["ip", "address", "add", "192.0.2.1/24", "dev", "up0"])
  await run(["ip", "route", "add", "default", "via", "192.0.2.254"])
  for (const last of ["254", "66"]) {
    await run([
      "ip",
      "neigh",
      "add",
      `192.0.2.${last}`,
      "lladdr",
      "02:00:00:00:00:fe",
      "dev",
      "up0",
    ])
  }
  // As on many hosts at the edge, whose IPv6 comes by advertisements.
  for (const where of ["default", "all"]) {
    writeFileSync(`/proc/sys/net/ipv6/conf/${where}/accept_ra`, "2")
  }
}

const setting = (path: string) => readFileSync(`/proc/sys/net/${path}`, "utf8").trim()

let lab: Lab
beforeAll(async () => {
  await uplink()
  lab = await Lab.start({
    configs: [SEED, dualStackYaml()],
    settings: { createBridge: "always", quarantine: "1s" },
  })
  // What frames are checked for is not what keeps the host where it is.
  await attached(lab, "four", { conf: { ...SEED_CONF, antiSpoofing: false } })
  await attached(lab, "dual", { conf: { ...DUAL_CONF, antiSpoofing: false } })
  // Whoever forwards takes no redirects by `all`, unless somebody says so.
  writeFileSync("/proc/sys/net/ipv4/conf/all/accept_redirects", "1")
})
afterAll(() => lab.close())

describe.each([
  ["four", "docker0"],
  ["dual", "edge0"],
])("from container %s", (id, bridge) => {
  test("nothing of the host moves", async () => {
    await expectUnmoved(id, bridge)
    await lab.kill()
    await expectUnmoved(id, bridge)
    await lab.startAgent()
    await expectUnmoved(id, bridge)
  })

  test("nor by a bridge that was made again", async () => {
    await run(["ip", "link", "delete", bridge])
    await waitFor("the bridge", async () =>
      (await inNetns(id, "ping", "-c", "1", "-W", "1", id === "four" ? "10.42.0.1" : "10.52.0.1"))
        .status === 0
        ? true
        : undefined,
    )
    await expectUnmoved(id, bridge)
  })

  test("nor by one whose settings somebody changed, once they were compared", async () => {
    for (const path of [`ipv6/conf/${bridge}/accept_ra`, `ipv4/conf/${bridge}/accept_redirects`]) {
      writeFileSync(`/proc/sys/net/${path}`, "1")
      await waitFor(path, async () => (setting(path) === "0" ? true : undefined), 20_000)
    }
    const repairs = (await lab.status()).repairs.map(({ what }) => what).join("\n")
    expect(repairs).toContain(
      `${bridge}: ipv6/accept_ra turned off: a container could move the host by it`,
    )
    await expectUnmoved(id, bridge)
  })
})

test("ports take none either", async () => {
  for (const link of await ownLinks()) {
    expect(setting(`ipv6/conf/${link}/accept_ra`)).toBe("0")
    expect(setting(`ipv4/conf/${link}/accept_redirects`)).toBe("0")
  }
})

test("what was taken in before the bridge was shielded is thrown out with that", async () => {
  for (const [path, value] of [
    ["accept_ra", "2"],
    ["forwarding", "0"],
  ] as const) {
    writeFileSync(`/proc/sys/net/ipv6/conf/edge0/${path}`, value)
  }
  sendFrom("dual", "eth0", frame(ALL_NODES_MAC, ROUTER_MAC, advertisement()))
  await waitFor("the attack", async () => (MOVED.test(await state()) ? true : undefined))
  await waitFor("its end", async () => (MOVED.test(await state()) ? undefined : true), 20_000)
})

test("a bridge that is the host's own way to a router keeps its settings", async () => {
  await run(["ip", "link", "add", "lan0", "type", "bridge"])
  await run(["ip", "address", "add", "198.51.100.1/24", "dev", "lan0"])
  await run(["ip", "link", "set", "lan0", "up"])
  await run(["ip", "route", "add", "203.0.113.128/25", "via", "198.51.100.254", "dev", "lan0"])
  const conf = {
    ...SEED_CONF,
    name: "lan",
    bridge: "lan0",
    bridgeSubnet: "10.77.0.0/24",
    isDefaultGateway: true,
  }
  await attached(lab, "lan", { conf })
  expect(setting("ipv6/conf/lan0/accept_ra")).toBe("2")
  await lab.del("lan", { conf })
})
