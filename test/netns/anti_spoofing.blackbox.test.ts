/** What a container sends bears its own addresses, or goes nowhere. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { FrameTap } from "../../src/sys/net/frame_tap.ts"
import { openNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { run, waitFor } from "../clients/program.ts"
import { addressOf, attached, type Container, expectNothingLeft, removed } from "./container.ts"
import { type Frame, frames, LAST, namesIn, type Party } from "./forged_frames.ts"
import { FrameSender } from "./frame_sender.ts"
import { type Conf, inNetns, ipIn, Lab, pings, SEED_CONF } from "./lab.ts"
import { Random } from "./random.ts"

const RANGES = [[{ subnet: "10.42.0.0/16" }], [{ subnet: "fd42::/64" }]]
const CONF: Conf = {
  ...SEED_CONF,
  name: "guarded",
  bridge: "guarded0",
  ipam: { type: "rancher-cni-ipam", ranges: RANGES },
}
const GATEWAY = { ipv4: "10.42.0.1", ipv6: "fd42::1" }
/** Frames that are changed at random; a million by hand. */
const RANDOM_FRAMES = Number(process.env.TEST_FRAMES ?? 20_000)
/** So many at once: what the tap holds. */
const BURST = 500
const BRIDGE_NF = "/proc/sys/net/bridge/bridge-nf-call-"
const callsNetfilter = existsSync(`${BRIDGE_NF}iptables`) ? [false, true] : [false]

let lab: Lab
let me: Container
let victim: Container
beforeAll(async () => {
  lab = await Lab.start({ configs: [], settings: { createBridge: "always", quarantine: "1s" } })
  me = await attached(lab, "me", { conf: CONF })
  victim = await attached(lab, "victim", { conf: CONF })
})
afterAll(() => lab.close())

function party({ result }: Container): Party {
  const [ipv4 = "", ipv6 = ""] = (result.ips ?? []).map(
    ({ address }) => address.split("/")[0] ?? "",
  )
  return { mac: result.interfaces?.at(-1)?.mac ?? "", ipv4, ipv6 }
}

function cast() {
  return { me: party(me), victim: party(victim), gateway: GATEWAY }
}

/** Whether frames of one bridge go through iptables and tables of inet. */
async function callNetfilter(on: boolean): Promise<void> {
  if (callsNetfilter.length === 1) return
  for (const kind of ["iptables", "ip6tables"]) {
    await Bun.write(`${BRIDGE_NF}${kind}`, on ? "1" : "0")
  }
}

/** A place at which frames are sent, and one at which they arrive. */
async function between<T>(work: (sender: FrameSender, tap: FrameTap) => Promise<T>): Promise<T> {
  const [from, to] = [openNetns("/run/netns/me"), openNetns("/run/netns/victim")]
  const sender = FrameSender.open(from, "eth0")
  const tap = withNetns(to, () => FrameTap.open("eth0"))
  try {
    return await work(sender, tap)
  } finally {
    for (const one of [sender, tap, from, to]) one.close()
  }
}

/** Sends from the one, listens at the other. @returns the names of what arrived */
function arrivals(all: readonly Frame[]): Promise<string[]> {
  return between(async (sender, tap) => {
    for (const { bytes } of all) sender.send(bytes)
    const seen = new Set<string>()
    await waitFor("the last frame", () => {
      for (const name of namesIn(tap.read(), all)) seen.add(name)
      return seen.has(LAST) || undefined
    })
    return [...seen].toSorted()
  })
}

const names = (all: readonly Frame[]): string[] => all.map(({ name }) => name).toSorted()
const goodOnes = (): Frame[] => frames(cast()).filter(({ good }) => good)

async function dropped(): Promise<number> {
  const { antiSpoofing } = await lab.status()
  return Object.values(antiSpoofing.dropped).reduce((sum, one) => sum + one, 0)
}

describe.each(callsNetfilter)("bridge-nf-call-iptables=%p", (on) => {
  beforeAll(() => callNetfilter(on))

  test("good frames arrive, forged ones do not and are counted", async () => {
    const all = frames(cast())
    const forged = all.filter(({ good }) => !good)
    expect(forged.length).toBeGreaterThan(70)
    const before = await dropped()
    expect(await arrivals(all)).toEqual(names(goodOnes()))
    expect((await dropped()) - before).toBe(forged.length)
    expect((await lab.lariat("status")).stdout).toContain("forged frames dropped: ")
  })

  test("the containers reach each other and the host", async () => {
    const { ipv4, ipv6 } = party(victim)
    for (const to of [ipv4, ipv6, GATEWAY.ipv4, GATEWAY.ipv6]) {
      expect(`${to} ${await pings("me", to)}`).toBe(`${to} true`)
    }
  })
})

