/** Two drivers and keys that the test makes up, on hosts without agents. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { CIPHERS, type Cipher } from "../../src/core/encapsulation.ts"
import { overheadOf } from "../../src/core/overhead.ts"
import type { OverlayNetwork, OverlayPeer, OverlaySelf } from "../../src/drivers/driver.ts"
import { keyBytes } from "../../src/drivers/ipsec/ciphers.ts"
import { type Association, IpsecDriver } from "../../src/drivers/ipsec/ipsec_driver.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { deleteState, listStates } from "../../src/netlink/xfrm_state.ts"
import { ClusterLab } from "./cluster_lab.ts"
import type { LabHost } from "./lab_host.ts"
import { ping } from "./ping.ts"
import { type Place, startUdp } from "./traffic.ts"

const NETWORK: OverlayNetwork = {
  name: "managed",
  number: 3,
  subnets: ["10.42.0.0/16", "fd00:42::/64"],
  bridge: undefined,
  underlayMtu: 1500,
}
const NUMBERS: Readonly<Record<string, number>> = { a: 1, b: 2 }
const FULL_TIMEOUT = { timeoutMs: 2000 }

let lab: ClusterLab
beforeAll(async () => {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec", agents: false })
  for (const host of lab.hosts) host.netns.sysctl({ "ipv4/ip_forward": "1" })
})
afterAll(async () => {
  await lab?.close()
})

function selfOf(host: LabHost, family: 4 | 6): OverlaySelf {
  const number = NUMBERS[host.name] ?? 0
  return {
    hostId: host.name,
    underlay: [family === 4 ? host.v4 : host.v6],
    overlay: [`10.42.${number}.254`, `fd00:42::${number}:fffe`],
    blocks: [`10.42.${number}.0/24`, `fd00:42::${number}:0/112`],
  }
}

function peerOf(host: LabHost, family: 4 | 6): OverlayPeer {
  const number = NUMBERS[host.name] ?? 0
  const self = selfOf(host, family)
  return { ...self, name: host.name, number, mtu: undefined, parameters: {} }
}

/** Both hosts' view of one pair of keys. */
function newPair(cipher: Cipher, round: number): { a: Association; b: Association } {
  const key = () => Uint8Array.from(randomBytes(keyBytes(cipher)))
  const [toA, toB] = [key(), key()]
  const [spiA, spiB] = [0x2_0000 + round, 0x1_0000 + round]
  return {
    a: { inbound: { spi: spiA, key: toA }, outbound: { spi: spiB, key: toB }, send: true },
    b: { inbound: { spi: spiB, key: toB }, outbound: { spi: spiA, key: toA }, send: true },
  }
}

interface Pair {
  readonly a: IpsecDriver
  readonly b: IpsecDriver
  readonly lost: string[]
  close(): void
}

function drivers(cipher: Cipher, family: 4 | 6): Pair {
  const [hostA, hostB] = [lab.host("a"), lab.host("b")]
  const lost: string[] = []
  const open = (host: LabHost) =>
    host.netns.inside(() =>
      IpsecDriver.open(NETWORK, {
        cipher,
        onLost: (peer) => lost.push(`${host.name} lost ${peer}`),
      }),
    )
  const [a, b] = [open(hostA), open(hostB)]
  for (const [driver, own, other] of [
    [a, hostA, hostB],
    [b, hostB, hostA],
  ] as const) {
    driver.prepare(selfOf(own, family))
    driver.putPeer(peerOf(other, family))
  }
  return {
    a,
    b,
    lost,
    close() {
      for (const driver of [a, b]) {
        driver.remove()
        driver.close()
      }
    },
  }
}

function agree({ a, b }: Pair, pairs: readonly { a: Association; b: Association }[]): void {
  a.setAssociations("b", { associations: pairs.map((pair) => pair.a), others: "drop" })
  b.setAssociations("a", { associations: pairs.map((pair) => pair.b), others: "drop" })
}

function place(name: string): Place {
  const host = lab.host(name)
  return { netns: host.netns, address: `10.42.${NUMBERS[name]}.254` }
}

