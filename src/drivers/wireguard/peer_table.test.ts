import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { MessageWriter } from "../../netlink/message.ts"
import type { PeerChange, WireguardPeer } from "../../netlink/wireguard/wireguard.ts"
import { settle } from "../kernel_table.ts"
import { PeerTable, type WantedPeer } from "./peer_table.ts"

const bytes = (byte: number) => new Uint8Array(32).fill(byte)
const keyOf = (byte: number) => bytes(byte).toBase64()
const NOW = 1_000_000_000

/** A device as the kernel treats it: a prefix is at one peer. */
class FakeDevice {
  readonly peers = new Map<string, WireguardPeer>()
  asked = 0
  /** Prefixes that were at no peer at some moment, though they were before and after. */
  readonly history: Map<string, string>[] = []

  do(changes: readonly PeerChange[]): void {
    for (const change of changes) {
      this.asked++
      const key = change.publicKey.toBase64()
      if (change.remove) this.peers.delete(key)
      else this.#set(key, change)
      this.history.push(this.prefixes)
    }
  }

  get prefixes(): Map<string, string> {
    return new Map(
      [...this.peers].flatMap(([key, { allowedIps }]) =>
        allowedIps.map((ip) => [ip, key] as const),
      ),
    )
  }

  #set(key: string, change: PeerChange): void {
    const before = this.peers.get(key)
    const fresh = change.allowedIps ?? []
    for (const [other, peer] of this.peers) {
      this.peers.set(other, {
        ...peer,
        allowedIps: peer.allowedIps.filter((ip) => !fresh.includes(ip)),
      })
    }
    const kept = (before?.allowedIps ?? []).filter((ip) => !fresh.includes(ip))
    this.peers.set(key, {
      publicKey: change.publicKey,
      presharedKey: change.presharedKey ?? before?.presharedKey ?? bytes(0),
      endpoint: change.endpoint ?? before?.endpoint,
      keepalive: change.keepalive ?? before?.keepalive ?? 0,
      lastHandshake: before?.lastHandshake,
      rxBytes: 0,
      txBytes: 0,
      allowedIps: [...kept, ...fresh],
    })
  }

  /** A peer moved by itself, or spoke. */
  hear(byte: number, more: Partial<WireguardPeer>): void {
    const peer = this.peers.get(keyOf(byte))
    if (peer !== undefined) this.peers.set(keyOf(byte), { ...peer, ...more })
  }
}

/** A table of a device's peers, which was read. */
function tableOf(device: FakeDevice) {
  const changesOf = new WeakMap<MessageWriter, readonly PeerChange[]>()
  const table = new PeerTable({
    socket: {
      tryAll: (batch) =>
        batch.map((writer) => {
          device.do(changesOf.get(writer) ?? [])
          return { answers: [], error: undefined }
        }),
    },
    read: () => [...device.peers.values()],
    message: (changes) => {
      const writer = new MessageWriter(1, 0, { operation: "change" })
      changesOf.set(writer, changes)
      return writer
    },
    random: (n) => new Uint8Array(n).fill(0xee),
    now: () => NOW,
  })
  const load = () => {
    for (const part of table.parts) part.load()
  }
  const sweep = () => {
    for (const part of table.parts) part.sweep()
  }
  load()
  return {
    ...{ load, sweep, settle: () => settle(table.parts) },
    desired: (hostId: string, peer: WantedPeer | undefined) => table.desired(hostId, peer),
    holderOf: (key: string) => table.holderOf(key),
    complete: (hostId: string) => table.parts.every((part) => part.complete(hostId)),
  }
}

const wanted = (byte: number, allowedIps: readonly string[], more: Partial<WantedPeer> = {}) => ({
  publicKey: keyOf(byte),
  endpoint: { address: `192.0.2.${byte}`, port: 51820 },
  keepalive: 0,
  presharedKey: undefined,
  allowedIps,
  ...more,
})

