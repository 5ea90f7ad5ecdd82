/** Ethernet frames that a container may send, and those that it must not get through. */
import { parseAddress } from "../../src/core/address.ts"
import { parseMac } from "../../src/core/mac.ts"

/** Who sends, whom it is after, and who stands between. Addresses without prefix length. */
export interface Cast {
  readonly me: Party
  readonly victim: Party
  readonly gateway: Omit<Party, "mac">
}

export interface Party {
  readonly mac: string
  readonly ipv4: string
  readonly ipv6: string
}

export interface Frame {
  readonly name: string
  /** Whether the sender may send it. */
  readonly good: boolean
  readonly bytes: Uint8Array
}

/** The name of the last frame, which is good: when it is there, all that come before it are. */
export const LAST = "the last"

const ARP = 0x0806
const IPV4 = 0x0800
const IPV6 = 0x86dd
const VLAN = 0x8100
const UDP = 17
const ICMPV6 = 58
const NEIGHBOUR_SOLICITATION = 135
const NEIGHBOUR_ADVERTISEMENT = 136
const BROADCAST = parseMac("ff:ff:ff:ff:ff:ff")
const ALL_NODES = parseMac("33:33:00:00:00:01")
const STRANGER = "02:66:66:66:66:66"
const NONCE = Uint8Array.of(14, 1, 1, 2, 3, 4, 5, 6)

const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff)
const ip = (text: string): Uint8Array => parseAddress(text).bytes
const tag = (name: string): Uint8Array => new TextEncoder().encode(`FORGED:${name};`)

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** The link-local address of a MAC address: RFC 4291 appendix A. */
export function linkLocal(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = parseMac(mac)
  const hex = (high: number, low: number): string => ((high << 8) | low).toString(16)
  return `fe80::${hex(a ^ 2, b)}:${hex(c, 0xff)}:${hex(0xfe, d)}:${hex(e, f)}`
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): Uint8Array {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return u16(~sum & 0xffff)
}

function ether(to: Uint8Array, from: string, type: number, payload: Uint8Array): Uint8Array {
  return join(to, parseMac(from), u16(type), payload)
}

function ipv4(from: string, to: string, payload: Uint8Array): Uint8Array {
  const head = Uint8Array.of(0x45, 0, ...u16(20 + payload.length), 0, 1, 0, 0, 64, UDP, 0, 0)
  const bare = join(head, ip(from), ip(to))
  bare.set(checksum(bare), 10)
  return join(bare, payload)
}

function udp(source: number, destination: number, payload: Uint8Array): Uint8Array {
  return join(u16(source), u16(destination), u16(8 + payload.length), u16(0), payload)
}

function ipv6(from: string, to: string, next: number, payload: Uint8Array): Uint8Array {
  return join(
    Uint8Array.of(0x60, 0, 0, 0, ...u16(payload.length), next, 255),
    ip(from),
    ip(to),
    payload,
  )
}

function icmpv6(from: string, to: string, type: number, body: Uint8Array): Uint8Array {
  const message = join(Uint8Array.of(type, 0, 0, 0), body)
  const pseudo = join(
    ip(from),
    ip(to),
    Uint8Array.of(0, 0),
    u16(message.length),
    u16(0),
    u16(ICMPV6),
  )
  message.set(checksum(join(pseudo, message)), 2)
  return message
}

function arp(operation: number, sender: [string, string], target: string): Uint8Array {
  const [mac, address] = sender
  const fixed = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, operation)
  return join(fixed, parseMac(mac), ip(address), new Uint8Array(6), ip(target))
}

/** Neighbour discovery about a target, with options. */
function discovery(
  type: number,
  {
    from,
    target,
    options = new Uint8Array(),
  }: { from: string; target: string; options?: Uint8Array },
): Uint8Array {
  const flags = type === NEIGHBOUR_ADVERTISEMENT ? 0x60 : 0
  const body = join(Uint8Array.of(flags, 0, 0, 0), ip(target), options)
  return ipv6(from, "ff02::1", ICMPV6, icmpv6(from, "ff02::1", type, body))
}

