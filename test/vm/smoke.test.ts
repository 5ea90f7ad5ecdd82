/** The lab itself: hosts on an underlay, IPsec set up by hand, and what is told of the traffic. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { parseAddress, sameAddress } from "../../src/core/address.ts"
import { parseIp } from "../../src/demo/packet_kind.ts"
import { ClusterLab } from "./cluster_lab.ts"
import type { LabHost } from "./lab_host.ts"
import { ping } from "./ping.ts"
import { type Place, startTcp, startUdp, transferTcp } from "./traffic.ts"

/** For requests whose replies must not come: no need to wait long for what would prove us wrong. */
const BRIEF = { timeoutMs: 200 }

let lab: ClusterLab
beforeAll(async () => {
  lab = await ClusterLab.start({
    hosts: ["a", "b", "hidden", "routed"],
    driver: "ipsec",
    agents: false,
    routers: { hidden: { nat: true }, routed: { nat: false } },
  })
})
afterAll(async () => {
  // Undefined when it did not start.
  await lab?.close()
})

const KEY = `0x${"5b".repeat(36)}`
const INSIDE: Readonly<Record<string, string>> = { a: "10.42.1.1", b: "10.42.2.1" }

/** A link with an address of the overlay, and the route to the other side. */
async function giveInside(host: LabHost, other: LabHost): Promise<void> {
  await host.netns.run("ip", "link", "add", "pod", "type", "dummy")
  host.netns.configure("pod", [`${inside(host)}/24`])
  const dst = `${inside(other)}/32`
  host.netns.addRoutes("uplink", [{ dst, gateway: other.v4, preferredSource: inside(host) }])
}

function inside(host: LabHost): string {
  return INSIDE[host.name] ?? ""
}

function place(host: LabHost): Place {
  return { netns: host.netns, address: inside(host) }
}

/** Security associations and policies both ways, by one `ip -batch` on each host. */
async function encrypt(a: LabHost, b: LabHost, more = ""): Promise<void> {
  for (const [host, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const state = (from: LabHost, to: LabHost, spi: number) =>
      `xfrm state add src ${from.v4} dst ${to.v4} proto esp spi ${spi} reqid 1 mode tunnel replay-window 128 flag esn aead rfc4106(gcm(aes)) ${KEY} 128 ${more}`
    const policy = (from: LabHost, to: LabHost, direction: string) =>
      `xfrm policy add src ${inside(from)}/32 dst ${inside(to)}/32 dir ${direction} tmpl src ${from.v4} dst ${to.v4} proto esp reqid 1 mode tunnel`
    const spi = host === a ? [257, 258] : [258, 257]
    const lines = [
      state(host, other, spi[0] ?? 0),
      state(other, host, spi[1] ?? 0),
      policy(host, other, "out"),
      policy(other, host, "in"),
    ]
    await host.netns.run("bash", "-c", 'printf "%s\\n" "$@" | ip -batch -', "bash", ...lines)
  }
}

describe("hosts on the underlay", () => {
  test.each(["v4", "v6"] as const)("reach each other by %s", async (family) => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    const result = await ping(a.netns, b[family], { count: 3 })
    expect(result).toMatchObject({ sent: 3, received: 3, refused: [] })
  })

  test("etcd answers the test and each host", async () => {
    const key = btoa("/lab")
    await lab.store.call("/v3/kv/put", { key, value: btoa("here") })
    expect(await lab.store.call("/v3/kv/range", { key })).toMatchObject({
      kvs: [{ value: btoa("here") }],
    })
    const get = `exec 3<>/dev/tcp/192.0.2.1/2379 && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`
    for (const host of lab.hosts) {
      expect(await host.netns.run("timeout", "10", "bash", "-c", get)).toContain('"health":"true"')
    }
  })

  test("a cut cable lets nothing through until it is healed", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    b.cable.cut()
    expect(await ping(a.netns, b.v4, BRIEF)).toMatchObject({ received: 0 })
    b.cable.heal()
    expect(await ping(a.netns, b.v4)).toMatchObject({ received: 1 })
  })

  test.each(["v4", "v6"] as const)(
    "a narrow cable swallows what is one byte too long, %s",
    async (family) => {
      const [a, b] = [lab.host("a"), lab.host("b")]
      await b.cable.narrow(1400)
      const options = { dontFragment: true }
      expect(await ping(a.netns, b[family], { ...options, size: 1400 })).toMatchObject({
        received: 1,
      })
      expect(await ping(a.netns, b[family], { ...options, ...BRIEF, size: 1401 })).toMatchObject({
        received: 0,
      })
      expect(await ping(b.netns, a[family], { ...options, ...BRIEF, size: 1401 })).toMatchObject({
        received: 0,
      })
      await b.cable.narrow(undefined)
      expect(await ping(a.netns, b[family], { ...options, size: 1500 })).toMatchObject({
        received: 1,
      })
      const over = await ping(a.netns, b[family], { ...options, size: 1501 })
      expect(over).toMatchObject({ received: 0, refused: ["EMSGSIZE"] })
    },
  )

  test("a shaped cable delays both ways", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    await b.cable.shape({ delayMs: 50 })
    const slow = await ping(a.netns, b.v4, { count: 2, timeoutMs: 3000 })
    await b.cable.shape()
    expect(slow.received).toBe(2)
    for (const rtt of slow.rttMs) expect(rtt).toBeGreaterThanOrEqual(100)
  })
})