describe("PeerTable", () => {
  test("asks for the difference alone, and for nothing twice", () => {
    const device = new FakeDevice()
    const table = tableOf(device)
    table.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(table.settle()).toEqual(["added peer a", "added prefix 10.42.1.0/24"])
    table.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(table.settle()).toEqual([])
    table.desired("a", wanted(1, ["10.42.1.0/24", "10.42.4.0/24"], { keepalive: 25 }))
    expect(table.settle()).toEqual(["changed peer a", "added prefix 10.42.4.0/24"])
    expect(device.asked).toBe(4)
    expect(device.peers.get(keyOf(1))).toMatchObject({
      keepalive: 25,
      endpoint: { address: "192.0.2.1", port: 51820 },
      allowedIps: ["10.42.1.0/24", "10.42.4.0/24"],
    })
    expect(table.complete("a")).toBe(true)
  })

  test("a prefix that is given up goes, and the others of its peer are never missing", () => {
    const device = new FakeDevice()
    const table = tableOf(device)
    table.desired("a", wanted(1, ["10.42.1.0/24", "10.42.4.0/24"]))
    table.settle()
    device.history.length = 0
    table.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(table.settle()).toEqual(["removed prefix 10.42.4.0/24"])
    expect(device.prefixes).toEqual(new Map([["10.42.1.0/24", keyOf(1)]]))
    expect(device.history.every((at) => at.get("10.42.1.0/24") === keyOf(1))).toBe(true)
    // The peer that was made for it is gone too.
    expect([...device.peers.keys()]).toEqual([keyOf(1)])
  })

  test("a prefix passes from peer to peer without a moment at neither, whoever speaks first", () => {
    for (const order of [0, 1]) {
      const device = new FakeDevice()
      const table = tableOf(device)
      table.desired("a", wanted(1, ["10.42.1.0/24"]))
      table.desired("b", wanted(2, []))
      table.settle()
      const steps = [
        () => table.desired("b", wanted(2, ["10.42.1.0/24"])),
        () => table.desired("a", wanted(1, [])),
      ]
      for (const step of order === 0 ? steps : steps.toReversed()) step()
      table.settle()
      expect(device.prefixes.get("10.42.1.0/24")).toBe(keyOf(2))
      expect(device.history.slice(2).every((at) => at.has("10.42.1.0/24"))).toBe(true)
    }
  })

  test("a host with a new key: the new peer has the prefixes before the old one goes", () => {
    const device = new FakeDevice()
    const table = tableOf(device)
    const presharedKey = bytes(7)
    table.desired("a", wanted(1, ["10.42.1.0/24"], { presharedKey }))
    table.settle()
    device.history.length = 0
    table.desired("a", wanted(9, ["10.42.1.0/24"], { presharedKey }))
    expect(table.settle()).toEqual([
      ...["added peer a", "changed prefix 10.42.1.0/24", "removed peer a"],
    ])
    expect(device.history.every((at) => at.has("10.42.1.0/24"))).toBe(true)
    expect(device.peers.get(keyOf(9))?.presharedKey).toEqual(bytes(7))
    expect(table.holderOf(keyOf(1))).toBeUndefined()
  })

  test("an earlier instance's peers stand; what nobody wants goes with a sweep", () => {
    const device = new FakeDevice()
    const first = tableOf(device)
    first.desired("a", wanted(1, ["10.42.1.0/24"], { presharedKey: bytes(7) }))
    first.desired("b", wanted(2, ["10.42.2.0/24"]))
    first.settle()
    const asked = device.asked
    const second = tableOf(device)
    second.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(second.settle()).toEqual([])
    expect(device.asked).toBe(asked)
    second.sweep()
    expect(second.settle()).toEqual([
      ...["removed prefix 10.42.2.0/24", `removed peer ${keyOf(2)}`],
    ])
  })

  test("a preshared key comes, changes and goes; what was not said stays", () => {
    const device = new FakeDevice()
    const table = tableOf(device)
    const key = () => device.peers.get(keyOf(1))?.presharedKey
    const want = (presharedKey: Uint8Array | undefined) => {
      table.desired("a", wanted(1, [], { presharedKey }))
      return table.settle()
    }
    want(bytes(7))
    expect(key()).toEqual(bytes(7))
    expect(want(bytes(8))).toEqual(["changed peer a"])
    expect(key()).toEqual(bytes(8))
    expect(want(undefined)).toEqual([])
    expect(want(bytes(0))).toEqual(["changed peer a"])
    expect(key()).toEqual(bytes(0))
  })

  describe("where a peer is", () => {
    const elsewhere = { address: "198.51.100.1", port: 4000 }
    const addressOf = (device: FakeDevice) => device.peers.get(keyOf(1))?.endpoint?.address

    test("what it announces anew counts at once", () => {
      const device = new FakeDevice()
      const table = tableOf(device)
      table.desired("a", wanted(1, []))
      table.settle()
      device.hear(1, { endpoint: elsewhere, lastHandshake: NOW - 1000 })
      table.load()
      table.desired("a", wanted(1, [], { endpoint: { address: "192.0.2.99", port: 1 } }))
      expect(table.settle()).toEqual(["changed peer a"])
      expect(addressOf(device)).toBe("192.0.2.99")
    })

    test("where it is heard from counts while it is heard from, for a new instance too", () => {
      const device = new FakeDevice()
      const table = tableOf(device)
      table.desired("a", wanted(1, []))
      table.settle()
      device.hear(1, { endpoint: elsewhere, lastHandshake: NOW - 1000 })
      for (const one of [table, tableOf(device)]) {
        one.load()
        one.desired("a", wanted(1, []))
        one.sweep()
        expect(one.settle()).toEqual([])
      }
      expect(addressOf(device)).toBe(elsewhere.address)
    })

    test("one that is silent is sought where it announces itself", () => {
      const device = new FakeDevice()
      const table = tableOf(device)
      table.desired("a", wanted(1, []))
      table.settle()
      device.hear(1, { endpoint: elsewhere, lastHandshake: NOW - 200_000 })
      table.load()
      table.sweep()
      expect(table.settle()).toEqual(["changed peer a"])
      expect(addressOf(device)).toBe("192.0.2.1")
    })
  })

  test("whatever hosts want in whatever order, and whatever drifts, the device has that", () => {
    const prefixes = ["10.42.1.0/24", "10.42.2.0/24", "10.42.3.0/24"]
    const step = fc.record({
      host: fc.nat(2),
      /** Undefined: the host goes. Each host has two keys of its own. */
      peer: fc.option(fc.record({ key: fc.nat(1), ips: fc.subarray(prefixes) })),
      drift: fc.option(
        fc.record({ key: fc.integer({ min: 1, max: 9 }), ips: fc.subarray(prefixes) }),
      ),
      settled: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
        const device = new FakeDevice()
        const table = tableOf(device)
        const claims = new Map<string, string[]>(prefixes.map((prefix) => [prefix, []]))
        const keys = new Map<string, string>()
        for (const { host, peer, drift, settled } of steps) {
          const hostId = `h${host}`
          if (drift !== null) {
            device.do([{ publicKey: bytes(drift.key), allowedIps: drift.ips }])
            table.load()
          }
          const byte = host * 2 + (peer?.key ?? 0) + 1
          table.desired(hostId, peer === null ? undefined : wanted(byte, peer.ips))
          if (peer === null) keys.delete(hostId)
          else keys.set(hostId, keyOf(byte))
          for (const [prefix, hosts] of claims) {
            const has = peer?.ips.includes(prefix) === true
            if (!has)
              claims.set(
                prefix,
                hosts.filter((one) => one !== hostId),
              )
            else if (!hosts.includes(hostId)) claims.set(prefix, [...hosts, hostId])
          }
          if (settled) table.settle()
        }
        table.load()
        table.sweep()
        table.settle()
        expect([...device.peers.keys()].toSorted()).toEqual([...keys.values()].toSorted())
        const expected = [...claims].flatMap(([prefix, hosts]) => {
          const key = keys.get(hosts.at(-1) ?? "")
          return key === undefined ? [] : [[prefix, key] as const]
        })
        expect(device.prefixes).toEqual(new Map(expected))
        const asked = device.asked
        table.load()
        table.sweep()
        expect(table.settle()).toEqual([])
        expect(device.asked).toBe(asked)
      }),
      { numRuns: 300 },
    )
  })
})
