import { describe, expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { NetlinkError } from "../netlink/error.ts"
import { MessageWriter } from "../netlink/message.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { EBUSY, ENODEV } from "../sys/ffi/errno.ts"
import type { OverlayDesired, OverlayPeer } from "./driver.ts"
import { type KernelPart, KernelTable } from "./kernel_table.ts"
import type { DeviceSpec } from "./overlay_device.ts"
import { OverlayDriver } from "./overlay_driver.ts"
import type { OverlayBase, OverlayKind } from "./overlay_kind.ts"
import type { OverlayRoutes } from "./overlay_routes.ts"
import type { PeerGate } from "./peer_gate.ts"
import type { PeerPlan } from "./peer_plans.ts"

const NETWORK = {
  ...{ name: "n", number: 0, underlayMtu: 1500 },
  subnets: ["10.42.0.0/16"],
}
const SELF = { hostId: "a", underlay: ["192.0.2.1"], overlay: ["10.42.0.1"], blocks: [] }

const peer = (hostId: string, ...blocks: readonly string[]): OverlayPeer => ({
  ...{ hostId, name: hostId, number: 2, mtu: undefined, parameters: {}, overlay: [] },
  ...{ underlay: ["192.0.2.2"], blocks },
})

const desired = (peers: readonly OverlayPeer[], more: Partial<OverlayDesired> = {}) => ({
  ...{ self: SELF, udp: false, complete: false },
  peers: new Map(peers.map((one) => [one.hostId, one])),
  ...more,
})

/** Rows of a kind that nobody wants any of. */
const NOTHING: KernelPart = {
  load: () => undefined,
  sweep: () => undefined,
  complete: () => true,
  add: () => ({ changes: [], failures: [] }),
  remove: () => ({ changes: [], failures: [] }),
}

/** A driver whose peers have a row for each block, in a kernel that writes down what it is asked. */
function fixture(isGated = false) {
  const log: string[] = []
  /** Refusals by operation. */
  const refused = new Map<string, number>()
  const rows = new Set<string>()
  const planned: string[] = []
  const state = { reads: 0, mtu: 1400, device: undefined as string | undefined }
  const ask = (batch: readonly MessageWriter[]) =>
    batch.map(({ operation }) => {
      log.push(operation)
      const errno = refused.get(operation)
      if (errno === ENODEV) refused.delete(operation)
      if (errno !== undefined) return { answers: [], error: new NetlinkError(operation, errno) }
      const [verb, what, row = ""] = operation.split(" ")
      if (what === "row") rows[verb === "add" ? "add" : "delete"](row)
      return { answers: [], error: undefined }
    })
  const socket = { tryAll: ask, close: () => undefined } as unknown as NetlinkSocket
  const table = new KernelTable<string>(socket, {
    what: "row",
    key: (row) => row,
    same: () => true,
    add: (row) => new MessageWriter(1, 0, { operation: `add row ${row}` }),
    remove: (row) => new MessageWriter(1, 0, { operation: `remove row ${row}` }),
    list: () => {
      state.reads++
      return [...rows]
    },
  })
  const kind = (): OverlayKind<PeerPlan> => ({
    ...{ kind: "vxlan", deviceName: "dev", linkKind: "vxlan", routesToDevice: false },
    ...{ parameters: {}, parts: [table] },
    device: () => ({
      title: "VXLAN",
      mtu: state.mtu,
      make: () => new MessageWriter(1, 0, { operation: "make" }),
    }),
    plan: ({ hostId }) => {
      planned.push(hostId)
      return { remote: undefined, reason: undefined, routes: [] }
    },
    desired: (hostId, plan) => {
      const blocks = driver.get(hostId)?.peer.blocks ?? []
      table.desired(hostId, plan === undefined ? [] : blocks)
    },
    look: () => () => ({}),
  })
  const link = {
    index: 7,
    addresses: NOTHING,
    ensure: ({ mtu }: DeviceSpec) => {
      if (state.device !== undefined) throw new LariatError(state.device, { code: "kernel" })
      return [`set mtu to ${mtu}`]
    },
    wantAddresses: () => undefined,
    remove: () => log.push("remove device"),
  }
  const routes = {
    table: NOTHING,
    contains: () => true,
    desired: () => undefined,
    clear: () => log.push("remove routes"),
  } as unknown as OverlayRoutes
  const netns = { close: () => undefined }
  const gate: PeerGate = {
    own: (blocks) => log.push(`gate: own ${blocks.join()}`),
    desired: (hostId, one) => log.push(`gate: ${hostId} ${one?.hosts.join() ?? "gone"}`),
    complete: () => log.push("gate: complete"),
    remove: () => log.push("gate: remove"),
    settle: () => log.push("gate: settle"),
  }
  const network = { ...NETWORK, ...(isGated ? { gate } : {}) }
  const driver: OverlayDriver<PeerPlan> = new OverlayDriver(
    network,
    { socket, netns, routes, link },
    (_base: OverlayBase<PeerPlan>) => kind(),
  )
  return { driver, network, log, refused, rows, planned, state }
}

describe("a change", () => {
  test("of one peer asks for what that comes to, and looks at no other", () => {
    const { driver, log, planned, state } = fixture()
    const others = Array.from({ length: 100 }, (_, i) => peer(`h${i}`, `block${i}`))
    driver.set(desired(others))
    log.length = 0
    planned.length = 0
    driver.set(desired([...others, peer("b", "x", "y")]))
    driver.set(desired([...others, peer("b", "y")]))
    driver.set(desired(others))
    driver.set(desired(others))
    expect(log).toEqual(["add row x", "add row y", "remove row x", "remove row y"])
    expect(planned).toEqual(["b", "b"])
    expect(state.reads).toBe(1)
  })

  test("of this host's part reads the kernel again and plans for every peer", () => {
    const { driver, planned, state } = fixture()
    driver.set(desired([peer("b", "x")]))
    driver.set(desired([peer("b", "x")], { self: { ...SELF, underlay: ["192.0.2.9"] } }))
    expect(planned).toEqual(["b", "b"])
    expect(state.reads).toBe(2)
  })
})

test("a peer is let in before anything is sent to it, and all of it is told", () => {
  const { driver, log } = fixture(true)
  const others = { ...peer("b", "x"), underlay: ["192.0.2.2", "no address", "192.0.2.2"] }
  const self = { ...SELF, blocks: ["10.42.1.0/24"] }
  driver.set(desired([others], { self }))
  expect(log).toEqual(["gate: own 10.42.1.0/24", "gate: b 192.0.2.2", "gate: settle", "add row x"])
  log.length = 0
  driver.set(desired([], { self, complete: true }), true)
  const told = ["gate: own 10.42.1.0/24", "gate: b gone", "gate: complete", "gate: settle"]
  expect(log.slice(0, 4)).toEqual(told)
  driver.remove()
  expect(log.at(-1)).toBe("gate: remove")
})

test("another MTU of the links between hosts makes the device and every peer anew", () => {
  const { driver, network, planned, state } = fixture()
  driver.set(desired([peer("b", "x")]))
  network.underlayMtu = 1400
  // As the regular check does.
  driver.set(desired([peer("b", "x")], { complete: true }), true)
  expect(planned).toEqual(["b", "b"])
  expect(state.reads).toBe(2)
})

describe("a failure", () => {
  test("of the device keeps everything until it is there", () => {
    const { driver, log, planned, state } = fixture()
    state.device = "no such kind"
    for (let i = 0; i < 2; i++) {
      expect(() => driver.set(desired([peer("b", "x")]))).toThrow("no such kind")
    }
    expect([driver.isReady, log, planned, driver.links()]).toEqual([false, [], [], []])
    state.device = undefined
    driver.set(desired([peer("b", "x")]))
    expect(driver.isReady).toBe(true)
    expect(log).toContain("add row x")
  })

  test("of a device that was there does not keep peers from being brought", () => {
    const { driver, rows, state } = fixture()
    driver.set(desired([]))
    state.device = "it is another's now"
    const changed = { self: { ...SELF, underlay: ["192.0.2.9"] } }
    expect(() => driver.set(desired([peer("b", "x")], changed))).toThrow("another's now")
    expect(rows).toEqual(new Set(["x"]))
    expect(() => driver.set(desired([peer("b", "x")], changed))).toThrow("another's now")
    state.device = undefined
    driver.set(desired([peer("b", "x")], changed))
    expect(state.reads).toBe(2)
  })

  test("of one peer does not keep others, and is tried again with whatever is set next", () => {
    const { driver, refused, rows } = fixture()
    refused.set("add row x", EBUSY).set("add row y", EBUSY)
    const peers = [peer("b", "x", "y"), peer("c", "z")]
    expect(() => driver.set(desired(peers))).toThrow(/add row x.*; and 1 more/)
    expect(rows).toEqual(new Set(["z"]))
    expect(driver.links().map(({ reason }) => reason)).toEqual([
      "the kernel lacks part of what was asked for; it is mended soon",
      undefined,
    ])
    refused.clear()
    driver.set(desired(peers))
    expect(rows).toEqual(new Set(["x", "y", "z"]))
  })

  test("to remove something is tried again with whatever is set next", () => {
    const { driver, refused, rows } = fixture()
    driver.set(desired([peer("b", "x")]))
    refused.set("remove row x", EBUSY)
    for (let i = 0; i < 2; i++) expect(() => driver.set(desired([]))).toThrow("remove row x")
    refused.clear()
    driver.set(desired([]))
    expect(rows.size).toBe(0)
  })

  test("because a link went away reads the kernel and brings everything again, once", () => {
    const { driver, refused, rows, state } = fixture()
    driver.set(desired([]))
    refused.set("add row x", ENODEV)
    driver.set(desired([peer("b", "x")]))
    expect(rows).toEqual(new Set(["x"]))
    expect(state.reads).toBe(2)
  })
})

describe("what the kernel has", () => {
  test("of an earlier run goes when all peers are named, and the kernel is read", () => {
    const { driver, rows } = fixture()
    rows.add("old").add("x")
    const peers = [peer("b", "x")]
    driver.set(desired(peers))
    driver.set(desired(peers), true)
    driver.set(desired(peers, { complete: true }))
    expect(rows).toEqual(new Set(["old", "x"]))
    driver.set(desired(peers, { complete: true }), true)
    expect(rows).toEqual(new Set(["x"]))
  })

  test("is mended, and a device that is to be otherwise than before is no news", () => {
    const { driver, rows, state } = fixture()
    const wanted = desired([peer("b", "x")], { complete: true })
    driver.set(wanted)
    rows.clear()
    expect(driver.set(wanted, true)).toEqual(["set mtu to 1400", "added row x"])
    state.mtu = 1392
    expect(driver.set(wanted, true)).toEqual([])
  })

  test("all goes when it is removed, and comes back when it is set again", () => {
    const { driver, log, rows } = fixture()
    driver.set(desired([peer("b", "x")]))
    driver.remove()
    expect(log.slice(-2)).toEqual(["remove routes", "remove device"])
    expect([driver.isReady, driver.all()]).toEqual([false, []])
    rows.clear()
    driver.set(desired([peer("b", "x")]))
    expect(rows).toEqual(new Set(["x"]))
  })
})
