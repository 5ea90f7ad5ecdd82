/** Hosts that lie, and who else can write to the store, against real agents and a real etcd. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { BlockReport, PeerReport } from "../../src/agent/cluster/report.ts"
import type { Write } from "../../src/cluster/store/store.ts"
import { waitFor } from "../clients/program.ts"
import type { TestHost } from "../cluster_model/test_host.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabContainer } from "../vm/lab_container.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { startUdp, type UdpStream } from "../vm/traffic.ts"
import { blocksOf, expectUntouched, idOf, peersOf, problemsOf, whole } from "./agents.ts"
import { Intruder, NETWORK, refusals } from "./intruder.ts"

/** A block that nobody of the lab wants first; a host takes it where it can. */
const FREE_BLOCK = "10.42.200.0/24"
/** A change of the store is in the agents by then, with room for a busy machine, milliseconds. */
const HEARD_MS = 1500

let lab: ClusterLab
let intruder: Intruder
let a: LabHost
let b: LabHost
let bId: string
let here: LabContainer
let there: LabContainer
/** IPv4, of b, with a container in it. */
let bBlock: string
let mallory: TestHost

beforeAll(async () => {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "vxlan" })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  await Promise.all([whole(a, ["b"]), whole(b, ["a"])])
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
  bId = await idOf(b)
  bBlock = await blockOf(b)
  intruder = new Intruder(lab)
  mallory = intruder.insider("mallory", 4242)
  await intruder.write(...mallory.join(), mallory.claimWrite(FREE_BLOCK))
  for (const host of [a, b]) {
    await host.until<PeerReport[]>("peers", (peers) =>
      peers.some(({ name }) => name === mallory.name),
    )
  }
}, 60_000)

afterAll(async () => {
  await intruder?.close()
  await lab?.close()
})

/** Between containers of the honest hosts, through each test. */
let stream: UdpStream
/** Where the log of a was when the test began. */
let mark: number
beforeEach(async () => {
  mark = a.log.length
  stream = await startUdp(here.place(), there.place(), { rate: 200 })
  await stream.more(20)
})
afterEach(async () => {
  await stream.more(20)
  await expectUntouched(stream)
})

/** Its IPv4 block. */
async function blockOf(host: LabHost): Promise<string> {
  const found = (await blocksOf(host)).find((block) => !block.includes(":"))
  if (found === undefined) throw new Error(`${host.name} has no block`)
  return found
}

const names = async (host: LabHost) => (await peersOf(host)).map(({ name }) => name)

async function holderOf(block: string): Promise<string | undefined> {
  const blocks = await a.ask<BlockReport[]>("blocks")
  return blocks.find((one) => one.block === block)?.hostId
}

/** All that a's kernel was told of other hosts. */
async function kernel(): Promise<string> {
  const routes = await a.netns.run("ip", "route", "show", "table", "all")
  const routes6 = await a.netns.run("ip", "-6", "route", "show", "table", "all")
  const neighbours = await a.netns.run("ip", "neigh", "show", "nud", "permanent")
  const forwarding = await a.netns.run("bridge", "fdb", "show")
  return [routes, routes6, neighbours, forwarding].join("\n")
}

/** Writes, waits until it was heard, and says what a refused. */
async function attack(...writes: Write[]): Promise<string[]> {
  await intruder.write(...writes)
  await new Promise((resolve) => setTimeout(resolve, HEARD_MS))
  return refusals(a, mark)
}

