import { expect, test } from "bun:test"
import type { Driver, OverlayPeer, OverlaySelf } from "../../../drivers/driver.ts"
import { LariatError } from "../../../errors.ts"
import { Health } from "../../health.ts"
import type { Carried } from "./driver_change.ts"
import { Overlays } from "./overlays.ts"
import { Retries } from "./retries.ts"

const SELF: OverlaySelf = { hostId: "a", underlay: ["192.0.2.1"], overlay: [], blocks: [] }

const CONFIGURED: Carried = {
  driver: "vxlan",
  encapsulation: {
    cipher: "aes256gcm16",
    udp: "none",
    port: undefined,
    vni: 1042,
    blockSize: undefined,
  },
}

function peer(hostId: string): OverlayPeer {
  return { ...SELF, hostId, name: hostId, number: 2, mtu: undefined, parameters: {} }
}

/** Overlays whose waits end when the test says so. */
function fixture() {
  const health = new Health()
  const due = new Set<() => void>()
  const waits: number[] = []
  const retries = new Retries({
    health,
    random: () => 1,
    after: (ms, call) => {
      waits.push(ms)
      due.add(call)
      return () => due.delete(call)
    },
  })
  const wait = () => {
    const calls = [...due]
    due.clear()
    for (const call of calls) call()
  }
  return { health, retries, overlays: new Overlays(health, retries), wait, waits, due }
}

/** A driver that writes down what it is to bring about. */
function recorder(fail: () => boolean = () => false) {
  const asked: string[] = []
  const state = { isReady: false }
  const note = (what: string) => {
    asked.push(what)
    if (fail()) throw new LariatError("no such device", { code: "kernel", hint: "load it" })
  }
  const driver: Driver = {
    kind: "vxlan",
    parameters: {},
    get isReady() {
      return state.isReady
    },
    set: ({ peers, complete, udp }, reread = false) => {
      const words = [...peers.keys(), udp && "udp", complete && "complete", reread && "reread"]
      note(["set", ...words.filter((word) => word !== false)].join(" "))
      state.isReady = true
      return ["a route was put back"]
    },
    links: () => [],
    close: () => asked.push("close"),
    remove: () => note("remove"),
  }
  return { asked, driver, state }
}

test("peers that are known before the host is ready are there when it is", () => {
  const { overlays } = fixture()
  const { asked, driver } = recorder()
  overlays.add({ network: "n", driver, configured: CONFIGURED })
  overlays.putPeer("n", peer("b"))
  overlays.removePeer("n", "b")
  overlays.putPeer("n", peer("c"))
  expect(asked).toEqual([])
  overlays.prepare("n", SELF)
  overlays.prepare("n", { ...SELF })
  expect(asked).toEqual(["set c"])
  overlays.removePeer("n", "c")
  overlays.removePeer("n", "c")
  expect(asked.slice(1)).toEqual(["set"])
})

test("nothing is taken away before every peer was named", () => {
  const { health, overlays } = fixture()
  const { asked, driver } = recorder()
  overlays.add({ network: "n", driver, configured: CONFIGURED })
  overlays.prepare("n", SELF)
  overlays.repair()
  expect(asked).toEqual(["set"])
  overlays.completed("n")
  expect(asked).toEqual(["set", "set complete reread"])
  expect(health.repairs().map(({ what }) => what)).toEqual(["network n: a route was put back"])
})

test("a driver that fails is a problem, and is tried again until it holds; another goes on", () => {
  const { health, overlays, wait, waits, due } = fixture()
  let broken = true
  const bad = recorder(() => broken)
  const good = recorder()
  overlays.add({ network: "bad", driver: bad.driver, configured: CONFIGURED })
  overlays.add({ network: "good", driver: good.driver, configured: CONFIGURED })
  for (const network of ["bad", "good"]) overlays.prepare(network, SELF)
  expect(health.problems()).toMatchObject([{ severity: "error", hint: "load it" }])
  expect(good.asked).toEqual(["set"])
  // What is said meanwhile is not tried at once, and is known when it is.
  overlays.prepare("bad", { ...SELF })
  overlays.putPeer("bad", peer("b"))
  expect(bad.asked).toEqual(["set"])
  wait()
  expect(health.problems()).toHaveLength(1)
  broken = false
  wait()
  expect(bad.asked).toEqual(["set", "set b reread", "set b reread"])
  expect(health.problems()).toEqual([])
  expect(waits).toEqual([1000, 2000])
  expect(due.size).toBe(0)
})

test("a peer that fails stands until all holds, and keeps nothing from being tried", () => {
  const { health, overlays, wait, waits } = fixture()
  let broken = false
  const { asked, driver } = recorder(() => broken)
  overlays.add({ network: "n", driver, configured: CONFIGURED })
  overlays.prepare("n", SELF)
  overlays.completed("n")
  broken = true
  overlays.putPeer("n", peer("b"))
  overlays.putPeer("n", peer("c"))
  expect(waits).toEqual([1000])
  asked.length = 0
  overlays.repair()
  expect(asked).toEqual([])
  wait()
  expect(asked).toEqual(["set b c complete reread"])
  expect(health.problems()).toHaveLength(1)
  broken = false
  overlays.putPeer("n", peer("d"))
  expect(health.problems()).toEqual([])
})

