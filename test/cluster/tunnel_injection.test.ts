/** What containers and strangers send that looks like a tunnel's, against real agents. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import type { DropReport, StatusReport } from "../../src/agent/report.ts"
import { FrameTap } from "../../src/sys/net/frame_tap.ts"
import { sendFrame } from "../../src/sys/net/packet.ts"
import { waitFor } from "../clients/program.ts"
import { frame, PROTOCOLS, packet, udp, vxlan } from "../netns/frames.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabContainer } from "../vm/lab_container.ts"
import type { LabHost } from "../vm/lab_host.ts"
import type { LabNetns } from "../vm/lab_netns.ts"
import { startUdp } from "../vm/traffic.ts"
import { UPLINK } from "../vm/underlay.ts"
import { expectUntouched, whole } from "./agents.ts"

const PORT = 4789
const VNI = 1042
/** What a forged packet bears, so that it is known where it should not come. */
const MARK = "a letter that nobody here wrote"
/** Until what was sent would have come, milliseconds. */
const ARRIVAL_MS = 300
/** A group of IEEE 802.1 (LLDP) that a bridge does not forward: what comes is the port's own. */
const PAST_THE_BRIDGE = "01:80:c2:00:00:0e"

const text = new TextEncoder().encode(MARK)

/** Whether a frame is what was sent; who does not listen quotes it, in ICMP. */
function isForged(bytes: Uint8Array): boolean {
  const protocol = bytes[12] === 0x08 ? bytes[23] : bytes[20]
  if (protocol !== PROTOCOLS.udp) return false
  return new TextDecoder("latin1").decode(bytes).includes(MARK)
}

/** How many forged packets come out at a container while something is sent. */
async function forgedAt(there: LabContainer, send: () => void): Promise<number> {
  const tap = there.netns.inside(() => FrameTap.open("eth0"))
  try {
    send()
    await Bun.sleep(ARRIVAL_MS)
    return tap.read().filter(isForged).length
  } finally {
    tap.close()
  }
}

/** Sends a packet out of an interface, to a MAC. */
function sendAs(netns: LabNetns, ifname: string, mac: string, content: Uint8Array): void {
  const { index, mac: own } = netns.link(ifname)
  const bytes = frame(mac, own, content)
  netns.inside(() => sendFrame(index, bytes, ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0)))
}

async function guardOf(host: LabHost, name: string): Promise<number> {
  const { guards } = await host.ask<StatusReport>("status")
  return guards.find((guard: DropReport) => guard.name === name)?.dropped ?? -1
}

interface Scene {
  readonly lab: ClusterLab
  readonly a: LabHost
  readonly b: LabHost
  readonly c: LabHost
  readonly here: LabContainer
  readonly beside: LabContainer
  readonly there: LabContainer
  readonly far: LabContainer
}

async function build(driver: "vxlan" | "routed"): Promise<Scene> {
  const lab = await ClusterLab.start({ hosts: ["a", "b", "c"], driver })
  const [a, b, c] = [lab.host("a"), lab.host("b"), lab.host("c")]
  await Promise.all([whole(a, ["b", "c"]), whole(b, ["a", "c"]), whole(c, ["a", "b"])])
  // What its frames are checked for is not what keeps it out of tunnels.
  const unchecked = { conf: { ...a.options.conf, antiSpoofing: false } }
  const [here, there, far] = [
    await a.attach("here", unchecked),
    await b.attach("there"),
    await c.attach("far"),
  ]
  return { lab, a, b, c, here, beside: await a.attach("beside"), there, far }
}

/** The bridge's MAC, to which containers send what is for elsewhere. */
function gatewayOf(host: LabHost): string {
  const bridge = host.netns
    .links()
    .find(({ kind, name }) => kind === "bridge" && !name.startsWith("lr"))
  if (bridge === undefined) throw new Error(`${host.name} has no bridge`)
  return bridge.mac
}