function linkAddress(type: 1 | 2, mac: string): Uint8Array {
  return join(Uint8Array.of(type, 1), parseMac(mac))
}

/** Frames by what is wrong with them; each bears its name, so that it is known where it arrives. */
export function frames({ me, victim, gateway }: Cast): Frame[] {
  const all: Frame[] = []
  const add = (name: string, good: boolean, bytes: Uint8Array): void => {
    all.push({ name, good, bytes })
  }
  const you = parseMac(victim.mac)
  const mine = linkLocal(me.mac)
  const datagram = (name: string): Uint8Array => udp(5000, 5000, tag(name))
  const v4 = (name: string, from: string, mac = me.mac): Uint8Array =>
    ether(you, mac, IPV4, ipv4(from, victim.ipv4, datagram(name)))
  const v6 = (name: string, from: string, mac = me.mac): Uint8Array =>
    ether(you, mac, IPV6, ipv6(from, victim.ipv6, UDP, datagram(name)))
  const other4 = "10.42.200.99"
  const other6 = "fd42::c8:99"

  add("IPv4 of its own", true, v4("IPv4 of its own", me.ipv4))
  for (const [who, address] of Object.entries({
    victim: victim.ipv4,
    gateway: gateway.ipv4,
    other: other4,
    host: "127.0.0.1",
    none: "0.0.0.0",
    metadata: "169.254.169.250",
    "next to it": me.ipv4.replace(/\d+$/, (last) => String(Number(last) ^ 1)),
  })) {
    add(`IPv4 of ${who}`, false, v4(`IPv4 of ${who}`, address))
  }
  for (const [who, mac] of Object.entries({ stranger: STRANGER, victim: victim.mac })) {
    add(`MAC of ${who}`, false, v4(`MAC of ${who}`, me.ipv4, mac))
    add(`IPv6, MAC of ${who}`, false, v6(`IPv6, MAC of ${who}`, me.ipv6, mac))
    const as = `IPv4 and MAC of ${who}`
    add(as, false, ether(BROADCAST, mac, IPV4, ipv4(victim.ipv4, victim.ipv4, datagram(as))))
  }

  for (const [who, address] of [
    ["its own", me.ipv4],
    ["other", other4],
  ] as const) {
    const name = `VLAN tag, IPv4 of ${who}`
    const inner = join(u16(5), u16(IPV4), ipv4(address, victim.ipv4, datagram(name)))
    add(name, false, ether(you, me.mac, VLAN, inner))
    const twice = `two VLAN tags, IPv4 of ${who}`
    const deep = ipv4(address, victim.ipv4, datagram(twice))
    add(twice, false, ether(you, me.mac, 0x88a8, join(u16(5), u16(VLAN), u16(6), u16(IPV4), deep)))
  }
  for (const type of [0x88b5, 0x0027, 0x888e, 0x88cc, 0x8863, 0x8847]) {
    const name = `ether type ${type.toString(16)}`
    add(name, false, ether(you, me.mac, type, tag(name)))
  }
  const bridgeGroup = parseMac("01:80:c2:00:00:00")
  add(
    "BPDU",
    false,
    ether(bridgeGroup, me.mac, 39, join(Uint8Array.of(0x42, 0x42, 3), tag("BPDU"))),
  )
  for (const [kind, client] of [
    ["DHCP server", 68],
    ["DHCP server to another port", 5000],
  ] as const) {
    const offer = ipv4(me.ipv4, "255.255.255.255", udp(67, client, tag(kind)))
    add(kind, false, ether(BROADCAST, me.mac, IPV4, offer))
  }
  const inside = ipv6(other6, victim.ipv6, UDP, datagram("IPv6 as IPv4"))
  add("IPv6 as IPv4", false, ether(you, me.mac, IPV4, inside))
  const within = ipv4(other4, victim.ipv4, datagram("IPv4 as IPv6"))
  add("IPv4 as IPv6", false, ether(you, me.mac, IPV6, within))

  const arps = (name: string, good: boolean, payload: Uint8Array, from = me.mac): void =>
    add(name, good, ether(BROADCAST, from, ARP, join(payload, tag(name))))
  arps("ARP request", true, arp(1, [me.mac, me.ipv4], victim.ipv4))
  arps("ARP reply", true, arp(2, [me.mac, me.ipv4], victim.ipv4))
  arps("ARP announcement", true, arp(1, [me.mac, me.ipv4], me.ipv4))
  arps("ARP probe", true, arp(1, [me.mac, "0.0.0.0"], me.ipv4))
  arps("ARP reply for gateway", false, arp(2, [me.mac, gateway.ipv4], victim.ipv4))
  arps("ARP announcement of another", false, arp(1, [me.mac, other4], other4))
  arps("ARP with another MAC inside", false, arp(2, [STRANGER, me.ipv4], victim.ipv4))
  arps("ARP with another MAC outside", false, arp(2, [me.mac, me.ipv4], victim.ipv4), STRANGER)
  arps("ARP probe of another MAC", false, arp(1, [STRANGER, "0.0.0.0"], victim.ipv4))
  arps("ARP reply from nobody", false, arp(2, [me.mac, "0.0.0.0"], victim.ipv4))
  for (const [name, at, value] of [
    ["ARP of another hardware", 1, 6],
    ["ARP of another protocol", 2, 9],
    ["ARP of long hardware addresses", 4, 8],
    ["ARP of long addresses", 5, 16],
  ] as const) {
    const payload = arp(2, [me.mac, me.ipv4], victim.ipv4)
    payload[at] = value
    arps(name, false, payload)
  }

  add("IPv6 of its own", true, v6("IPv6 of its own", me.ipv6))
  add("link-local of its own", true, v6("link-local of its own", mine))
  for (const [who, address] of Object.entries({
    victim: victim.ipv6,
    gateway: gateway.ipv6,
    other: other6,
    "another link-local": "fe80::1",
    "the victim's link-local": linkLocal(victim.mac),
    nobody: "::",
    loopback: "::1",
  })) {
    add(`IPv6 of ${who}`, false, v6(`IPv6 of ${who}`, address))
  }

  const lifetimes = Uint8Array.of(64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0)
  const advertised = (name: string): Uint8Array => join(lifetimes, tag(name))
  const toAll = (payload: Uint8Array): Uint8Array => ether(ALL_NODES, me.mac, IPV6, payload)
  const routed = (name: string, from: string, type: number): void =>
    add(
      name,
      false,
      toAll(ipv6(from, "ff02::1", ICMPV6, icmpv6(from, "ff02::1", type, advertised(name)))),
    )
  routed("router advertisement", mine, 134)
  routed("router advertisement of the gateway", "fe80::1", 134)
  routed("redirect", mine, 137)
  for (const [header, next] of [
    ["hop-by-hop options", 0],
    ["destination options", 60],
  ] as const) {
    const name = `router advertisement behind ${header}`
    const options = Uint8Array.of(ICMPV6, 0, 1, 4, 0, 0, 0, 0)
    const message = icmpv6(mine, "ff02::1", 134, advertised(name))
    add(name, false, toAll(ipv6(mine, "ff02::1", next, join(options, message))))
    const neighbour = `advertisement for the gateway behind ${header}`
    const body = join(
      Uint8Array.of(0x60, 0, 0, 0),
      ip(gateway.ipv6),
      linkAddress(2, me.mac),
      tag(neighbour),
    )
    const told = icmpv6(me.ipv6, "ff02::1", NEIGHBOUR_ADVERTISEMENT, body)
    add(neighbour, false, toAll(ipv6(me.ipv6, "ff02::1", next, join(options, told))))
  }
  const whole = icmpv6(mine, "ff02::1", 134, advertised("router advertisement in fragments"))
  const first = join(Uint8Array.of(ICMPV6, 0, 0, 1, 0, 0, 0, 7), whole.subarray(0, 8))
  add("router advertisement in fragments", false, toAll(ipv6(mine, "ff02::1", 44, first)))
  const dhcpv6 = ipv6(me.ipv6, "ff02::1", UDP, udp(547, 546, tag("DHCPv6 server")))
  add("DHCPv6 server", false, toAll(dhcpv6))

  // A name would be an option, or is cut off behind the packet.
  const discover = (
    name: string,
    good: boolean,
    type: number,
    what: { from?: string; target: string; options?: Uint8Array },
    mac = me.mac,
  ): void => {
    const packet = discovery(type, { from: me.ipv6, ...what })
    add(name, good, ether(ALL_NODES, mac, IPV6, packet))
  }
  const own = { target: me.ipv6, options: linkAddress(2, me.mac) }
  const asks = { target: victim.ipv6, options: linkAddress(1, me.mac) }
  discover("advertisement", true, NEIGHBOUR_ADVERTISEMENT, own)
  discover("advertisement without link address", true, NEIGHBOUR_ADVERTISEMENT, { target: me.ipv6 })
  discover("solicitation", true, NEIGHBOUR_SOLICITATION, asks)
  discover("own address, asked for", true, NEIGHBOUR_SOLICITATION, { from: "::", target: me.ipv6 })
  discover("with a nonce", true, NEIGHBOUR_SOLICITATION, {
    from: "::",
    target: me.ipv6,
    options: NONCE,
  })
  for (const [who, target] of Object.entries({
    victim: victim.ipv6,
    gateway: gateway.ipv6,
    other: other6,
    "another's link-local": linkLocal(victim.mac),
  })) {
    discover(`advertisement for ${who}`, false, NEIGHBOUR_ADVERTISEMENT, { ...own, target })
    discover(`advertisement as ${who}`, false, NEIGHBOUR_ADVERTISEMENT, { ...own, from: target })
    discover(`whether ${who} is there`, false, NEIGHBOUR_SOLICITATION, { from: "::", target })
  }
  const strange = { 1: linkAddress(1, STRANGER), 2: linkAddress(2, STRANGER) }
  discover("advertisement, another link address", false, NEIGHBOUR_ADVERTISEMENT, {
    ...own,
    options: strange[2],
  })
  discover("solicitation, another link address", false, NEIGHBOUR_SOLICITATION, {
    ...asks,
    options: strange[1],
  })
  discover("solicitation, nonce before another", false, NEIGHBOUR_SOLICITATION, {
    ...asks,
    options: join(NONCE, strange[1]),
  })
  discover("solicitation of another MAC", false, NEIGHBOUR_SOLICITATION, asks, STRANGER)
  const soliciting = (name: string, good: boolean, from: string, options: Uint8Array): void => {
    const message = icmpv6(from, "ff02::2", 133, join(new Uint8Array(4), options))
    add(name, good, toAll(ipv6(from, "ff02::2", ICMPV6, message)))
  }
  soliciting("router solicitation", true, mine, linkAddress(1, me.mac))
  soliciting("router solicitation from nobody", true, "::", new Uint8Array())
  soliciting("router solicitation, another link address", false, mine, strange[1])
  soliciting("router solicitation from nobody with one", false, "::", strange[1])
  add(LAST, true, v4(LAST, me.ipv4))
  return all
}

/**
 * The names of frames that are among those captured: as they were sent, or with their name in it,
 * however else it was changed on the way.
 */
export function namesIn(captured: readonly Uint8Array[], sent: readonly Frame[]): string[] {
  const text = captured.map((frame) => new TextDecoder("latin1").decode(frame)).join("\n")
  const told = [...text.matchAll(/FORGED:([^;]+);/g)].map(([, name = ""]) => name)
  const bytes = new Set(captured.map((frame) => frame.toHex()))
  const same = sent.filter((frame) => bytes.has(frame.bytes.toHex())).map(({ name }) => name)
  return [...new Set([...told, ...same])]
}
