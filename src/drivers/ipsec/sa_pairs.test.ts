import { beforeEach, describe, expect, test } from "bun:test"
import fc from "fast-check"
import { NetlinkError } from "../../netlink/error.ts"
import { type Message, type MessageWriter, parseMessages } from "../../netlink/message.ts"
import type { Outcome } from "../../netlink/socket.ts"
import * as x from "../../netlink/xfrm/constants.ts"
import { parseXfrmEvent } from "../../netlink/xfrm/event.ts"
import { decodeState } from "../../netlink/xfrm/state.ts"
import { EEXIST, EINVAL, ENOSYS, ESRCH } from "../../sys/ffi/errno.ts"
import { keyBytes } from "./ciphers.ts"
import { ifIdOf, reqidOf } from "./policies.ts"
import { type SaPair, SaPairs, type TunnelEndpoints } from "./sa_pairs.ts"

const CIPHER = "aes256gcm16"
const NETWORK = 3
const REQID = reqidOf(NETWORK, 2)
const ROUTE: TunnelEndpoints = {
  reqid: REQID,
  local: "192.0.2.1",
  remote: "192.0.2.2",
  encapsulation: undefined,
}

/** What the kernel was told of an association: who it is for, and with which key. */
interface Row {
  readonly text: string
  readonly key: string
  readonly message: Message
}

/** A kernel that has associations by destination and SPI, and remembers each key it ever began with. */
class FakeKernel {
  readonly rows = new Map<string, Row>()
  /** How often a key began on an association that is sent on. */
  readonly begun = new Map<string, number>()
  readonly log: string[] = []
  refuse: number | undefined
  /** Of deletions. */
  refuseDeletion: number | undefined

  tryAll(batch: readonly MessageWriter[]): readonly Outcome[] {
    return batch.map((writer) => {
      const [message] = parseMessages(writer.finish(1).slice())
      if (message === undefined) throw new Error("no message")
      const errno =
        message.type === x.XFRM_MSG_NEWSA
          ? this.#add(message)
          : message.type === x.XFRM_MSG_UPDSA
            ? this.#update(message)
            : this.#delete(message)
      this.log.push(writer.operation)
      const error = errno === 0 ? undefined : new NetlinkError(writer.operation, errno)
      return { answers: [], error }
    })
  }

  dump(): Message[] {
    return [...this.rows.values()].map(({ message }) => message)
  }

  get texts(): string[] {
    return [...this.rows.values()].map(({ text }) => text).sort()
  }

  #add(message: Message): number {
    if (this.refuse !== undefined) return this.refuse
    const state = decodeState(message)
    if (state === undefined) throw new Error("no ESP")
    const id = `${state.destination} ${state.spi}`
    if (this.rows.has(id)) return EEXIST
    // XFRMA_ALG_AEAD comes first: its header, name (64), lengths (8), then the key.
    const from = x.XFRM_USERSA_INFO_BYTES + 4 + 72
    const key = message.payload.subarray(from, from + keyBytes(CIPHER)).toHex()
    this.begun.set(key, (this.begun.get(key) ?? 0) + 1)
    this.rows.set(id, { text: `${state.spi} to ${state.destination}`, key, message })
    return 0
  }

  /** As xfrm_state_update: ports are taken, the key is not. */
  #update(message: Message): number {
    const state = decodeState(message)
    const row = this.rows.get(`${state?.destination} ${state?.spi}`)
    if (row === undefined) return ESRCH
    if (decodeState(row.message)?.encapsulation === undefined) return EINVAL
    this.rows.set(`${state?.destination} ${state?.spi}`, { ...row, message })
    return 0
  }

  #delete(message: Message): number {
    if (this.refuseDeletion !== undefined) return this.refuseDeletion
    const event = parseXfrmEvent(message)
    if (event?.kind !== "deleted") throw new Error("no deletion")
    return this.rows.delete(`${event.id.destination} ${event.id.spi}`) ? 0 : ESRCH
  }
}

const pair = (round: number, send: boolean): SaPair => ({
  inbound: { spi: 0x2_0000 + round, key: new Uint8Array(keyBytes(CIPHER)).fill(round) },
  outbound: { spi: 0x1_0000 + round, key: new Uint8Array(keyBytes(CIPHER)).fill(0x80 + round) },
  send,
})
const idsOf = ({ inbound, outbound }: SaPair) => [
  { destination: ROUTE.local, spi: inbound.spi },
  { destination: ROUTE.remote, spi: outbound.spi },
]

let kernel: FakeKernel
let saPairs: SaPairs
const begin = () => new SaPairs(kernel, { network: NETWORK, cipher: CIPHER, ifId: ifIdOf(NETWORK) })
beforeEach(() => {
  kernel = new FakeKernel()
  saPairs = begin()
})