describe("vxlan", () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await build("vxlan")
  }, 90_000)
  afterAll(() => scene?.lab.close())

  const tunnelOf = ({ netns }: LabHost) => {
    const link = netns.links().find(({ kind }) => kind === "vxlan")
    if (link === undefined) throw new Error("there is no tunnel")
    return link
  }
  /** A forged packet in a frame to a host's tunnel. */
  const inside = (host: LabHost, from: string, to: string): Uint8Array =>
    vxlan(VNI, frame(tunnelOf(host).mac, "02:00:00:00:0b:ad", udp(from, to, 9, text)))

  /** Every way that a container of a has to make a tunnel's packet for b. */
  function attempts(): (() => void)[] {
    const { a, b, here, there, far } = scene
    const gateway = gatewayOf(a)
    return [far.v4, here.v4, there.v4.replace(/\d+$/, "99")].flatMap((from) => {
      const content = inside(b, from, there.v4)
      return [b.v4, b.v6].flatMap((to) => [
        // As any program may.
        () =>
          sendAs(
            here.netns,
            "eth0",
            gateway,
            udp(to === b.v4 ? here.v4 : here.v6, to, PORT, content),
          ),
        // As who is root in it may: in the name of a peer.
        () =>
          sendAs(
            here.netns,
            "eth0",
            gateway,
            udp(to === b.v4 ? scene.c.v4 : scene.c.v6, to, PORT, content),
          ),
      ])
    })
  }

  /** And for its own host, where `beside` is. */
  function attemptsHere(): (() => void)[] {
    const { a, c, here, beside, far } = scene
    const content = inside(a, far.v4, beside.v4)
    return [gatewayOf(a), PAST_THE_BRIDGE].flatMap((mac) =>
      [a.v4, "10.42.0.1"].flatMap((to) =>
        [here.v4, c.v4].map(
          (from) => () => sendAs(here.netns, "eth0", mac, udp(from, to, PORT, content)),
        ),
      ),
    )
  }

  async function expectNoForged(): Promise<void> {
    const all = () => {
      for (const attempt of attempts()) attempt()
    }
    expect(await forgedAt(scene.there, all)).toBe(0)
    const own = () => {
      for (const attempt of attemptsHere()) attempt()
    }
    expect(await forgedAt(scene.beside, own)).toBe(0)
  }

  test("nothing that a container makes comes out of a tunnel, whether agents run or not", async () => {
    await expectNoForged()
    const { a, b } = scene
    expect(await guardOf(a, "tunnelsOfContainers")).toBeGreaterThan(0)
    expect(await guardOf(a, "pastTheBridge")).toBeGreaterThan(0)
    const stream = await startUdp(scene.here.place(), scene.there.place(), { rate: 200 })
    await stream.more(20)
    for (const host of [a, b]) await host.killAgent()
    await expectNoForged()
    for (const host of [a, b]) await host.startAgent()
    await expectNoForged()
    await Promise.all([whole(a, ["b", "c"]), whole(b, ["a", "c"])])
    await expectNoForged()
    await stream.more(20)
    await expectUntouched(stream)
  }, 60_000)

  test("a table that somebody flushed is back, with its peers", async () => {
    await scene.b.netns.run("nft", "delete", "table", "inet", "lariat")
    await waitFor(
      "the table",
      async () =>
        (await scene.b.netns.run("nft", "list", "tables")).includes("inet lariat")
          ? true
          : undefined,
      20_000,
    )
    await expectNoForged()
    expect(await scene.here.ping(scene.there.v4)).toMatchObject({ received: 1 })
  }, 60_000)

  test("a stranger on the underlay gets nothing in", async () => {
    const { b, c, far, there } = scene
    const before = await guardOf(b, "foreignTunnels")
    const uplink = b.netns.link(UPLINK).mac
    const stranger = c.v4.replace(/\d+$/, "200")
    const content = inside(b, far.v4, there.v4)
    const sent = await forgedAt(there, () =>
      sendAs(c.netns, UPLINK, uplink, udp(stranger, b.v4, PORT, content)),
    )
    expect(sent).toBe(0)
    expect(await guardOf(b, "foreignTunnels")).toBe(before + 1)
  })

  test("a peer speaks for its own blocks alone, in both families", async () => {
    const { a, b, c, here, there, far } = scene
    const uplink = b.netns.link(UPLINK).mac
    const say = (from: string, to: string) =>
      forgedAt(there, () =>
        sendAs(c.netns, UPLINK, uplink, udp(c.v4, b.v4, PORT, inside(b, from, to))),
      )
    // So it is not for another reason that the others do not come.
    expect(await say(far.v4, there.v4)).toBe(1)
    expect(await say(far.v6, there.v6)).toBe(1)
    expect(await say(here.v4, there.v4)).toBe(0)
    expect(await say(here.v6, there.v6)).toBe(0)
    expect(await say(there.v4.replace(/\d+$/, "99"), there.v4)).toBe(0)
    expect(await say(a.v4, there.v4)).toBe(0)
  })

  test("another network of VXLAN at the same port is let in", async () => {
    const { b, c, far, there } = scene
    const before = await guardOf(b, "foreignTunnels")
    const content = vxlan(
      7,
      frame("02:00:00:00:00:01", "02:00:00:00:00:02", udp(far.v4, there.v4, 9, text)),
    )
    sendAs(c.netns, UPLINK, b.netns.link(UPLINK).mac, udp("203.0.113.7", b.v4, PORT, content))
    await Bun.sleep(ARRIVAL_MS)
    expect(await guardOf(b, "foreignTunnels")).toBe(before)
  })
})

