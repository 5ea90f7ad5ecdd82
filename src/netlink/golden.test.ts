/** Requests byte for byte as iproute2 sends them, and answers as the kernel gave them to it. */

import { describe, expect, test } from "bun:test"
import dumps from "../../test/fixtures/netlink/dumps.json" with { type: "json" }
import refusals from "../../test/fixtures/netlink/refusals.json" with { type: "json" }
import requests from "../../test/fixtures/netlink/requests.json" with { type: "json" }
import { parseMac } from "../core/mac.ts"
import { decodeAddress } from "./addr_codec.ts"
import { parseAttributes } from "./attribute.ts"
import { NLM_F_ACK, NLM_F_REQUEST, RTM_GETROUTE, RTM_NEWROUTE } from "./constants.ts"
import { parseAck } from "./error.ts"
import { type Message, type MessageWriter, parseMessages } from "./message.ts"
import { deleteAddress, newAddress } from "./route/addr.ts"
import * as link from "./route/link.ts"
import { decodeLink } from "./route/link_codec.ts"
import * as neigh from "./route/neigh.ts"
import { deleteRoute, newRoute } from "./route/route.ts"
import { decodeRoute } from "./route/route_codec.ts"

/** Indexes of the recording. */
const BRIDGE = 1000
const DUMMY = 1001
const PORT = 1003
const PORT_PEER = 1004

/** What Lariat sends for each recorded command. */
const OURS: Readonly<Record<string, () => MessageWriter>> = {
  veth: () =>
    link.newVeth({
      name: "lrtgold",
      mtu: 1402,
      mac: parseMac("02:00:01:0a:0b:0c"),
      master: BRIDGE,
      alias: "c1/eth0",
      group: 27500,
      peer: { name: "eth0", mtu: 1402, mac: parseMac("02:00:01:0a:0b:0d"), netnsFd: 4 },
    }),
  "veth-up": () => link.newVeth({ name: "lrtup", up: true, peer: { name: "eth1", netnsFd: 4 } }),
  "bridge-plain": () => link.newBridge({ name: "br1" }),
  bridge: () =>
    link.newBridge({
      name: "br2",
      mtu: 1450,
      mac: parseMac("02:00:02:00:00:01"),
      forwardDelay: 0,
      vlanFiltering: false,
      multicastSnooping: false,
    }),
  dummy: () => link.newDummy({ name: "dmy1", mtu: 9000 }),
  "set-up": () => link.changeLink(DUMMY, { up: true }),
  "set-down-nomaster": () => link.changeLink(PORT, { up: false, master: 0 }),
  "set-promisc": () => link.changeLink(DUMMY, { promiscuous: true }),
  "set-fields": () =>
    link.changeLink(DUMMY, {
      name: "dmy9",
      mtu: 1300,
      mac: parseMac("02:00:02:00:00:02"),
      alias: "hello",
      group: 27501,
    }),
  "set-back": () => link.changeLink(DUMMY, { name: "dmy0" }),
  "set-master": () => link.changeLink(PORT, { master: BRIDGE }),
  "set-netns": () => link.changeLink(PORT_PEER, { netnsFd: 4 }),
  addr4: () => newAddress(DUMMY, "10.42.0.2/16"),
  "addr6-nodad": () => newAddress(DUMMY, "fd00:42::2/64"),
  "addr4-noprefixroute": () => newAddress(DUMMY, "10.43.0.2/24", { noPrefixRoute: true }),
  "addr4-del": () => deleteAddress(DUMMY, "10.43.0.2/24"),
  "route-default": () => newRoute({ dst: "0.0.0.0/0", gateway: "10.42.0.1", index: DUMMY }),
  "route-metrics": () =>
    newRoute({
      dst: "10.60.0.0/16",
      gateway: "10.42.0.1",
      priority: 77,
      mtu: 1300,
      advmss: 1260,
      index: DUMMY,
    }),
  "route-table": () => newRoute({ dst: "10.61.0.0/16", table: 1234, index: DUMMY }),
  "route-link": () => newRoute({ dst: "169.254.169.250/32", index: DUMMY }),
  "route-src": () => newRoute({ dst: "10.62.0.0/16", preferredSource: "10.42.0.2", index: DUMMY }),
  "route-onlink": () =>
    newRoute({ dst: "10.63.0.0/16", gateway: "10.9.9.9", onlink: true, index: DUMMY }),
  // 6 is RTN_BLACKHOLE.
  "route-blackhole": () => newRoute({ dst: "10.64.0.0/16", type: 6 }),
  route6: () => newRoute({ dst: "fd00:99::/64", gateway: "fd00:42::1", index: DUMMY }),
  "route-replace": () => newRoute({ dst: "10.62.0.0/16", index: DUMMY }, { replace: true }),
  "route-del": () =>
    deleteRoute({ dst: "10.60.0.0/16", gateway: "10.42.0.1", priority: 77, index: DUMMY }),
  neigh: () => neigh.newNeigh(DUMMY, "10.42.0.9", "02:00:03:00:00:01"),
  "neigh-del": () => neigh.deleteNeigh(DUMMY, "10.42.0.9"),
  "del-link": () => link.deleteLink(4),
  "del-group": () => link.deleteLinkGroup(27500),
}

/** Compared otherwise, below. */
const OTHERS = ["bridge-port", "route-get", "neigh-proxy", "fdb"]

/** Without sequence number and port id, bytes 8 to 16. */
function comparable(hex: string): string {
  return `${hex.slice(0, 16)} ${hex.slice(32)}`
}

