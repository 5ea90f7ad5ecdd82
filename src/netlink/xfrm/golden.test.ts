/** SA pairs and policies byte for byte as iproute2 sends them. */

import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import recordings from "../../../test/fixtures/netlink/xfrm.json" with { type: "json" }
import { LariatError } from "../../errors.ts"
import { NLM_F_ACK, NLM_F_REQUEST } from "../constants.ts"
import { type MessageWriter, parseMessages } from "../message.ts"
import * as x from "./constants.ts"
import { parseXfrmEvent } from "./event.ts"
import { newXfrmLink } from "./link.ts"
import { decodePolicy, deletePolicy, newPolicy, type Policy, replacePolicy } from "./policy.ts"
import { decodeState, deleteState, type NewState, newState, updateState } from "./state.ts"

const IF_ID = 0x4c617201
const REQID = 1275133953
const SPI = 0x00010203
const key = (byte: number, length: number) => new Uint8Array(length).fill(byte)
const gcm = { aead: { name: "rfc4106(gcm(aes))", key: key(0x5b, 36), icvBits: 128 } }
const state: NewState = {
  source: "192.0.2.1",
  destination: "192.0.2.2",
  spi: SPI,
  reqid: REQID,
  protection: gcm,
  replayWindow: 0,
}
const template = { source: "192.0.2.1", destination: "192.0.2.2", reqid: REQID, spi: SPI }
const out: Policy = {
  source: "10.42.1.0/24",
  destination: "10.42.2.0/24",
  direction: "out",
  priority: 1000,
  action: template,
  ifId: IF_ID,
}

const OURS: Readonly<Record<string, () => MessageWriter>> = {
  "state-gcm": () => newState({ ...state, replayWindow: 4096, ifId: IF_ID }),
  "state-chacha6": () =>
    newState({
      ...state,
      source: "2001:db8::1",
      destination: "2001:db8::2",
      protection: {
        aead: { name: "rfc7539esp(chacha20,poly1305)", key: key(0x5b, 36), icvBits: 128 },
      },
    }),
  "state-cbc": () =>
    newState({
      ...state,
      protection: {
        integrity: { name: "hmac(sha256)", key: key(0x77, 32), icvBits: 128 },
        encryption: { name: "cbc(aes)", key: key(0x3c, 16) },
      },
    }),
  "state-udp": () =>
    newState({ ...state, encapsulation: { sourcePort: 4500, destinationPort: 4501 } }),
  "state-limits": () =>
    newState({
      ...state,
      lifetimes: { softBytes: 1000n, softPackets: 2000n, softSeconds: 30n, hardSeconds: 60n },
    }),
  "state-delete": () => deleteState(state),
  "policy-out": () => newPolicy(out),
  "policy-update": () => replacePolicy(out),
  "policy-in6": () =>
    newPolicy({
      source: "fd00::2:0/112",
      destination: "fd00::1:0/112",
      direction: "in",
      priority: 1000,
      action: template,
    }),
  "policy-block": () =>
    newPolicy({
      source: "0.0.0.0/0",
      destination: "10.42.0.0/16",
      direction: "out",
      priority: 60000,
      action: "block",
    }),
  "policy-delete": () => deletePolicy({ ...out, direction: "fwd" }),
  link: () => newXfrmLink({ name: "lrx1", mtu: 1446 }, IF_ID),
}

/** Header without flags, number and port id; then each attribute, whatever their order. */
function comparable(bytes: Uint8Array, headerBytes: number): string[] {
  const hex = bytes.toHex()
  const attributes: string[] = []
  let offset = 16 + headerBytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  while (offset + 4 <= bytes.length) {
    const length = Math.max(4, view.getUint16(offset, true))
    attributes.push(hex.slice(offset * 2, (offset + length) * 2))
    offset += (length + 3) & ~3
  }
  // XFRMA_SRCADDR, which the kernel has no use for where an SPI is named.
  const needed = attributes.filter((attribute) => !attribute.startsWith("14000d00"))
  return [hex.slice(8, 12), hex.slice(32, (16 + headerBytes) * 2), ...needed.sort()]
}

