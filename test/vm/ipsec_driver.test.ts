/** Two drivers and keys that the test makes up, on hosts without agents. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { CIPHERS, type Cipher } from "../../src/core/encapsulation.ts"
import { overheadOf } from "../../src/core/overhead.ts"
import { availableCiphers } from "../../src/drivers/ipsec/cipher_probe.ts"
import { openIpsec } from "../../src/drivers/ipsec/ipsec_driver.ts"
import type { SaPair } from "../../src/drivers/ipsec/sa_pairs.ts"
import { hasXfrmInterfaces } from "../../src/drivers/ipsec/tunnel_device.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { parseMessages } from "../../src/netlink/message.ts"
import { deleteLink } from "../../src/netlink/route/link.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import * as x from "../../src/netlink/xfrm/constants.ts"
import { parseXfrmEvent } from "../../src/netlink/xfrm/event.ts"
import { listPolicies } from "../../src/netlink/xfrm/policy.ts"
import { deleteState, listStates } from "../../src/netlink/xfrm/state.ts"
import { UdpEncapSocket } from "../../src/sys/net/udp_encap.ts"
import { DriverHand } from "../netns/driver_hand.ts"
import { ClusterLab } from "./cluster_lab.ts"
import { expectNoImpostor } from "./impostor.ts"
import {
  agree,
  NETWORK,
  newPair,
  numberOf,
  openPair,
  type Pair,
  peerOf,
  selfOf,
} from "./ipsec_pair.ts"
import { ping } from "./ping.ts"
import { type Place, startUdp } from "./traffic.ts"

const drivers = (cipher: Cipher, family: 4 | 6, options?: Parameters<typeof openPair>[3]) =>
  openPair(lab.hosts, cipher, family, options)
const FULL_TIMEOUT = { timeoutMs: 2000 }

let lab: ClusterLab
beforeAll(async () => {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec", agents: false })
  for (const host of lab.hosts) host.netns.sysctl({ "ipv4/ip_forward": "1" })
})
afterAll(async () => {
  await lab?.close()
})

/** RFC 768, bytes. */
const UDP_HEADER = 8

function place(name: string): Place {
  const host = lab.host(name)
  return { netns: host.netns, address: `10.42.${numberOf(name)}.254` }
}

test("this kernel has all that is needed", () => {
  expect(availableCiphers()).toEqual(CIPHERS)
  expect(availableCiphers({ udp: true })).toEqual(CIPHERS)
  expect(hasXfrmInterfaces()).toBe(true)
})

/** Pings of the largest size pass encrypted, and one byte more does not. */
async function expectExactSize(
  pair: Pair,
  cipher: Cipher,
  family: 4 | 6,
  udp: boolean = false,
): Promise<void> {
  agree(pair, [newPair(cipher, 1)])
  const capture = lab.capture(lab.host("b"))
  const a = lab.host("a").netns
  const { mtu } = overheadOf("ipsec", { outer: 1500, cipher, family, udp })
  for (const to of ["10.42.2.254", "fd00:42::2:fffe"]) {
    expect(await ping(a, to, FULL_TIMEOUT)).toMatchObject({ received: 1, refused: [] })
    const whole = { ...FULL_TIMEOUT, dontFragment: true, size: mtu }
    expect(await ping(a, to, whole)).toMatchObject({ received: 1 })
    const over = await ping(a, to, { timeoutMs: 300, dontFragment: true, size: mtu + 1 })
    expect(over).toMatchObject({ received: 0, refused: ["EMSGSIZE"] })
  }
  const { count } = capture.stop()
  const [used, unused] = udp ? [count["udp-esp"], count.esp] : [count.esp, count["udp-esp"]]
  expect(used).toBeGreaterThanOrEqual(8)
  expect([unused, count.clear, count.fragment]).toEqual([0, 0, 0])
  // Where no interface stops it first, what is too large is counted by name.
  const counted =
    lab.host("a").netns.link("lrx3").kind === "dummy" ? { XfrmOutStateModeError: 2 } : {}
  expect(pair.errors()).toEqual([counted, {}])
}