function sentBy(name: string): string {
  const found = requests.find((row) => row.name === name)
  if (found === undefined) throw new Error(`there is no recording ${name}`)
  return found.sent ?? ""
}

describe("requests", () => {
  test("every recording is compared", () => {
    const names = requests.map(({ name }) => name)
    expect(names.toSorted()).toEqual([...Object.keys(OURS), ...OTHERS].toSorted())
  })

  for (const { name, command, sent } of requests) {
    const ours = OURS[name]
    if (ours === undefined) continue
    test(`${name}: ${command}`, () => {
      const bytes = ours().finish(1, NLM_F_REQUEST | NLM_F_ACK)
      expect(comparable(bytes.toHex())).toBe(comparable(sent ?? ""))
    })
  }

  test("bridge port: the settings are iproute2's; the kind stands where no module is loaded", () => {
    const settings = (bytes: Uint8Array) => {
      const [message] = parseMessages(bytes)
      const attributes = parseAttributes(message?.payload.subarray(16) ?? new Uint8Array(0))
      // IFLA_LINKINFO, IFLA_INFO_SLAVE_DATA
      return parseAttributes(attributes.get(18) ?? new Uint8Array(0)).get(5)
    }
    const ours = link.changeBridgePort(PORT, { hairpin: true, isolated: true })
    const theirs = Uint8Array.fromHex(sentBy("bridge-port"))
    expect(settings(ours.finish(1))?.toHex()).toBe(settings(theirs)?.toHex() ?? "")
    expect(settings(theirs)?.byteLength).toBe(16)
  })
})

/** Messages of a recorded dump; `family` keeps those whose payload starts with it. */
function answers(name: string, type: number): Message[] {
  const dump = dumps.find((row) => row.name === name)
  if (dump === undefined) throw new Error(`there is no recording ${name}`)
  return dump.received
    .flatMap((hex) => parseMessages(Uint8Array.fromHex(hex)))
    .filter((message) => message.type === type)
}

describe("answers", () => {
  test("links", () => {
    const links = answers("links", 16).map(decodeLink)
    const port = links.find(({ index }) => index === PORT)
    expect(port).toMatchObject({
      name: "port0",
      kind: "veth",
      master: BRIDGE,
      mtu: 1500,
      up: false,
      link: PORT_PEER,
      group: 0,
    })
    expect(port?.linkNetnsId).toBe(0)
    expect(port?.port).toMatchObject({ hairpin: true, isolated: true, learning: true })
    expect(links.find(({ index }) => index === DUMMY)).toMatchObject({
      name: "dmy0",
      mac: "02:00:02:00:00:02",
      mtu: 1300,
      group: 27501,
      alias: "hello",
      up: true,
    })
    expect(links.find(({ name }) => name === "lo")?.kind).toBe("")
  })

  test("addresses", () => {
    const found = answers("addresses", 20).map(decodeAddress)
    const ours = found.filter((info) => info?.index === DUMMY)
    expect(ours.map((info) => info?.address)).toContain("10.42.0.2/16")
    const six = ours.find((info) => info?.address === "fd00:42::2/64")
    // IFA_F_PERMANENT | IFA_F_NODAD, and no longer tentative
    expect((six?.flags ?? 0) & 0xc2).toBe(0x82)
    expect(found.find((info) => info?.address === "127.0.0.1/8")?.label).toBe("lo")
  })

  test("routes", () => {
    const routes = answers("routes4", RTM_NEWROUTE).map(decodeRoute)
    const at = (dst: string) => routes.find((info) => info?.dst === dst)
    expect(at("0.0.0.0/0")).toMatchObject({ gateway: "10.42.0.1", index: DUMMY, table: 254 })
    expect(at("10.61.0.0/16")).toMatchObject({ table: 1234, index: DUMMY, scope: 253 })
    expect(at("10.64.0.0/16")).toMatchObject({ type: 6, index: undefined })
    expect(at("10.70.0.0/16")).toMatchObject({ gateway: "10.42.0.3", index: DUMMY })
    const routes6 = answers("routes6", RTM_NEWROUTE).map(decodeRoute)
    expect(routes6.find((info) => info?.dst === "fd00:99::/64")).toMatchObject({
      family: 6,
      gateway: "fd00:42::1",
      index: DUMMY,
    })
  })

  test("neighbours", () => {
    const found = answers("neighs", 28).map(neigh.decodeNeigh)
    expect(found).toContainEqual(
      expect.objectContaining({ index: DUMMY, address: "10.42.0.9", mac: "02:00:03:00:00:01" }),
    )
  })

  test("refusals carry the number and the kernel's words", () => {
    const words = refusals.map(({ received }) => {
      const [message] = parseMessages(Uint8Array.fromHex(received ?? ""))
      if (message === undefined) throw new Error("no message")
      return parseAck(message)
    })
    expect(words).toEqual([
      { errno: 17, extAck: "" },
      { errno: 22, extAck: "mtu less than device minimum" },
      { errno: 101, extAck: "Nexthop has invalid gateway" },
    ])
  })

  test("the query for a route is iproute2's in family, length and destination", () => {
    const [message] = parseMessages(Uint8Array.fromHex(sentBy("route-get")))
    expect(message?.type).toBe(RTM_GETROUTE)
    expect(message?.payload.subarray(0, 2)).toEqual(new Uint8Array([2, 32]))
    expect(parseAttributes(message?.payload.subarray(12) ?? new Uint8Array(0)).get(1)).toEqual(
      new Uint8Array([10, 60, 1, 2]),
    )
  })
})