const HEADER_BYTES: Readonly<Record<string, number>> = {
  state: x.XFRM_USERSA_INFO_BYTES,
  policy: x.XFRM_USERPOLICY_INFO_BYTES,
  "state-delete": x.XFRM_USERSA_ID_BYTES,
  "policy-delete": 64,
  link: 16,
}

describe("requests", () => {
  test("are all compared", () => {
    expect(Object.keys(OURS).sort()).toEqual(recordings.map(({ name }) => name).sort())
  })
  for (const { name, command, sent } of recordings) {
    test(command, () => {
      const bytes = OURS[name]?.().finish(1, NLM_F_REQUEST | NLM_F_ACK) ?? new Uint8Array(0)
      const header = HEADER_BYTES[name] ?? HEADER_BYTES[name.split("-")[0] ?? ""] ?? 0
      expect(comparable(bytes, header)).toEqual(comparable(Uint8Array.fromHex(sent), header))
    })
  }
})

function payloadOf(writer: MessageWriter) {
  const [message] = parseMessages(writer.finish(1, 0).slice())
  if (message === undefined) throw new Error("no message")
  return message
}

test("an association that is changed is written like one that is made", () => {
  const body = (writer: MessageWriter) => payloadOf(writer).payload.toHex()
  expect(payloadOf(updateState(state)).type).toBe(x.XFRM_MSG_UPDSA)
  expect(body(updateState(state))).toBe(body(newState(state)))
})

test("what was written is read", () => {
  expect(decodeState(payloadOf(newState({ ...state, ifId: IF_ID, replayWindow: 64 })))).toEqual({
    source: "192.0.2.1",
    destination: "192.0.2.2",
    spi: SPI,
    reqid: REQID,
    ifId: IF_ID,
    usage: { bytes: 0n, packets: 0n },
    encapsulation: undefined,
    replayed: 0,
    unauthentic: 0,
  })
  const inUdp = { ...state, encapsulation: { sourcePort: 4500, destinationPort: 61_234 } }
  expect(decodeState(payloadOf(newState(inUdp)))).toMatchObject({
    encapsulation: { sourcePort: 4500, destinationPort: 61_234 },
  })
  expect(decodePolicy(payloadOf(newPolicy(out)))).toEqual({ ...out, ifId: IF_ID })
  const block: Policy = { ...out, action: "block", direction: "fwd", ifId: undefined }
  expect(decodePolicy(payloadOf(newPolicy(block)))).toEqual({ ...block, ifId: 0 })
})

describe("notifications", () => {
  test("a deleted association", () => {
    const { payload } = payloadOf(deleteState(state))
    const message = { type: x.XFRM_MSG_DELSA, flags: 0, seq: 0, pid: 0, payload }
    expect(parseXfrmEvent(message)).toEqual({
      kind: "deleted",
      id: { destination: "192.0.2.2", spi: SPI },
    })
  })

  test("an expired association", () => {
    const { payload } = payloadOf(newState(state))
    const bytes = new Uint8Array(232)
    bytes.set(payload.subarray(0, 224))
    const message = { type: x.XFRM_MSG_EXPIRE, flags: 0, seq: 0, pid: 0, payload: bytes }
    expect(parseXfrmEvent(message)).toMatchObject({ kind: "expired", reqid: REQID, hard: false })
    bytes[224] = 1
    expect(parseXfrmEvent(message)).toMatchObject({ hard: true })
  })

  test("anything else is an error of ours or nothing, never a crash", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x28 }),
        fc.uint8Array({ maxLength: 400 }),
        (type, payload) => {
          try {
            parseXfrmEvent({ type, flags: 0, seq: 0, pid: 0, payload })
          } catch (error) {
            expect(error).toBeInstanceOf(LariatError)
          }
        },
      ),
    )
  })
})

test("no error tells a key", () => {
  expect(newState(state).operation).toBe(
    "add the association 0x00010203 from 192.0.2.1 to 192.0.2.2",
  )
})