test("a peer's removal that failed is made again, and stands in status until it holds", () => {
  const { health, overlays, wait, due } = fixture()
  let broken = false
  const { asked, driver } = recorder(() => broken)
  overlays.add({ network: "n", driver, configured: CONFIGURED })
  overlays.putPeer("n", peer("b"))
  overlays.prepare("n", SELF)
  broken = true
  overlays.removePeer("n", "b")
  expect(health.problems()).toMatchObject([{ what: expect.stringContaining("no such device") }])
  broken = false
  wait()
  expect(asked).toEqual(["set b", "set", "set reread"])
  expect(health.problems()).toEqual([])
  expect(due.size).toBe(0)
})

test("who closes or takes the network away ends the trying", () => {
  const { health, retries, overlays, due } = fixture()
  const { asked, driver } = recorder(() => asked.length === 1)
  const other = recorder(() => true)
  overlays.add({ network: "gone", driver, configured: CONFIGURED })
  overlays.add({ network: "n", driver: other.driver, configured: CONFIGURED })
  for (const network of ["gone", "n"]) overlays.prepare(network, SELF)
  expect(due.size).toBe(2)
  overlays.remove("gone")
  expect(due.size).toBe(1)
  expect(health.problems()).toHaveLength(1)
  retries.close()
  expect(due.size).toBe(0)
  overlays.putPeer("n", peer("b"))
  overlays.prepare("n", { ...SELF, blocks: ["10.42.7.0/24"] })
  expect(due.size).toBe(0)
})

test("a network that is gone leaves nothing, an agent that ends leaves everything", () => {
  const { overlays } = fixture()
  const [one, two] = [recorder(), recorder()]
  overlays.add({ network: "one", driver: one.driver, configured: CONFIGURED })
  overlays.add({ network: "two", driver: two.driver, configured: CONFIGURED })
  overlays.remove("one")
  expect(one.asked).toEqual(["remove", "close"])
  overlays.close()
  expect(two.asked).toEqual(["close"])
  expect(one.asked).toHaveLength(2)
})

test("a network that cannot be taken away is a problem, and is tried again until it is gone", () => {
  const { health, overlays, wait, due } = fixture()
  let broken = true
  const { asked, driver } = recorder(() => broken)
  overlays.add({ network: "n", driver, configured: CONFIGURED })
  overlays.remove("n")
  expect(overlays.all()).toEqual([])
  const what = "network n cannot be taken away: no such device"
  expect(health.problems()).toEqual([{ severity: "error", what, hint: "load it" }])
  wait()
  expect(health.problems()).toHaveLength(1)
  broken = false
  wait()
  expect(asked).toEqual(["remove", "remove", "remove", "close"])
  expect(health.problems()).toEqual([])
  expect(due.size).toBe(0)
})

test("a network that comes back before it was gone is not taken away any more", () => {
  const { health, overlays, due } = fixture()
  const [old, now] = [recorder(() => true), recorder()]
  overlays.add({ network: "n", driver: old.driver, configured: CONFIGURED })
  overlays.remove("n")
  overlays.add({ network: "n", driver: now.driver, configured: CONFIGURED })
  overlays.prepare("n", SELF)
  expect(old.asked).toEqual(["remove", "close"])
  expect(now.asked).toEqual(["set"])
  expect(health.problems()).toEqual([])
  expect(due.size).toBe(0)
})

test("room for UDP is taken by a running driver", () => {
  const { overlays } = fixture()
  const { asked, driver } = recorder()
  overlays.add({ network: "n", driver, configured: CONFIGURED })
  overlays.prepare("n", SELF)
  const encapsulation = { ...CONFIGURED.encapsulation, udp: "auto" } as const
  for (let i = 0; i < 2; i++) overlays.adjust({ name: "n", driver: "vxlan", encapsulation })
  expect(asked).toEqual(["set", "set udp"])
})

test("what a running driver cannot change is a problem until it is put back", () => {
  const { health, overlays } = fixture()
  expect(overlays.adjust({ name: "n", ...CONFIGURED })).toBe(false)
  overlays.add({ network: "n", driver: recorder().driver, configured: CONFIGURED })
  const encapsulation = { ...CONFIGURED.encapsulation, vni: 7 }
  expect(overlays.adjust({ name: "n", driver: "vxlan", encapsulation })).toBe(true)
  expect(health.problems()).toMatchObject([
    {
      severity: "warning",
      what: "network n goes on as it was: a running agent cannot change vni (1042 to 7)",
    },
  ])
  overlays.adjust({ name: "n", ...CONFIGURED })
  expect(health.problems()).toEqual([])
})