describe.each([4, 6] as const)("outside IPv%d", (family) => {
  test.each(CIPHERS)(
    "%s: the largest packet is the one that is said, and nothing is in clear",
    async (cipher) => {
      const pair = drivers(cipher, family)
      try {
        await expectExactSize(pair, cipher, family)
      } finally {
        pair.close()
      }
    },
  )
})

/** Sockets by which the kernel of each host takes ESP in UDP. */
function ears(family: 4 | 6): UdpEncapSocket[] {
  return lab.hosts.map(({ netns }) => netns.inside(() => UdpEncapSocket.open(family)))
}

describe.each([4, 6] as const)("in UDP, outside IPv%d", (family) => {
  let open: UdpEncapSocket[] = []
  beforeAll(() => {
    open = ears(family)
  })
  afterAll(() => {
    for (const ear of open) ear.close()
  })
  test.each(CIPHERS)("%s: the largest packet is the one that is said", async (cipher) => {
    const pair = drivers(cipher, family, { udp: true })
    try {
      const ports = { ourPort: 4500, peerPort: 4500 }
      pair.a.keyed.setEncapsulation("b", ports)
      pair.b.keyed.setEncapsulation("a", ports)
      await expectExactSize(pair, cipher, family, true)
    } finally {
      pair.close()
    }
  })
})

describe.each([4, 6] as const)("without XFRM interfaces, outside IPv%d", (family) => {
  test("the same holds, and what is local is not blocked", async () => {
    const pair = drivers("aes256gcm16", family, { interfaces: false })
    try {
      expect(lab.host("a").netns.link("lrx3").kind).toBe("dummy")
      await expectExactSize(pair, "aes256gcm16", family)
      const { netns } = lab.host("a")
      await netns.run("ip", "link", "add", "pod", "type", "dummy")
      netns.configure("pod", ["10.42.1.1/24"])
      for (const own of ["10.42.1.1", "10.42.1.254", "fd00:42::1:fffe"]) {
        expect(await ping(netns, own, FULL_TIMEOUT)).toMatchObject({ received: 1 })
      }
      await netns.run("ip", "link", "delete", "pod")
      // Chosen again by what is there, though this kernel has interfaces.
      const again = netns.inside(
        () => new DriverHand(openIpsec(NETWORK, { cipher: "aes256gcm16" })),
      )
      again.prepare(selfOf(lab.host("a"), family))
      again.putPeer(peerOf(lab.host("b"), family))
      expect(again.repair()).toEqual([])
      again.close()
    } finally {
      pair.close()
    }
    expect(policiesOf("a")).toEqual([])
  })

  test("a host cannot speak for another's, nor anybody in clear", async () => {
    const pair = drivers("aes256gcm16", family, { interfaces: false })
    try {
      agree(pair, [newPair("aes256gcm16", 1)])
      await expectNoImpostor(pair, lab)
    } finally {
      pair.close()
    }
  })
})

test("keys change under a stream, and no packet is lost or miscounted", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    let current = newPair("aes256gcm16", 1)
    agree(pair, [current])
    const stream = await startUdp(place("a"), place("b"), { rate: 2000, size: 512 })
    await stream.more(500)
    for (let round = 2; round < 22; round++) {
      const next = newPair("aes256gcm16", round)
      const waiting = (one: SaPair): SaPair => ({ ...one, send: false })
      // Inbound everywhere, then outbound, then the old ones go.
      agree(pair, [{ a: waiting(next.a), b: waiting(next.b) }, current])
      agree(pair, [next, { a: waiting(current.a), b: waiting(current.b) }])
      await stream.more(200)
      agree(pair, [next])
      current = next
    }
    const result = await stream.stop()
    expect(result.lost).toEqual([])
    expect(result).toMatchObject({ duplicates: 0, sendErrors: 0 })
    expect(pair.errors()).toEqual([{}, {}])
    expect(pair.lost).toEqual([])
    const [link] = pair.a.links()
    expect(link).toMatchObject({ hostId: "b", remote: lab.host("b").v4, ready: true })
    expect(link?.txPackets).toBeGreaterThan(100)
  } finally {
    pair.close()
  }
}, 60_000)