/** Whom a frame says that it comes from, where that can be told by its first bytes. */
function sendersOf(frame: Uint8Array): string[] {
  const type = frame.toHex().slice(24, 28)
  const at = (offset: number, length: number): string =>
    frame.subarray(offset, offset + length).toHex()
  const mac = at(6, 6)
  if (type === "0800") return [mac, at(26, 4)]
  if (type === "86dd") return [mac, at(22, 16)]
  if (type === "0806") return [mac, at(22, 6), at(28, 4)]
  return [mac, type]
}

test(`${RANDOM_FRAMES} frames with changes at random arrive under no foreign address`, async () => {
  await callNetfilter(false)
  const random = Random.fromEnvironment()
  const good = goodOnes()
  const all = frames(cast())
  // Addresses of good frames: its own, and those that say nothing yet.
  const own = new Set(good.flatMap(({ bytes }) => sendersOf(bytes)))
  // The host, the bridge and the victim say things of their own.
  const others = new Set(
    [me, victim]
      .flatMap(({ result }) => result.interfaces ?? [])
      .flatMap(({ mac = "" }) => (mac === party(me).mac ? [] : mac.replaceAll(":", ""))),
  )
  const foreign: string[] = []
  let arrived = 0
  await between(async (sender, tap) => {
    for (let sent = 0; sent < RANDOM_FRAMES; sent++) {
      const bytes = random.pick(random.chance(0.7) ? good : all).bytes.slice()
      for (let change = random.below(4); change >= 0; change--) {
        bytes[random.below(Math.min(bytes.length, 80))] = random.below(256)
      }
      sender.send(bytes)
      if (sent % BURST < BURST - 1) continue
      for (const frame of tap.read()) {
        const senders = sendersOf(frame)
        if (others.has(senders[0] ?? "")) continue
        arrived += 1
        if (senders.some((one) => !own.has(one))) foreign.push(frame.toHex())
      }
      // Nothing was missed for want of room.
      expect(tap.lost()).toBe(0)
    }
  })
  expect({ seed: random.seed, foreign: foreign.slice(0, 3) }).toEqual({
    seed: random.seed,
    foreign: [],
  })
  expect(arrived).toBeGreaterThan(RANDOM_FRAMES / 50)
}, 600_000)

test("a killed agent's containers stay guarded, and the next one knows them", async () => {
  await lab.kill()
  expect(await arrivals(frames(cast()))).toEqual(names(goodOnes()))
  await lab.startAgent()
  expect((await lab.status()).antiSpoofing.ports).toBe(2)
  expect((await lab.status()).repairs).toEqual([])
  expect(await arrivals(frames(cast()))).toEqual(names(goodOnes()))
})

test("tables that somebody flushed are put back", async () => {
  await run(["nft", "flush", "ruleset"])
  await waitFor("the table", async () => {
    const tables = await run(["nft", "list", "tables"])
    return tables.includes("table bridge lariat") || undefined
  })
  expect(await arrivals(frames(cast()))).toEqual(names(goodOnes()))
})

test("a container of two networks sends from either of its addresses by either port", async () => {
  const conf = {
    ...CONF,
    name: "second",
    bridge: "second0",
    bridgeSubnet: "10.43.0.0/16",
    ipam: { type: "rancher-cni-ipam", subnet: "10.43.0.0/16" },
  }
  const second = addressOf(await lab.add("me", { conf, ifname: "eth1" }))
  const { ipv4 } = party(victim)
  const from = (address: string): Promise<string> =>
    inNetns("me", "ping", "-c1", "-W2", "-I", address, ipv4).then(({ status }) => String(status))
  // The answer to the second address comes by the host, which routes between the bridges.
  expect(await from(second)).toBe("0")
  expect((await lab.status()).antiSpoofing.ports).toBe(3)
  await lab.del("me", { conf, ifname: "eth1" })
  await ipIn("me", "address", "add", `${second}/16`, "dev", "eth0")
  expect(await from(second)).not.toBe("0")
  await ipIn("me", "address", "delete", `${second}/16`, "dev", "eth0")
})

test("antiSpoofing: false lets a router send what it forwards", async () => {
  const conf = { ...CONF, antiSpoofing: false }
  await removed(lab, "me", { conf: CONF })
  me = await attached(lab, "me", { conf })
  expect((await lab.status()).antiSpoofing.ports).toBe(1)
  expect(await arrivals(frames(cast()))).toContain("IPv4 of other")
  await removed(lab, "me", { conf })
  me = await attached(lab, "me", { conf: CONF })
  expect(await arrivals(frames(cast()))).toEqual(names(goodOnes()))
})

test("nothing is left of containers that are gone", async () => {
  for (const id of ["me", "victim"]) await removed(lab, id, { conf: CONF })
  await expectNothingLeft(lab)
  expect((await lab.status()).antiSpoofing.ports).toBe(0)
  const table = JSON.parse(await run(["nft", "-j", "list", "table", "bridge", "lariat"]))
  const sets = table.nftables.flatMap((one: { set?: { elem?: unknown[] } }) => one.set ?? [])
  expect(sets).toHaveLength(4)
  for (const { elem = [] } of sets) expect(elem).toEqual([])
})