function errorsOf(host: LabHost): Record<string, number> {
  return Object.fromEntries(
    Object.entries(host.xfrmStatistics()).filter(([, count]) => Number(count) > 0),
  )
}

describe.each([4, 6] as const)("outside IPv%d", (family) => {
  test.each(CIPHERS)(
    "%s: the largest packet is the one that is said, and nothing is in clear",
    async (cipher) => {
      const pair = drivers(cipher, family)
      try {
        agree(pair, [newPair(cipher, 1)])
        const capture = lab.capture(lab.host("b"))
        const a = lab.host("a").netns
        const { mtu } = overheadOf("ipsec", { outer: 1500, cipher, family })
        for (const to of ["10.42.2.254", "fd00:42::2:fffe"]) {
          expect(await ping(a, to, FULL_TIMEOUT)).toMatchObject({ received: 1, refused: [] })
          const whole = { ...FULL_TIMEOUT, dontFragment: true, size: mtu }
          expect(await ping(a, to, whole)).toMatchObject({ received: 1 })
          const over = await ping(a, to, { timeoutMs: 300, dontFragment: true, size: mtu + 1 })
          expect(over).toMatchObject({ received: 0, refused: ["EMSGSIZE"] })
        }
        const { count } = capture.stop()
        expect(count.esp).toBeGreaterThanOrEqual(8)
        expect([count.clear, count.fragment]).toEqual([0, 0])
        expect([errorsOf(lab.host("a")), errorsOf(lab.host("b"))]).toEqual([{}, {}])
      } finally {
        pair.close()
      }
    },
  )
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
      const waiting = (one: Association): Association => ({ ...one, send: false })
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
    expect([errorsOf(lab.host("a")), errorsOf(lab.host("b"))]).toEqual([{}, {}])
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
    again.b.setAssociations("a", { associations: [next.b], others: "use" })
    again.a.setAssociations("b", { associations: [waiting], others: "use" })
    again.a.setAssociations("b", { associations: [next.a], others: "use" })
    await stream.more(500)
    agree(again, [next])
    await stream.more(200)
    const result = await stream.stop()
    expect(result.lost).toEqual([])
    expect([errorsOf(lab.host("a")), errorsOf(lab.host("b"))]).toEqual([{}, {}])
    expect(statesOf("a")).toHaveLength(2)
    again.close()
  } finally {
    pair.b.remove()
    pair.b.close()
  }
}, 60_000)

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
    expect(capture.stop().count).toMatchObject({ clear: 0, icmp: 0 })
    pair.a.repair()
    expect(pair.lost).toEqual(["a lost b"])
    expect(pair.a.facts("b")).toMatchObject({ association: false, policy: true, route: true })
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
    const b = lab.host("b")
    b.netns.configure("lo", ["10.42.7.7/32"])
    // From an address that is not in b's block, through b's own tunnel.
    b.netns.addRoutes("lrx3", [{ dst: "10.42.1.254/32", preferredSource: "10.42.7.7" }])
    expect((await ping(b.netns, "10.42.1.254", { timeoutMs: 300 })).received).toBe(0)
    const counted = errorsOf(lab.host("a"))
    expect((counted.XfrmInNoPols ?? 0) + (counted.XfrmInTmplMismatch ?? 0)).toBeGreaterThan(0)
    // In clear, from an address that is b's, past the tunnel.
    b.netns.addRoutes("uplink", [
      { dst: "10.42.1.254/32", gateway: lab.host("a").v4, preferredSource: "10.42.2.254" },
    ])
    expect((await ping(b.netns, "10.42.1.254", { timeoutMs: 300 })).received).toBe(0)
  } finally {
    pair.close()
  }
})

test("removed, nothing of it is left", () => {
  const pair = drivers("aes256gcm16", 4)
  agree(pair, [newPair("aes256gcm16", 1)])
  pair.close()
  for (const { netns } of lab.hosts) {
    expect(netns.links().map(({ name }) => name)).toEqual(["lo", "uplink"])
  }
  expect(statesOf("a")).toEqual([])
})