test("a new driver finds what the old one left, and sends on it without a gap", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    agree(pair, [newPair("aes256gcm16", 1)])
    const stream = await startUdp(place("a"), place("b"), { rate: 2000, size: 512 })
    await stream.more(500)
    pair.a.close()
    const again = drivers("aes256gcm16", 4)
    expect(again.a.repair()).toEqual([])
    await stream.more(500)
    expect(again.a.links()[0]).toMatchObject({ ready: true })
    // New keys, while the old ones stay as somebody else's.
    const next = newPair("aes256gcm16", 9)
    const waiting = { ...next.a, send: false }
    again.b.keyed.setSaPairs("a", { saPairs: [next.b], others: "use" })
    again.a.keyed.setSaPairs("b", { saPairs: [waiting], others: "use" })
    again.a.keyed.setSaPairs("b", { saPairs: [next.a], others: "use" })
    await stream.more(500)
    agree(again, [next])
    await stream.more(200)
    const result = await stream.stop()
    expect(result.lost).toEqual([])
    expect(pair.errors()).toEqual([{}, {}])
    expect(statesOf("a")).toHaveLength(2)
    again.close()
  } finally {
    pair.b.remove()
    pair.b.close()
  }
}, 60_000)

test("what an earlier process left is received on, and not sent on, where that is asked for", () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    agree(pair, [newPair("aes256gcm16", 1)])
    const later = drivers("aes256gcm16", 4)
    expect(later.a.links()[0]).toMatchObject({ ready: true })
    later.a.keyed.setSaPairs("b", { saPairs: [], others: "receive" })
    expect(later.a.links()[0]).toMatchObject({ ready: false, reason: "no keys are agreed on yet" })
    expect(statesOf("a")).toHaveLength(2)
    const out = policiesOf("a").filter(({ destination }) => destination === "10.42.2.0/24")
    expect(out).toMatchObject([{ direction: "out", action: "block" }])
    later.a.keyed.setSaPairs("b", { saPairs: [], others: "drop" })
    expect(statesOf("a")).toEqual([])
    for (const driver of [later.a, later.b]) driver.close()
  } finally {
    pair.close()
  }
})

function statesOf(name: string) {
  return lab.host(name).netns.inside(() => {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    return listStates(socket)
  })
}

test("what somebody deleted is missed, and nothing leaves in clear meanwhile", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    const first = newPair("aes256gcm16", 1)
    agree(pair, [first])
    expect(await ping(lab.host("a").netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({
      received: 1,
    })
    const capture = lab.capture(lab.host("a"))
    lab.host("a").netns.inside(() => {
      using socket = NetlinkSocket.open(NETLINK_XFRM)
      for (const state of listStates(socket)) socket.request(deleteState(state))
    })
    const silent = await ping(lab.host("a").netns, "10.42.2.254", { count: 3, timeoutMs: 200 })
    expect(silent.received).toBe(0)
    expect(capture.stop().count).toMatchObject({ clear: 0, esp: 0 })
    pair.a.repair()
    expect(pair.lost).toEqual(["a lost b"])
    expect(pair.a.keyed.facts("b")).toMatchObject({ saPair: false, policy: true, route: true })
    // The same keys are not used again.
    agree(pair, [first])
    expect(statesOf("a")).toEqual([])
    agree(pair, [newPair("aes256gcm16", 2)])
    expect(await ping(lab.host("a").netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({
      received: 1,
    })
  } finally {
    pair.close()
  }
})

test("a host cannot speak for another's containers, and clear text for the overlay is dropped", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    agree(pair, [newPair("aes256gcm16", 1)])
    await expectNoImpostor(pair, lab)
  } finally {
    pair.close()
  }
})

