/** The network between hosts: a bridge in the test's own namespace, and a cable to each of them. */

import { NETLINK_ROUTE } from "../../src/netlink/constants.ts"
import { NetlinkError } from "../../src/netlink/error.ts"
import { newAddress } from "../../src/netlink/route/addr.ts"
import {
  changeLink,
  deleteLink,
  getLink,
  newBridge,
  newVeth,
} from "../../src/netlink/route/link.ts"
import type { RouteRequest } from "../../src/netlink/route/route.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { run } from "../clients/program.ts"
import { requireTestNetns } from "../netns/guard.ts"
import type { LabNetns } from "./lab_netns.ts"

const BRIDGE = "underlay"
/** Documentation prefixes (RFC 5737, RFC 3849). */
const PREFIX4 = "192.0.2."
const PREFIX6 = "2001:db8::"
/** Name of the link in a host. */
export const UPLINK = "uplink"
/** IFLA_GSO_MAX_SEGS, include/uapi/linux/if_link.h */
const IFLA_GSO_MAX_SEGS = 40
/** The length field of IPv6 leaves its header out: RFC 8200 §3. */
const IPV6_HLEN = 40
/** Packets that netem holds at most: a second of a fast stream. */
const NETEM_LIMIT = 20_000

/** Where a machine is on the underlay. */
export interface UnderlayAddresses {
  readonly v4: string
  readonly v6: string
}

/** The addresses of the machine with this number, 1 to 253, without prefix length. */
export function underlayAddresses(number: number): UnderlayAddresses {
  return { v4: `${PREFIX4}${number}`, v6: `${PREFIX6}${number.toString(16)}` }
}

/** The test's own place on the underlay: it asks stores there, and forwards nothing. */
export const TEST_ADDRESSES: UnderlayAddresses = underlayAddresses(254)
export const UNDERLAY_PREFIXES: UnderlayAddresses = { v4: `${PREFIX4}0/24`, v6: `${PREFIX6}/64` }

export class Underlay {
  readonly route: NetlinkSocket
  readonly #bridge: number
  readonly #cables: Cable[] = []
  /** Routes that every machine has, those that are added later included. */
  readonly #routes: RouteRequest[]

  constructor() {
    requireTestNetns()
    this.route = NetlinkSocket.open(NETLINK_ROUTE)
    // Snooping would hold back neighbour solicitations until it has seen a report for them.
    this.route.request(newBridge({ name: BRIDGE, up: true, multicastSnooping: false }))
    this.#bridge = getLink(this.route, BRIDGE)?.index ?? 0
    const { v4, v6 } = TEST_ADDRESSES
    for (const address of [`${v4}/24`, `${v6}/64`]) {
      this.route.request(newAddress(this.#bridge, address))
    }
    this.#routes = [
      { dst: "0.0.0.0/0", gateway: v4 },
      { dst: "::/0", gateway: v6 },
    ]
  }

  /** Connects a namespace: its link {@link UPLINK} gets the addresses of that number. */
  attach(netns: LabNetns, number: number): Cable {
    const cable = new Cable(this.route, this.#bridge, netns)
    this.#cables.push(cable)
    const { v4, v6 } = underlayAddresses(number)
    netns.configure(UPLINK, [`${v4}/24`, `${v6}/64`])
    netns.addRoutes(UPLINK, this.#routes)
    return cable
  }

  /** Lets all machines know a way, save the one that it leads through. */
  announce(route: RouteRequest, through: LabNetns): void {
    this.#routes.push(route)
    for (const { netns } of this.#cables) {
      if (netns !== through) netns.addRoutes(UPLINK, [route])
    }
  }

  close(): void {
    for (const cable of this.#cables) cable.remove()
    this.route.request(deleteLink(this.#bridge))
    this.route.close()
  }
}

/** One machine's connection; what happens to it happens to everything between it and the others. */
export class Cable {
  readonly netns: LabNetns
  /** Name of its end in the test's namespace: all that the machine sends and gets passes here. */
  readonly port: string
  readonly #route: NetlinkSocket
  readonly #bridge: number
  readonly #index: number
  #shaped = false

  constructor(route: NetlinkSocket, bridge: number, netns: LabNetns) {
    this.netns = netns
    this.port = `port-${netns.name}`
    this.#route = route
    this.#bridge = bridge
    const veth = newVeth({
      name: this.port,
      master: bridge,
      up: true,
      peer: { name: UPLINK, netnsFd: netns.handle.fd },
    })
    route.request(veth)
    this.#index = getLink(route, this.port)?.index ?? 0
    // A veth hands over packets that no wire carries, many segments in one, whatever the MTU.
    for (const [socket, link] of [
      [route, this.#index],
      [netns.route, netns.link(UPLINK).index],
    ] as const) {
      socket.request(changeLink(link, {}).attrU32(IFLA_GSO_MAX_SEGS, 1))
    }
  }

  /** Nothing passes any more, and nobody is told. */
  cut(): void {
    this.#route.request(changeLink(this.#index, { master: 0 }))
  }

  heal(): void {
    this.#route.request(changeLink(this.#index, { master: this.#bridge }))
  }

  /** As a plug that is pulled: the machine sees its link lose the carrier. */
  unplug(): void {
    this.#route.request(changeLink(this.#index, { up: false }))
  }

  plug(): void {
    this.#route.request(changeLink(this.#index, { up: true }))
  }

  /**
   * Packets that are larger vanish, both ways, and nobody is told: a black hole. The MTU of the
   * port would not do: kernels differ in whether they leave room for a VLAN tag beyond it.
   *
   * @param mtu bytes of an IP packet; undefined undoes it
   */
  async narrow(mtu: number | undefined): Promise<void> {
    const table = `table netdev ${this.port}`
    const chain = (hook: string) => `chain ${hook} {
    type filter hook ${hook} device "${this.port}" priority filter
    ip length > ${mtu} drop
    ip6 length > ${(mtu ?? 0) - IPV6_HLEN} drop
  }`
    const made = mtu === undefined ? "" : `${table} {\n${chain("ingress")}\n${chain("egress")}\n}\n`
    await run(["nft", "-f", "-"], { input: `${table}\ndelete ${table}\n${made}` })
  }

  /**
   * Delays each packet, both ways, and loses some.
   *
   * @param options delayMs: each way; lossPercent: each way, default 0. Neither undoes it
   */
  async shape(options: { delayMs?: number; lossPercent?: number } = {}): Promise<void> {
    const { delayMs = 0, lossPercent = 0 } = options
    const plain = delayMs === 0 && lossPercent === 0
    if (plain && !this.#shaped) return
    this.#shaped = !plain
    const netem = ["netem", "limit", `${NETEM_LIMIT}`, "delay", `${delayMs}ms`]
    if (lossPercent > 0) netem.push("loss", `${lossPercent}%`)
    const qdisc = (device: string) =>
      plain
        ? ["tc", "qdisc", "del", "dev", device, "root"]
        : ["tc", "qdisc", "replace", "dev", device, "root", ...netem]
    await run(qdisc(this.port))
    await this.netns.run(...qdisc(UPLINK))
  }

  /** Takes the cable away; the machine's end goes with it. */
  remove(): void {
    if (getLink(this.#route, this.port) === undefined) return
    try {
      this.#route.request(deleteLink(this.#index))
    } catch (error) {
      // The kernel takes a cable away itself, some time after its other end's namespace has gone.
      if (!(error instanceof NetlinkError && error.errnoName === "ENODEV")) throw error
    }
  }
}