describe("an insider", () => {
  test("gets nothing of another host's block, written over or deleted and claimed", async () => {
    const { keys } = intruder
    const key = keys.block(NETWORK, bBlock)
    const before = await kernel()
    const lines = await attack(mallory.claimWrite(bBlock))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(
      `Cannot take block ${bBlock} of network ${NETWORK} for host ${mallory.name}: held: host b holds it`,
    )
    await intruder.isOf(key, bId)
    // Deleted first, and claimed before b can do anything about it, with every lie that there is.
    const lies = { from: bId }
    await intruder.write({ key, value: undefined })
    await intruder.write(mallory.claimWrite(bBlock, "held", lies))
    await intruder.isOf(key, bId)
    // Nobody can give up what is another's.
    await attack(mallory.claimWrite(bBlock, "released"))
    await intruder.isOf(key, bId)
    expect(await holderOf(bBlock)).toBe(bId)
    expect(await kernel()).toBe(before)
    expect(refusals(a, mark)).toHaveLength(1)
    // The victim tells of it, too.
    expect(
      refusals(b).filter((line) => line.includes(bBlock) && line.includes("mine")),
    ).toHaveLength(1)
  }, 60_000)

  test("gets nothing of another host's container", async () => {
    const key = intruder.keys.endpoint(NETWORK, there.v4)
    await intruder.isOf(key, bId)
    const lines = await attack(
      mallory.endpointWrite(there.v4),
      mallory.endpointWrite("10.42.200.7", { addresses: ["10.42.200.7", there.v6] }),
    )
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(
      `Cannot take ${there.v4} of network ${NETWORK} for host ${mallory.name}: outside`,
    )
    await intruder.isOf(key, bId)
    await attack({ key, value: undefined })
    await intruder.isOf(key, bId)
    expect(refusals(a, mark)).toHaveLength(1)
  })

  test("cannot have another host's number or key", async () => {
    const { keys } = intruder
    const number = (await peersOf(a)).find(({ hostId }) => hostId === bId)?.number ?? 0
    const text = await intruder.read(keys.identity(bId))
    // Under a name of its own.
    const second = intruder.insider("second", number)
    const lines = await attack(...second.join())
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(
      `Cannot take the identity of host second: number: ${number} is host ${bId}'s`,
    )
    await intruder.write(
      { key: keys.identity("second"), value: undefined },
      { key: keys.host("second"), value: undefined },
      { key: keys.alive("second"), value: undefined },
    )
    // In its place.
    const pretender = intruder.insider(bId, number)
    const more = await attack(pretender.identityWrite(), {
      key: keys.number(number),
      value: "second",
    })
    expect(more.slice(1)).toHaveLength(1)
    expect(more[1]).toContain(`Cannot take the identity of host ${bId}: public-key`)
    await intruder.until(keys.identity(bId), (value) => value === text)
    await intruder.until(keys.number(number), (value) => value === bId)
    expect(await names(a)).not.toContain(second.name)
    expect(await names(a)).toContain("b")
  })

  test("is not reached at another host's address, and again at its own", async () => {
    const before = await kernel()
    const lines = await attack(mallory.recordWrite({ underlay: [b.v4] }))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(`Cannot reach host ${mallory.name}: underlay: ${b.v4} is host b's`)
    await attack(mallory.recordWrite({ underlay: [mallory.underlay, a.v6] }))
    await attack(mallory.recordWrite({ underlay: [b.v6] }))
    expect(refusals(a, mark)).toHaveLength(1)
    expect(await kernel()).toBe(before)
    await attack(mallory.recordWrite())
    expect(refusals(a, mark)).toHaveLength(1)
  })
})