test("an address that changes asks for new keys, and the old ones are never used again", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    const first = newPair("aes256gcm16", 1)
    agree(pair, [first])
    const b = peerOf(lab.host("b"), 4)
    for (const underlay of [["192.0.2.77"], b.underlay]) {
      pair.a.putPeer({ ...b, underlay })
      expect(pair.a.keyed.setSaPairs("b", { saPairs: [first.a], others: "drop" })).toBe(false)
      expect(statesOf("a")).toEqual([])
    }
    // Told once, however often the old keys are named.
    expect(pair.lost).toEqual(["a lost b"])
    const second = newPair("aes256gcm16", 2)
    agree(pair, [second])
    expect(statesOf("a")).toHaveLength(2)
    pair.lost.length = 0
    const self = selfOf(lab.host("a"), 4)
    for (const underlay of [["192.0.2.66"], self.underlay]) {
      pair.a.prepare({ ...self, underlay })
      pair.a.keyed.setSaPairs("b", { saPairs: [second.a], others: "drop" })
      expect(pair.lost).toEqual(["a lost b"])
      expect(statesOf("a")).toEqual([])
      expect(pair.a.links()[0]).toMatchObject({ ready: false })
    }
    agree(pair, [newPair("aes256gcm16", 3)])
    const answer = await ping(lab.host("a").netns, "10.42.2.254", FULL_TIMEOUT)
    expect(answer).toMatchObject({ received: 1 })
  } finally {
    pair.close()
  }
})

test("keys that are told before their host, or before its address, are used once it is known", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    const b = peerOf(lab.host("b"), 4)
    pair.a.removePeer("b")
    agree(pair, [newPair("aes256gcm16", 1)])
    pair.a.putPeer({ ...b, underlay: [] })
    expect(statesOf("a")).toEqual([])
    expect(pair.a.links()[0]).toMatchObject({ ready: false, remote: undefined })
    pair.a.putPeer(b)
    expect(pair.lost).toEqual([])
    const answer = await ping(lab.host("a").netns, "10.42.2.254", FULL_TIMEOUT)
    expect(answer).toMatchObject({ received: 1 })
  } finally {
    pair.close()
  }
})

test("in UDP: a restart goes on by the ports that it finds, and other ports keep the keys", async () => {
  const ports = { ourPort: 4500, peerPort: 4500 }
  const pair = drivers("aes256gcm16", 4, { udp: true })
  const keep: DriverHand[] = []
  const open = ears(4)
  try {
    pair.a.keyed.setEncapsulation("b", ports)
    pair.b.keyed.setEncapsulation("a", ports)
    agree(pair, [newPair("aes256gcm16", 1)])
    const { netns } = lab.host("a")
    const capture = lab.capture(lab.host("b"))
    const { mtu } = overheadOf("ipsec", {
      outer: 1500,
      cipher: "aes256gcm16",
      family: 4,
      udp: true,
    })
    const whole = { ...FULL_TIMEOUT, dontFragment: true, size: mtu }
    expect(await ping(netns, "10.42.2.254", whole)).toMatchObject({ received: 1 })
    const { count } = capture.stop()
    expect(count["udp-esp"]).toBeGreaterThanOrEqual(2)
    expect([count.clear, count.esp, count.fragment]).toEqual([0, 0, 0])
    // Another process, which hears of the ports after the peer.
    pair.a.close()
    const again = drivers("aes256gcm16", 4, { udp: true })
    keep.push(again.a)
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    again.a.keyed.setEncapsulation("b", ports)
    expect(again.a.repair()).toEqual([])
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    expect(again.lost).toEqual([])
    again.b.keyed.setEncapsulation("a", ports)
    agree(again, [newPair("aes256gcm16", 2)])
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    expect(pair.errors()).toEqual([{}, {}])
    // Another port of the other's: keys and sequences go on.
    open.push(lab.host("b").netns.inside(() => UdpEncapSocket.open(4, 4501)))
    again.a.keyed.setEncapsulation("b", { ...ports, peerPort: 4501 })
    again.b.keyed.setEncapsulation("a", { ...ports, ourPort: 4501 })
    const moved = statesOf("a").map(({ encapsulation }) => encapsulation)
    expect(moved).toContainEqual({ sourcePort: 4500, destinationPort: 4501 })
    expect(moved).toContainEqual({ sourcePort: 4501, destinationPort: 4500 })
    const there = lab.capture(lab.host("b"), { esp: 4501 })
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    expect(there.stop().count["udp-esp"]).toBe(2)
    expect(again.lost).toEqual([])
    expect(pair.errors()).toEqual([{}, {}])
    // Without UDP: an association takes one kind alone, so the old ones go on until there are others.
    again.a.keyed.setEncapsulation("b", undefined)
    again.a.setUdp(false)
    expect(netns.link("lrx3").mtu).toBe(mtu)
    const old = lab.capture(lab.host("b"), { esp: 4501 })
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    expect(old.stop().count).toMatchObject({ "udp-esp": 2, esp: 0, clear: 0 })
    again.b.keyed.setEncapsulation("a", undefined)
    expect([again.lost, again.softExpired]).toEqual([
      [],
      ["a soft lifetime expired: b", "b soft lifetime expired: a"],
    ])
    agree(again, [newPair("aes256gcm16", 3)])
    const plain = lab.capture(lab.host("b"), { esp: 4501 })
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    expect(plain.stop().count).toMatchObject({ "udp-esp": 0, esp: 2, clear: 0 })
    expect([again.a.keyed.encapsulationPorts(), again.lost]).toEqual([new Set(), []])
    expect(again.a.repair()).toEqual([])
    expect(netns.link("lrx3").mtu).toBe(mtu + UDP_HEADER)
    again.a.setUdp(true)
    expect(netns.link("lrx3").mtu).toBe(mtu)
    // Nor does it take another address.
    again.a.keyed.setEncapsulation("b", { ...ports, peerAddress: "192.0.2.200" })
    expect(again.lost).toEqual(["a lost b"])
    expect(statesOf("a")).toEqual([])
    again.b.close()
  } finally {
    for (const ear of open) ear.close()
    for (const driver of [...keep, pair.b]) {
      driver.remove()
      driver.close()
    }
  }
})