describe("routed", () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await build("routed")
  }, 90_000)
  afterAll(() => scene?.lab.close())

  test("a container speaks to other hosts from its own host's blocks alone", async () => {
    const { a, here, there, far } = scene
    const gateway = gatewayOf(a)
    const say = (from: string, to: string) =>
      forgedAt(there, () => sendAs(here.netns, "eth0", gateway, udp(from, to, 9, text)))
    expect(await say(here.v4, there.v4)).toBe(1)
    expect(await say(here.v6, there.v6)).toBe(1)
    for (const restarted of [false, true]) {
      if (restarted) await a.killAgent()
      expect(await say(far.v4, there.v4)).toBe(0)
      expect(await say(far.v6, there.v6)).toBe(0)
      expect(await say(a.v4, there.v4)).toBe(0)
    }
    await a.startAgent()
    await whole(a, ["b", "c"])
    expect(await say(far.v4, there.v4)).toBe(0)
    expect(await guardOf(a, "foreignSources")).toBeGreaterThan(0)
    expect(await say(here.v4, there.v4)).toBe(1)
  }, 60_000)

  test("what comes from outside in the name of a container has to be of a peer's block", async () => {
    const { a, b, c, here, there, far } = scene
    const uplink = b.netns.link(UPLINK).mac
    const say = (from: string, to: string) =>
      forgedAt(there, () => sendAs(c.netns, UPLINK, uplink, udp(from, to, 9, text)))
    expect(await say(far.v4, there.v4)).toBe(1)
    expect(await say(far.v6, there.v6)).toBe(1)
    // Its link is all that is known of a peer.
    expect(await say(here.v4, there.v4)).toBe(1)
    const before = await guardOf(b, "foreignSources")
    expect(await say(there.v4.replace(/\d+$/, "99"), there.v4)).toBe(0)
    expect(await say(there.v4.replace(/\d+\.\d+$/, "250.9"), there.v4)).toBe(0)
    expect(await guardOf(b, "foreignSources")).toBe(before + 2)
    // What is no container's is not the network's business.
    expect(await say(a.v4, there.v4)).toBe(1)
  })

  test("ESP and UDP of containers are their own business where no driver uses them", async () => {
    const { a, b, here } = scene
    const before = await guardOf(a, "tunnelsOfContainers")
    const gateway = gatewayOf(a)
    sendAs(here.netns, "eth0", gateway, packet(here.v4, b.v4, PROTOCOLS.esp, text))
    sendAs(here.netns, "eth0", gateway, udp(here.v4, b.v4, 4500, text))
    sendAs(here.netns, "eth0", gateway, udp(here.v4, b.v4, PORT, text))
    await Bun.sleep(ARRIVAL_MS)
    expect(await guardOf(a, "tunnelsOfContainers")).toBe(before)
  })
})
