/** Requests as `wg` sends them, and answers as the kernel gave them to it. */

import { describe, expect, test } from "bun:test"
import recordings from "../../../test/fixtures/netlink/wireguard.json" with { type: "json" }
import { LariatError } from "../../errors.ts"
import { parseAttributeList, parseAttributes } from "../attribute.ts"
import { queryFamily } from "../genetlink.ts"
import { type Message, type MessageWriter, parseMessages } from "../message.ts"
import { newLink } from "../route/link.ts"
import { decodeDevice } from "./codec.ts"
import * as w from "./constants.ts"
import { setWireguard } from "./wireguard.ts"

const FAMILY = 0x20
const INDEX = 1005
const key = (byte: number) => new Uint8Array(32).fill(byte)

function recorded(name: string): { sent: string; received: readonly string[] } {
  const found = recordings.find((row) => row.name === name)
  if (found === undefined) throw new Error(`there is no recording ${name}`)
  return { sent: found.sent ?? "", received: found.received ?? [] }
}

function message(bytes: Uint8Array): Message {
  const [first] = parseMessages(bytes)
  if (first === undefined) throw new Error("no message")
  return first
}

const theirs = (name: string) => message(Uint8Array.fromHex(recorded(name).sent))
const ours = (writer: MessageWriter) => message(writer.finish(1).slice())
const attributesOf = ({ payload }: Message) => parseAttributes(payload.subarray(4))
const hexOf = (one: Message | undefined, type: number) =>
  (one === undefined ? undefined : attributesOf(one).get(type))?.toHex()

describe("requests", () => {
  test("the device", () => {
    const bytes = newLink("wireguard", { name: "lrw0", mtu: 1440, group: 27510 }).finish(1, 5)
    const { sent } = recorded("device")
    expect(bytes.toHex().slice(32)).toBe(sent.slice(32))
  })

  test("the family", () => {
    expect(queryFamily("wireguard").finish(1).toHex().slice(32, 40)).toBe("03010000")
  })

  test("key and port of the device, by its index", () => {
    const change = { port: 51820, privateKey: key(0x48) }
    const first = ours(setWireguard(FAMILY, INDEX, change))
    const their = theirs("key-port")
    expect(first.type).toBe(their.type)
    expect(first.payload.subarray(0, 4)).toEqual(their.payload.subarray(0, 4))
    for (const type of [w.WGDEVICE_A_PRIVATE_KEY, w.WGDEVICE_A_LISTEN_PORT]) {
      expect(hexOf(first, type)).toBe(hexOf(their, type) ?? "")
    }
    expect(hexOf(first, w.WGDEVICE_A_IFINDEX)).toBe("ed030000")
    expect(hexOf(first, w.WGDEVICE_A_PEERS)).toBeUndefined()
  })

  test("a peer of IPv6 and one to remove, byte for byte", () => {
    const endpoint = { address: "2001:db8::2", port: 51821 }
    const made = ours(setWireguard(FAMILY, INDEX, { peers: [{ publicKey: key(9), endpoint }] }))
    expect(hexOf(made, w.WGDEVICE_A_PEERS)).toBe(hexOf(theirs("peer6"), w.WGDEVICE_A_PEERS) ?? "")
    const gone = ours(setWireguard(FAMILY, INDEX, { peers: [{ publicKey: key(9), remove: true }] }))
    expect(hexOf(gone, w.WGDEVICE_A_PEERS)).toBe(
      hexOf(theirs("peer-remove"), w.WGDEVICE_A_PEERS) ?? "",
    )
  })

  test("a peer with all it can have; `wg` empties its list of prefixes first, we do not", () => {
    const made = ours(
      setWireguard(FAMILY, INDEX, {
        peers: [
          {
            publicKey: key(7),
            presharedKey: key(3),
            endpoint: { address: "192.0.2.2", port: 51820 },
            keepalive: 25,
            allowedIps: ["10.42.7.0/24", "fd00:42:0:7::/64"],
          },
        ],
      }),
    )
    const peer = (one: Message | undefined) => {
      const peers = one === undefined ? undefined : attributesOf(one).get(w.WGDEVICE_A_PEERS)
      const [first] = parseAttributeList(peers ?? new Uint8Array(0))
      const rows = parseAttributeList(first?.payload ?? new Uint8Array(0))
      return rows.map(({ type, payload }) => [type, payload.toHex()])
    }
    const expected = peer(theirs("peer4")).filter(([type]) => type !== w.WGPEER_A_FLAGS)
    expect(expected).toHaveLength(5)
    expect(peer(made)).toEqual(expected)
  })
})

describe("answers", () => {
  test("a device with its peers", () => {
    const messages = recorded("dump")
      .received.flatMap((hex) => parseMessages(Uint8Array.fromHex(hex)))
      .filter(({ type, payload }) => type === theirs("key-port").type && payload[0] === 0)
    const device = decodeDevice(messages)
    expect(device.port).toBe(51820)
    expect(device.privateKey).toEqual(key(0x48))
    expect(device.publicKey?.byteLength).toBe(32)
    const byKey = (byte: number) => device.peers.find(({ publicKey }) => publicKey[0] === byte)
    expect(device.peers).toHaveLength(2)
    expect(byKey(7)).toMatchObject({
      presharedKey: key(3),
      endpoint: { address: "192.0.2.2", port: 51820 },
      keepalive: 25,
      lastHandshake: undefined,
      rxBytes: 0,
      txBytes: 0,
    })
    expect(byKey(7)?.allowedIps.toSorted()).toEqual(["10.42.7.0/24", "fd00:42:0:7::/64"])
    expect(byKey(9)).toMatchObject({
      presharedKey: key(0),
      endpoint: { address: "2001:db8::2", port: 51821 },
      allowedIps: [],
    })
  })

  test("cut answers are refused, never misread", () => {
    const messages = recorded("dump")
      .received.flatMap((hex) => parseMessages(Uint8Array.fromHex(hex)))
      .filter(({ type, payload }) => type === theirs("key-port").type && payload[0] === 0)
    const [first] = messages
    if (first === undefined) throw new Error("nothing was recorded")
    let refused = 0
    for (let length = 0; length < first.payload.byteLength; length++) {
      try {
        decodeDevice([{ ...first, payload: first.payload.subarray(0, length) }])
      } catch (error) {
        expect(error).toBeInstanceOf(LariatError)
        refused++
      }
    }
    expect(refused).toBeGreaterThan(0)
    expect(() => decodeDevice([])).toThrow("there is no answer")
  })
})