test("what is deleted of device, routes and policies is put back, and works again", async () => {
  const pair = drivers("aes256gcm16", 4)
  try {
    agree(pair, [newPair("aes256gcm16", 1)])
    const { netns } = lab.host("a")
    netns.route.request(deleteLink(netns.link("lrx3").index))
    await netns.run("ip", "xfrm", "policy", "flush")
    const did = pair.a.repair()
    expect(did).toContain("made lrx3")
    expect(did).toContain("added route 10.42.2.0/24")
    expect(did).toContain("added policy out 0.0.0.0/0 to 10.42.2.0/24")
    expect(await ping(netns, "10.42.2.254", FULL_TIMEOUT)).toMatchObject({ received: 1 })
    expect(pair.a.repair()).toEqual([])
    expect(pair.lost).toEqual([])
  } finally {
    pair.close()
  }
})

test("the kernel says when a key has carried as much as it should", async () => {
  const pair = drivers("aes256gcm16", 4, { softPackets: 5n })
  const { netns } = lab.host("a")
  using events = netns.inside(() =>
    NetlinkSocket.open(NETLINK_XFRM, { groups: [x.XFRMNLGRP_EXPIRE, x.XFRMNLGRP_SA] }),
  )
  const hear = (): void => {
    for (let bytes = events.receive(); bytes !== undefined; bytes = events.receive()) {
      for (const message of parseMessages(bytes)) {
        const event = parseXfrmEvent(message)
        if (event !== undefined) pair.a.keyed.handle(event)
      }
    }
  }
  try {
    agree(pair, [newPair("aes256gcm16", 1)])
    await ping(netns, "10.42.2.254", { ...FULL_TIMEOUT, count: 3 })
    hear()
    expect(pair.softExpired).toEqual([])
    const more = await ping(netns, "10.42.2.254", { ...FULL_TIMEOUT, count: 6 })
    expect(more.received).toBe(6)
    hear()
    expect(pair.softExpired).toEqual(["a soft lifetime expired: b"])
    // What the driver deletes itself is no loss; what another deletes is.
    agree(pair, [newPair("aes256gcm16", 2)])
    hear()
    expect(pair.lost).toEqual([])
    await netns.run("ip", "xfrm", "state", "flush")
    hear()
    expect(pair.lost).toContain("a lost b")
  } finally {
    pair.close()
  }
})

function policiesOf(name: string) {
  return lab.host(name).netns.inside(() => {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    return listPolicies(socket)
  })
}

test("removed, nothing of it is left", () => {
  const pair = drivers("aes256gcm16", 4)
  agree(pair, [newPair("aes256gcm16", 1)])
  pair.close()
  for (const { netns } of lab.hosts) {
    expect(netns.links().map(({ name }) => name)).toEqual(["lo", "uplink"])
  }
  expect(statesOf("a")).toEqual([])
})
