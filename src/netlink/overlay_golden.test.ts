/** VXLAN and its forwarding entries byte for byte as iproute2 sends them, and as it was answered. */

import { describe, expect, test } from "bun:test"
import recordings from "../../test/fixtures/netlink/vxlan.json" with { type: "json" }
import { parseMac } from "../core/mac.ts"
import { parseAttributes } from "./attribute.ts"
import { NLM_F_ACK, NLM_F_REQUEST, RTM_GETROUTE } from "./constants.ts"
import { type Message, type MessageWriter, parseMessages } from "./message.ts"
import { deleteForwarding, replaceForwarding } from "./route/forwarding.ts"
import { decodeNeigh } from "./route/neigh.ts"
import { queryRoute } from "./route/route_lookup.ts"
import { changeVxlanLocal, decodeVxlan, newVxlan } from "./route/vxlan_link.ts"

/** Indexes of the recording. */
const VXLAN = 1002
const VXLAN6 = 3

const link = (name: string, mtu: number) => ({
  name,
  mtu,
  mac: parseMac("0e:00:00:00:00:01"),
  group: 27510,
})
const fields = (local: string, port: number) => ({ vni: 1043, local, port, learning: false })

const OURS: Readonly<Record<string, () => MessageWriter>> = {
  vxlan4: () => newVxlan(link("lrv0", 1450), fields("192.0.2.1", 4789)),
  vxlan6: () => newVxlan(link("lrv1", 1430), fields("2001:db8::1", 8472)),
  "fdb-replace4": () => replaceForwarding(VXLAN, "0e:00:00:00:00:02", "192.0.2.2"),
  "fdb-del4": () => deleteForwarding(VXLAN, "0e:00:00:00:00:03", "192.0.2.3"),
  "fdb-replace6": () => replaceForwarding(VXLAN6, "0e:00:00:00:00:04", "2001:db8::2"),
}

function recording(name: string) {
  const found = recordings.find((row) => row.name === name)
  if (found === undefined) throw new Error(`there is no recording ${name}`)
  return found
}

/** Without sequence number and port id, bytes 8 to 16. */
function comparable(hex: string): string {
  return `${hex.slice(0, 16)} ${hex.slice(32)}`
}

function answers(name: string, type: number): Message[] {
  return (recording(name).received ?? [])
    .flatMap((hex) => parseMessages(Uint8Array.fromHex(hex)))
    .filter((message) => message.type === type)
}

/** The attributes of a message below a header of `skip` bytes. */
function attributesOf(hex: string, skip: number): Map<number, Uint8Array> {
  const [message] = parseMessages(Uint8Array.fromHex(hex))
  return parseAttributes(message?.payload.subarray(skip) ?? new Uint8Array(0))
}

describe("requests", () => {
  for (const [name, ours] of Object.entries(OURS)) {
    test(`${name}: ${recording(name).command}`, () => {
      const bytes = ours().finish(1, NLM_F_REQUEST | NLM_F_ACK)
      const { sent = "" } = recording(name)
      expect(comparable(bytes.toHex())).toBe(comparable(sent))
    })
  }

  test("a change of the source says that alone", () => {
    const hex = changeVxlanLocal(VXLAN, "192.0.2.9").finish(1).toHex()
    const info = parseAttributes(attributesOf(hex, 16).get(18) ?? new Uint8Array(0))
    expect(info.get(2)?.toHex()).toBe("08000400c0000209")
  })

  test("the query for a route is iproute2's in family, length and destination", () => {
    const [theirs] = parseMessages(Uint8Array.fromHex(recording("route-get").sent ?? ""))
    const [ours] = parseMessages(queryRoute("192.0.2.7").finish(1).slice())
    expect(ours?.type).toBe(RTM_GETROUTE)
    expect(ours?.payload.subarray(0, 2)).toEqual(
      theirs?.payload.subarray(0, 2) ?? new Uint8Array(0),
    )
    const dst = (message: Message | undefined) =>
      parseAttributes(message?.payload.subarray(12) ?? new Uint8Array(0)).get(1)
    expect(dst(ours)).toEqual(new Uint8Array([192, 0, 2, 7]))
    expect(dst(theirs)).toEqual(new Uint8Array([192, 0, 2, 7]))
  })
})

describe("answers", () => {
  test("VXLAN links with what makes them", () => {
    const links = answers("links", 16).map(decodeVxlan)
    const named = (name: string) => links.find((info) => info?.link.name === name)
    expect(named("lrv0")).toMatchObject({
      vni: 1043,
      port: 4789,
      local: "192.0.2.1",
      learning: false,
    })
    expect(named("lrv0")?.link).toMatchObject({ mtu: 1450, mac: "0e:00:00:00:00:01", group: 27510 })
    expect(named("lrv1")).toMatchObject({ vni: 1043, port: 8472, local: "2001:db8::1" })
    expect(named("vx0")).toMatchObject({ vni: 1042, link: { index: VXLAN } })
  })

  test("forwarding entries of both families", () => {
    const found = answers("fdb", 28).map(decodeNeigh)
    expect(found).toContainEqual(
      expect.objectContaining({ index: VXLAN, mac: "0e:00:00:00:00:02", address: "192.0.2.2" }),
    )
    expect(found).toContainEqual(
      expect.objectContaining({ mac: "0e:00:00:00:00:04", address: "2001:db8::2" }),
    )
  })
})