describe("a host behind a router", () => {
  test("with NAT reaches others, and is not reached by them", async () => {
    const [a, hidden] = [lab.host("a"), lab.host("hidden")]
    for (const family of ["v4", "v6"] as const) {
      const capture = lab.capture(hidden)
      expect(await ping(hidden.netns, a[family])).toMatchObject({ received: 1 })
      // Nothing of the host's own address is on the underlay.
      const frames = capture.stop().frames.get("icmp") ?? []
      const echoes = frames.flatMap((frame) => parseIp(frame.subarray(14)) ?? [])
      expect(echoes.length).toBeGreaterThan(0)
      const own = parseAddress(hidden[family])
      for (const { source, destination } of echoes) {
        expect(sameAddress(source, own) || sameAddress(destination, own)).toBe(false)
      }
      expect(await ping(a.netns, hidden[family], BRIEF)).toMatchObject({ received: 0 })
    }
  })

  test("without NAT is reached, and a narrow router says how narrow it is", async () => {
    const [a, routed] = [lab.host("a"), lab.host("routed")]
    await routed.router?.narrow(1400)
    for (const family of ["v4", "v6"] as const) {
      const options = { dontFragment: true }
      expect(await ping(a.netns, routed[family], { ...options, size: 1400 })).toMatchObject({
        received: 1,
      })
      expect(
        await ping(a.netns, routed[family], { ...options, ...BRIEF, size: 1401 }),
      ).toMatchObject({
        received: 0,
      })
      const route = await a.netns.run("ip", "route", "get", routed[family])
      expect(route).toContain("mtu 1400")
      const back = await ping(routed.netns, a[family], { ...options, ...BRIEF, size: 1401 })
      expect(back).toMatchObject({ received: 0 })
      expect(await routed.netns.run("ip", "route", "get", a[family])).toContain("mtu 1400")
    }
    await routed.router?.narrow(undefined)
    const whole = { dontFragment: true, size: 1500 }
    expect(await ping(a.netns, routed.v4, whole)).toMatchObject({ received: 1 })
  })
})

describe("the overlay, by hand", () => {
  test("is seen in clear before it is encrypted", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    await giveInside(a, b)
    await giveInside(b, a)
    const capture = lab.capture(a)
    expect(await ping(a.netns, inside(b), { count: 2 })).toMatchObject({ received: 2 })
    const { count } = capture.stop()
    expect(count).toMatchObject({ clear: 4, esp: 0 })
  })

  test("only ESP is on the wire, and no packet of a fast stream is lost", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    await encrypt(a, b)
    const capture = lab.capture(a)
    expect(await ping(a.netns, inside(b), { count: 3 })).toMatchObject({ received: 3 })
    const stream = await startUdp(place(a), place(b), { rate: 2000 })
    await stream.more(6000)
    const udp = await stream.stop()
    const { count, frames } = capture.stop()
    expect(udp).toMatchObject({ lost: [], duplicates: 0, corrupt: 0, sendErrors: 0 })
    expect(udp.received).toBe(udp.sent)
    expect(udp.rate).toBeGreaterThan(1500)
    expect(count).toMatchObject({ clear: 0, esp: udp.sent + 6 })
    expect(frames.get("esp")?.length).toBeGreaterThan(0)
    for (const host of [a, b]) expect(host.xfrmStatistics()).toEqual({})
  })

  test("TCP arrives whole, and goes on over a short cut", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    const transfer = await transferTcp(place(a), place(b), 3_000_000)
    expect(transfer).toMatchObject({ received: 3_000_000, intact: true })
    expect(transfer.segmentBytes).toBeLessThan(1460)
    const stream = await startTcp(place(a), place(b), { rate: 200_000 })
    await stream.more(50_000)
    b.cable.cut()
    await new Promise((resolve) => setTimeout(resolve, 300))
    b.cable.heal()
    await stream.more(50_000)
    const result = await stream.stop()
    expect(result.intact).toBe(true)
    expect(result.longestGapMs).toBeGreaterThanOrEqual(200)
  })

  test("a stream tells exactly which packets were lost", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    const stream = await startUdp(place(a), place(b))
    await stream.more(500)
    // All that arrived so far came in order, so nothing below this number can be lost.
    const before = stream.received
    b.cable.cut()
    await new Promise((resolve) => setTimeout(resolve, 200))
    b.cable.heal()
    await stream.more(500)
    const { sent, received, lost } = await stream.stop()
    expect(received + lost.length).toBe(sent)
    expect(lost.length).toBeGreaterThan(100)
    expect(lost[0]).toBeGreaterThanOrEqual(before)
  })

  test("without security associations nothing leaves in clear, and the kernel counts it", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    const capture = lab.capture(a)
    await a.netns.run("ip", "xfrm", "state", "flush")
    const stream = await startUdp(place(a), place(b), { rate: 500 })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const { received, sent } = await stream.stop()
    expect(sent).toBeGreaterThan(0)
    expect(received).toBe(0)
    expect(capture.stop().count).toMatchObject({ clear: 0, esp: 0 })
    expect(a.xfrmStatistics()).not.toEqual({})
  })

  test("ESP in UDP is told apart", async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    for (const host of [a, b]) {
      await host.netns.run("sh", "-c", "ip xfrm state flush && ip xfrm policy flush")
    }
    await encrypt(a, b, "encap espinudp 4500 4500 0.0.0.0")
    const capture = lab.capture(a)
    await ping(a.netns, inside(b), BRIEF)
    const { count } = capture.stop()
    expect(count).toMatchObject({ "udp-esp": 1, clear: 0, esp: 0 })
  })
})