describe("a record", () => {
  test("that is an older one is refused, and put right by its host", async () => {
    const { keys } = intruder
    const [hostKey, block, endpoint] = [
      keys.host(bId),
      keys.block(NETWORK, bBlock),
      keys.endpoint(NETWORK, there.v4),
    ]
    const old = new Map<string, string>()
    for (const key of [hostKey, block, endpoint]) {
      const text = await intruder.isOf(key, bId)
      old.set(key, text)
      await intruder.write({ key, value: undefined })
      await intruder.isOf(key, bId, text)
    }
    await new Promise((resolve) => setTimeout(resolve, HEARD_MS))
    expect(refusals(a, mark)).toEqual([])
    const lines = await attack(...[...old].map(([key, value]) => ({ key, value })))
    for (const [key, text] of old) {
      const mine = lines.filter((line) =>
        line.includes(`Cannot take ${key} of host ${bId}: sequence`),
      )
      expect(mine).toHaveLength(1)
      await intruder.isOf(key, bId, text)
    }
    expect(lines).toHaveLength(old.size)
    expect(await holderOf(bBlock)).toBe(bId)
  }, 60_000)

  test("of a container that is gone does not stay, though nobody saw a newer one", async () => {
    const gone = await b.attach("gone")
    const key = intruder.keys.endpoint(NETWORK, gone.v4)
    const text = await intruder.isOf(key, bId)
    await gone.detach()
    await intruder.until(key, (value) => value === undefined)
    await intruder.write({ key, value: text })
    await intruder.until(key, (value) => value === undefined)
  })

  test("that is forged is refused, whichever part of it", async () => {
    const { keys } = intruder
    const key = keys.host(bId)
    // Another one's key.
    const forger = intruder.insider(bId, 5)
    forger.sequence = 1_000_000
    const [first] = await attack(forger.recordWrite({ underlay: [mallory.underlay] }))
    expect(first).toContain(`Cannot take ${key} of host ${bId}: signature`)
    const good = await intruder.isOf(key, bId, forger.recordWrite().value)
    // Another host's record in its place.
    await attack({ key, value: mallory.recordWrite().value })
    await intruder.isOf(key, bId)
    // A bit of the body, of the MAC; without one.
    const words = good.split(" ")
    await attack({ key, value: good.replace('"labels":{}', '"labels":{"x":"y"}') })
    await attack({ key, value: [words[0], "-", ...words.slice(2)].join(" ") })
    const lines = refusals(a, mark)
    expect(lines.map((line) => /of host \S+: ([a-z]+):/.exec(line)?.[1])).toEqual([
      "signature",
      "key",
      "mac",
    ])
    await intruder.isOf(key, bId)
    expect(await names(a)).toContain("b")
  }, 60_000)

  test("that is garbage, or huge, costs a line and nothing else", async () => {
    const { keys } = intruder
    const garbage = ["", "\n", "lariat1", "{}", "\u0000".repeat(100), "x".repeat(900_000)]
    const deep = mallory.sign(
      "host",
      keys.host(mallory.id),
      JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`),
    )
    const places = [
      keys.identity("stranger"),
      keys.host("stranger"),
      keys.host(mallory.id),
      keys.keys(mallory.id),
      keys.ack(mallory.id),
      keys.block(NETWORK, "10.42.201.0/24"),
      keys.endpoint(NETWORK, "10.42.201.7"),
    ]
    for (const value of [...garbage, deep]) {
      for (const key of places) await intruder.write({ key, value })
    }
    await intruder.write(
      { key: `${keys.prefix}hosts/../x`, value: "x" },
      { key: `${keys.prefix}blocks/%/x`, value: "x" },
      { key: `${keys.prefix}${"k".repeat(2000)}`, value: "x" },
    )
    const lines = await attack(...places.map((key) => ({ key, value: undefined })))
    await intruder.write(mallory.recordWrite())
    const told = lines.map((line) => line.slice(line.indexOf("refused:")))
    expect(new Set(told).size).toBe(told.length)
    // Kinds of records by checks that they fail.
    expect(told.length).toBeLessThan(20)
    expect(await names(a)).toEqual(["b", mallory.name])
    expect(await problemsOf(a)).toEqual([])
  }, 60_000)
})

describe("a host", () => {
  /** Starts an agent, with a container, that others do not let in. */
  async function stranger(name: string, settings: Record<string, string>): Promise<LabContainer> {
    const host = await lab.addHost(name)
    host.options = { ...host.options, settings: { ...host.options.settings, ...settings } }
    await host.startAgent()
    return await host.attach("inside")
  }

  /** Nothing of it is on a, and nothing passes between the two. */
  async function expectOutside(name: string, container: LabContainer): Promise<void> {
    const host = lab.host(name)
    expect(await names(a)).not.toContain(name)
    const block = await blockOf(host)
    const known = await kernel()
    expect(known).not.toContain(block)
    expect(known).not.toContain(host.v4)
    expect(await container.ping(here.v4, { count: 3, timeoutMs: 300 })).toMatchObject({
      received: 0,
    })
    expect(await here.ping(container.v4, { count: 3, timeoutMs: 300 })).toMatchObject({
      received: 0,
    })
  }

  test("with another key is nobody, for us as for itself", async () => {
    const pskFile = join(lab.directory, "wrong.psk")
    writeFileSync(pskFile, `${"5a".repeat(32)}\n`, { mode: 0o600 })
    const container = await stranger("c", { pskFile })
    const cId = await idOf(lab.host("c"))
    await new Promise((resolve) => setTimeout(resolve, HEARD_MS))
    const lines = refusals(a, mark)
    expect(lines).toEqual([
      expect.stringContaining(
        `of host ${cId}: mac: it was not made with this cluster's pre-shared key`,
      ),
    ])
    await expectOutside("c", container)
    expect(await names(lab.host("c"))).toEqual([])
    const told = refusals(lab.host("c"))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain("mac: it was not made with this cluster's pre-shared key")
    await lab.host("c").stopAgent()
  }, 60_000)

  test("that is not in the list of those that are let in is not", async () => {
    a.options = { ...a.options, settings: { ...a.options.settings, allowHosts: '["b"]' } }
    await a.stopAgent()
    await a.startAgent()
    await whole(a, ["b"])
    const container = await stranger("d", {})
    await waitFor(
      "a line",
      () => refusals(a, mark).some((line) => line.includes("(d)")) || undefined,
    )
    await new Promise((resolve) => setTimeout(resolve, HEARD_MS))
    const lines = refusals(a, mark).filter((line) => line.includes("(d)"))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain("allow: it is not in allowHosts")
    await expectOutside("d", container)
    // b has no such list.
    expect(await names(b)).toContain("d")
    expect(await names(a)).toEqual(["b"])
  }, 60_000)
})

test("values of megabytes that are no records cost an agent no memory", async () => {
  const { keys } = intruder
  const names = Array.from({ length: 40 }, (_, n) => `${keys.prefix}junk/${n}`)
  const value = "x".repeat(1_000_000)
  for (const key of names) await intruder.write({ key, value })
  try {
    await a.stopAgent()
    await a.startAgent()
    await whole(a, ["b"])
    const status = readFileSync(`/proc/${a.pid}/status`, "utf8")
    const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1000
    expect(Math.round(peak)).toBeLessThan(300)
  } finally {
    for (const key of names) await intruder.write({ key, value: undefined })
  }
}, 60_000)
