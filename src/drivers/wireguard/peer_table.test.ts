import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { PeerChange, WireguardPeer } from "../../netlink/wireguard/wireguard.ts"
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

  /** As the driver does it. */
  settle(table: PeerTable): string[] {
    const did: string[] = []
    for (const part of [() => table.additions(), () => table.removals()]) {
      const step = part()
      this.do(step.changes)
      step.done()
      did.push(...step.did)
    }
    return did
  }

  /** A peer moved by itself, or spoke. */
  hear(byte: number, more: Partial<WireguardPeer>): void {
    const peer = this.peers.get(keyOf(byte))
    if (peer !== undefined) this.peers.set(keyOf(byte), { ...peer, ...more })
  }
}

const newTable = () =>
  new PeerTable(
    (n) => new Uint8Array(n).fill(0xee),
    () => NOW,
  )

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
    const [device, table] = [new FakeDevice(), newTable()]
    table.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(device.settle(table)).toEqual(["added peer a"])
    table.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(device.settle(table)).toEqual([])
    table.desired("a", wanted(1, ["10.42.1.0/24", "10.42.4.0/24"], { keepalive: 25 }))
    expect(device.settle(table)).toEqual(["changed keepalive and prefixes of peer a"])
    expect(device.asked).toBe(2)
    expect(device.peers.get(keyOf(1))).toMatchObject({
      keepalive: 25,
      endpoint: { address: "192.0.2.1", port: 51820 },
      allowedIps: ["10.42.1.0/24", "10.42.4.0/24"],
    })
    expect(table.complete("a")).toBe(true)
  })

  test("a prefix that is given up goes, and the others of its peer are never missing", () => {
    const [device, table] = [new FakeDevice(), newTable()]
    table.desired("a", wanted(1, ["10.42.1.0/24", "10.42.4.0/24"]))
    device.settle(table)
    table.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(device.settle(table)).toEqual(["removed 10.42.4.0/24 from peer a"])
    expect(device.prefixes).toEqual(new Map([["10.42.1.0/24", keyOf(1)]]))
    expect(device.history.every((at) => at.get("10.42.1.0/24") === keyOf(1))).toBe(true)
    // The peer that was made for it is gone too.
    expect([...device.peers.keys()]).toEqual([keyOf(1)])
  })

  test("a prefix passes from peer to peer without a moment at neither, whoever speaks first", () => {
    for (const order of [0, 1]) {
      const [device, table] = [new FakeDevice(), newTable()]
      table.desired("a", wanted(1, ["10.42.1.0/24"]))
      table.desired("b", wanted(2, []))
      device.settle(table)
      const steps = [
        () => table.desired("b", wanted(2, ["10.42.1.0/24"])),
        () => table.desired("a", wanted(1, [])),
      ]
      for (const step of order === 0 ? steps : steps.toReversed()) step()
      device.settle(table)
      expect(device.prefixes.get("10.42.1.0/24")).toBe(keyOf(2))
      expect(device.history.slice(2).every((at) => at.has("10.42.1.0/24"))).toBe(true)
    }
  })

  test("a host with a new key: the new peer has the prefixes before the old one goes", () => {
    const [device, table] = [new FakeDevice(), newTable()]
    const presharedKey = bytes(7)
    table.desired("a", wanted(1, ["10.42.1.0/24"], { presharedKey }))
    device.settle(table)
    table.desired("a", wanted(9, ["10.42.1.0/24"], { presharedKey }))
    expect(device.settle(table)).toEqual(["added peer a", `removed peer ${keyOf(1)}`])
    expect(device.history.every((at) => at.has("10.42.1.0/24"))).toBe(true)
    expect(device.peers.get(keyOf(9))?.presharedKey).toEqual(bytes(7))
    expect(table.holderOf(keyOf(1))).toBeUndefined()
  })

  test("an earlier instance's peers stand; what nobody wants goes with a sweep", () => {
    const [device, first, second] = [new FakeDevice(), newTable(), newTable()]
    first.desired("a", wanted(1, ["10.42.1.0/24"], { presharedKey: bytes(7) }))
    first.desired("b", wanted(2, ["10.42.2.0/24"]))
    device.settle(first)
    const asked = device.asked
    second.observed([...device.peers.values()])
    second.desired("a", wanted(1, ["10.42.1.0/24"]))
    expect(device.settle(second)).toEqual([])
    expect(device.asked).toBe(asked)
    second.sweep()
    expect(device.settle(second)).toEqual([`removed peer ${keyOf(2)}`])
  })

  test("a preshared key comes, changes and goes; what was not said stays", () => {
    const [device, table] = [new FakeDevice(), newTable()]
    const key = () => device.peers.get(keyOf(1))?.presharedKey
    const want = (presharedKey: Uint8Array | undefined) => {
      table.desired("a", wanted(1, [], { presharedKey }))
      return device.settle(table)
    }
    want(bytes(7))
    expect(key()).toEqual(bytes(7))
    expect(want(bytes(8))).toEqual(["changed preshared key of peer a"])
    expect(key()).toEqual(bytes(8))
    expect(want(undefined)).toEqual([])
    expect(want(bytes(0))).toEqual(["changed preshared key of peer a"])
    expect(key()).toEqual(bytes(0))
  })

  describe("where a peer is", () => {
    const elsewhere = { address: "198.51.100.1", port: 4000 }
    const addressOf = (device: FakeDevice) => device.peers.get(keyOf(1))?.endpoint?.address

    test("what it announces anew counts at once", () => {
      const [device, table] = [new FakeDevice(), newTable()]
      table.desired("a", wanted(1, []))
      device.settle(table)
      device.hear(1, { endpoint: elsewhere, lastHandshake: NOW - 1000 })
      table.observed([...device.peers.values()])
      table.desired("a", wanted(1, [], { endpoint: { address: "192.0.2.99", port: 1 } }))
      expect(device.settle(table)).toEqual(["changed endpoint of peer a"])
      expect(addressOf(device)).toBe("192.0.2.99")
    })

    test("where it is heard from counts while it is heard from, for a new instance too", () => {
      const [device, table] = [new FakeDevice(), newTable()]
      table.desired("a", wanted(1, []))
      device.settle(table)
      device.hear(1, { endpoint: elsewhere, lastHandshake: NOW - 1000 })
      for (const one of [table, newTable()]) {
        one.observed([...device.peers.values()])
        one.desired("a", wanted(1, []))
        one.sweep()
        expect(device.settle(one)).toEqual([])
      }
      expect(addressOf(device)).toBe(elsewhere.address)
    })

    test("one that is silent is sought where it announces itself", () => {
      const [device, table] = [new FakeDevice(), newTable()]
      table.desired("a", wanted(1, []))
      device.settle(table)
      device.hear(1, { endpoint: elsewhere, lastHandshake: NOW - 200_000 })
      table.observed([...device.peers.values()])
      table.sweep()
      expect(device.settle(table)).toEqual(["changed endpoint of peer a"])
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
        const [device, table] = [new FakeDevice(), newTable()]
        const claims = new Map<string, string[]>(prefixes.map((prefix) => [prefix, []]))
        const keys = new Map<string, string>()
        for (const { host, peer, drift, settled } of steps) {
          const hostId = `h${host}`
          if (drift !== null) {
            device.do([{ publicKey: bytes(drift.key), allowedIps: drift.ips }])
            table.observed([...device.peers.values()])
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
          if (settled) device.settle(table)
        }
        table.observed([...device.peers.values()])
        table.sweep()
        device.settle(table)
        expect([...device.peers.keys()].toSorted()).toEqual([...keys.values()].toSorted())
        const expected = [...claims].flatMap(([prefix, hosts]) => {
          const key = keys.get(hosts.at(-1) ?? "")
          return key === undefined ? [] : [[prefix, key] as const]
        })
        expect(device.prefixes).toEqual(new Map(expected))
        const asked = device.asked
        table.observed([...device.peers.values()])
        table.sweep()
        expect(device.settle(table)).toEqual([])
        expect(device.asked).toBe(asked)
      }),
      { numRuns: 300 },
    )
  })
})