describe("SaPairs", () => {
  test("every one is received on, one is sent on, and nothing is asked for twice", () => {
    const all = [pair(2, false), pair(1, true)]
    expect(saPairs.install(ROUTE, all)).toEqual([])
    expect(kernel.texts).toEqual([
      "131073 to 192.0.2.1",
      "131074 to 192.0.2.1",
      "65537 to 192.0.2.2",
    ])
    kernel.log.length = 0
    saPairs.install(ROUTE, all)
    expect(kernel.log).toEqual([])
  })

  test("what is not named goes, of that peer alone, and that it is gone already is no error", () => {
    const other = { ...ROUTE, reqid: reqidOf(NETWORK, 9), remote: "192.0.2.9" }
    saPairs.install(ROUTE, [pair(2, true), pair(1, false)])
    saPairs.install(other, [pair(5, true)])
    kernel.rows.delete("192.0.2.1 131073")
    saPairs.keepOnly(REQID, idsOf(pair(2, true)))
    expect(kernel.texts).toEqual([
      "131074 to 192.0.2.1",
      "131077 to 192.0.2.1",
      "65538 to 192.0.2.2",
      "65541 to 192.0.2.9",
    ])
  })

  test("what was deleted by another is lost, and never made again with that key", () => {
    saPairs.install(ROUTE, [pair(1, true)])
    kernel.rows.clear()
    expect(saPairs.install(ROUTE, [pair(1, true)])).toEqual([])
    expect([...saPairs.check()]).toEqual([REQID])
    expect(kernel.texts).toEqual([])
    expect(saPairs.install(ROUTE, [pair(2, true)])).toEqual([])
    expect(kernel.texts).toHaveLength(2)
  })

  test("nor when the peer has another address meanwhile, there and back", () => {
    saPairs.install(ROUTE, [pair(1, true)])
    for (const [remote, news] of [
      ["192.0.2.77", ["0x00020001", "0x00010001"]],
      [ROUTE.remote, []],
    ] as const) {
      saPairs.keepOnly(REQID, [])
      expect(saPairs.install({ ...ROUTE, remote }, [pair(1, true)])).toEqual([...news])
      expect(kernel.texts).toEqual([])
    }
  })

  test("a loss is told once, however it is found, though the keys are named for a while", () => {
    const [inbound] = idsOf(pair(1, true))
    if (inbound === undefined) throw new Error("no id")
    const all = [pair(2, true), pair(1, false)]
    saPairs.install(ROUTE, [pair(1, true)])
    kernel.rows.delete(`${inbound.destination} ${inbound.spi}`)
    expect(saPairs.lost(inbound)).toBe(REQID)
    expect([...saPairs.check()]).toEqual([])
    expect(saPairs.install(ROUTE, all)).toEqual([])
    kernel.rows.clear()
    expect([...saPairs.check()]).toEqual([REQID])
    expect([...saPairs.check()]).toEqual([])
    expect(saPairs.install(ROUTE, all)).toEqual([])
    expect(kernel.texts).toEqual([])
  })

  describe("other ports", () => {
    const inUdp = (peerPort: number): TunnelEndpoints => ({
      ...ROUTE,
      encapsulation: { ourPort: 4500, peerPort },
    })
    const ports = () =>
      kernel.dump().map((message) => Object.values(decodeState(message)?.encapsulation ?? {}))

    test("are given to all of a peer's, without a key that is sent or lost", () => {
      const all = [pair(2, true), pair(1, false)]
      saPairs.install(inUdp(4500), all)
      expect(saPairs.movePorts(inUdp(61_234))).toBe(true)
      expect(ports().sort()).toEqual([
        [4500, 61_234],
        [61_234, 4500],
        [61_234, 4500],
      ])
      expect(saPairs.install(inUdp(61_234), all)).toEqual([])
      expect([...kernel.begun.values()]).toEqual([1, 1, 1])
    })

    test("are asked for of those alone that have others", () => {
      saPairs.install(inUdp(4500), [pair(1, true)])
      saPairs.install(inUdp(4501), [pair(2, false), pair(1, true)])
      kernel.log.length = 0
      for (let i = 0; i < 2; i++) expect(saPairs.movePorts(inUdp(4501))).toBe(true)
      expect(kernel.log).toHaveLength(2)
    })

    test("are refused where one is gone, or was made without UDP", () => {
      saPairs.install(inUdp(4500), [pair(1, true)])
      kernel.rows.delete(`${ROUTE.local} ${pair(1, true).inbound.spi}`)
      expect(saPairs.movePorts(inUdp(61_234))).toBe(false)
      const { reqid } = ROUTE
      saPairs.abandon(reqid)
      saPairs.install(ROUTE, [pair(2, true)])
      expect(saPairs.movePorts(inUdp(61_234))).toBe(false)
    })

    test("with UDP or without, what was made goes on as it was, and what follows goes the new way", () => {
      const told = () =>
        kernel
          .dump()
          .flatMap((message) => decodeState(message) ?? [])
          .sort((a, b) => a.spi - b.spi)
          .map(({ spi, encapsulation }) => [spi, encapsulation?.destinationPort])
      saPairs.install(ROUTE, [pair(1, true)])
      // Its inbound half stands when the way changes: the peer sends and hears as it was made.
      saPairs.install(ROUTE, [pair(2, false), pair(1, true)])
      saPairs.install(inUdp(4501), [pair(3, false), pair(2, true), pair(1, false)])
      saPairs.install(inUdp(4501), [pair(3, true), pair(2, false)])
      expect(told()).toEqual([
        [0x1_0001, undefined],
        [0x1_0002, undefined],
        [0x1_0003, 4501],
        [0x2_0001, undefined],
        [0x2_0002, undefined],
        [0x2_0003, 4500],
      ])
      expect(saPairs.ourPorts([ROUTE.local])).toEqual(new Set([4500]))
      expect([...saPairs.udpRemotes([ROUTE.local])]).toEqual([
        [REQID, { address: ROUTE.remote, ourPort: 4500, peerPort: 4501 }],
      ])
      expect(saPairs.movePorts(inUdp(4502))).toBe(false)
      expect(told()[2]).toEqual([0x1_0003, 4502])
      saPairs.install(inUdp(4502), [pair(4, false), pair(3, true)])
      saPairs.install(ROUTE, [pair(4, true)])
      expect(told()[3]).toEqual([0x1_0004, 4502])
      saPairs.keepOnly(REQID, idsOf(pair(1, true)))
      expect(saPairs.ourPorts([ROUTE.local])).toEqual(new Set())
      expect(saPairs.udpRemotes([ROUTE.local]).size).toBe(0)
    })
  })

  test("what was abandoned is no news", () => {
    expect(saPairs.inUse(REQID)).toBe(false)
    saPairs.install(ROUTE, [pair(1, true)])
    expect(saPairs.inUse(REQID)).toBe(true)
    saPairs.abandon(REQID)
    expect(saPairs.inUse(REQID)).toBe(false)
    expect(kernel.texts).toEqual([])
    expect(saPairs.install(ROUTE, [pair(2, true), pair(1, false)])).toEqual([])
    expect(kernel.texts).toEqual(["131074 to 192.0.2.1", "65538 to 192.0.2.2"])
  })

  test("one that another made with that name is as lost", () => {
    begin().install(ROUTE, [pair(1, true)])
    expect(saPairs.install(ROUTE, [pair(1, true)])).toEqual(["0x00020001", "0x00010001"])
    expect(saPairs.install(ROUTE, [pair(1, true)])).toEqual([])
  })

  test("a refusal is thrown, and tried again the next time", () => {
    kernel.refuse = ENOSYS
    expect(() => saPairs.install(ROUTE, [pair(1, true)])).toThrow("Cannot add the association")
    kernel.refuse = undefined
    expect(saPairs.install(ROUTE, [pair(1, true)])).toEqual([])
    expect(kernel.texts).toHaveLength(2)
  })

  test("a deletion that was refused is thrown, and made again the next time", () => {
    saPairs.install(ROUTE, [pair(1, true)])
    kernel.refuseDeletion = ENOSYS
    expect(() => saPairs.keepOnly(REQID, [])).toThrow("; and 1 more")
    kernel.refuseDeletion = undefined
    saPairs.keepOnly(REQID, [])
    expect(kernel.texts).toEqual([])
  })

  test("a new one finds what an earlier one left, and what it deletes itself is no loss", () => {
    saPairs.install(ROUTE, [pair(1, true)])
    const again = begin()
    again.load()
    expect([...again.reqids()]).toEqual([REQID])
    const [inbound, outbound] = idsOf(pair(1, true))
    if (inbound === undefined || outbound === undefined) throw new Error("no ids")
    expect(again.has(outbound)).toBe(true)
    expect(again.lost(inbound)).toBe(REQID)
    again.keepOnly(REQID, [])
    expect(again.lost(outbound)).toBeUndefined()
  })

  test("whatever happens in whatever order, no key begins twice", () => {
    const peer = fc.constantFrom(ROUTE.remote, "192.0.2.77")
    const named = fc
      .uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 3 })
      .chain((rounds) => fc.tuple(fc.constant(rounds), fc.option(fc.nat(2))))
    const step = fc.oneof(
      fc.record({ kind: fc.constant("install" as const), remote: peer, named }),
      fc.record({ kind: fc.constant("drop" as const) }),
      fc.record({ kind: fc.constant("vanish" as const), which: fc.nat(5) }),
      fc.record({ kind: fc.constant("check" as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
        kernel = new FakeKernel()
        saPairs = begin()
        // Names that went are not named again, as the key ring has it.
        const retired = new Set<number>()
        let last: number[] = []
        for (const one of steps) {
          if (one.kind === "drop") saPairs.keepOnly(REQID, [])
          else if (one.kind === "check") saPairs.check()
          else if (one.kind === "vanish") {
            const key = [...kernel.rows.keys()][one.which]
            if (key !== undefined) kernel.rows.delete(key)
          } else {
            const [rounds, sent] = one.named
            const now = rounds.filter((round) => !retired.has(round))
            for (const round of last) if (!now.includes(round)) retired.add(round)
            last = now
            const all = now.map((round, at) => pair(round, at === sent))
            saPairs.install({ ...ROUTE, remote: one.remote }, all)
            saPairs.keepOnly(REQID, all.flatMap(idsOf))
          }
        }
        expect([...kernel.begun.values()].filter((count) => count > 1)).toEqual([])
      }),
    )
  })
})
