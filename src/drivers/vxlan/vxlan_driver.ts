/**
 * VXLAN between hosts, routed: each host's blocks lie behind its VTEP, whose MAC and address
 * every other host is told. Nothing is flooded and nothing learnt from packets: frames for a MAC
 * that was not told are dropped.
 */

import { type Family, familyOf } from "../../core/address.ts"
import { overheadOf } from "../../core/overhead.ts"
import { LariatError } from "../../errors.ts"
import { NUD_PERMANENT } from "../../netlink/constants.ts"
import type { NetlinkError } from "../../netlink/error.ts"
import {
  deleteForwarding,
  listForwardings,
  replaceForwarding,
} from "../../netlink/route/forwarding.ts"
import { type LinkInfo, listLinks, type NewLink } from "../../netlink/route/link.ts"
import { deleteNeigh, listNeighs, newNeigh } from "../../netlink/route/neigh.ts"
import {
  changeVxlanLocal,
  getVxlan,
  newVxlan,
  type VxlanInfo,
} from "../../netlink/route/vxlan_link.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf } from "../driver.ts"
import { type KernelPart, KernelTable } from "../kernel_table.ts"
import { OverlayDriver } from "../overlay_driver.ts"
import type { OverlayBase, OverlayKind } from "../overlay_kind.ts"
import type { Planned } from "../peer_plans.ts"
import { waysTo, wayTrouble } from "../peer_ways.ts"
import { addressOf, ownFamily } from "../underlay_address.ts"
import { type Forwarding, type Neighbour, planPeer, type VxlanPlan } from "./plan.ts"
import { type Vtep, vtepMac, vtepParameters } from "./vtep.ts"

/** Settings of {@link openVxlan}. */
export interface VxlanOptions {
  /** VXLAN network identifier. Default 1042, Rancher's. */
  readonly vni?: number | undefined
  /** UDP port. Default 4789 (RFC 7348 §8). */
  readonly port?: number | undefined
  /** Of addresses outside. Default IPv4 where this host has one. */
  readonly family?: Family | undefined
}

const DEFAULT_VNI = 1042
/** RFC 7348 §8. */
export const DEFAULT_PORT = 4789

/**
 * A driver for the current network namespace.
 *
 * @throws SystemError; LariatError config-invalid
 */
export function openVxlan(network: OverlayNetwork, options: VxlanOptions = {}): Driver {
  return OverlayDriver.open<VxlanPlan>(network, (base) => new Vxlan(base, options))
}

/** This host's end, and the address that it sends from. */
type OwnVtep = Vtep & { readonly local: string }

class Vxlan implements OverlayKind<VxlanPlan> {
  readonly kind = "vxlan"
  readonly deviceName: string
  readonly linkKind = "vxlan"
  readonly routesToDevice = true
  readonly #base: OverlayBase<VxlanPlan>
  readonly #options: VxlanOptions
  readonly #forwardings: KernelTable<Forwarding>
  readonly #neighbours: KernelTable<Neighbour>
  readonly parts: readonly KernelPart[]
  /** Undefined before the device was asked for. */
  #own: { readonly self: OverlaySelf; readonly vtep: OwnVtep } | undefined

  constructor(base: OverlayBase<VxlanPlan>, options: VxlanOptions) {
    this.#base = base
    this.#options = options
    this.deviceName = `lrv${base.network.number}`
    const { socket, link } = base
    this.#forwardings = new KernelTable<Forwarding>(socket, {
      what: "forwarding",
      key: ({ mac }) => mac,
      describe: ({ mac, remote }) => `of ${mac} to ${remote ?? "nowhere"}`,
      same: (a, b) => a.index === b.index && a.remote === b.remote,
      add: ({ index, mac, remote = "" }) => replaceForwarding(index, mac, remote),
      remove: ({ index, mac, remote }) => deleteForwarding(index, mac, remote),
      list: () =>
        listForwardings(socket, link.index).map(({ mac, address }) => ({
          ...{ index: link.index, mac, remote: address },
        })),
    })
    this.#neighbours = new KernelTable<Neighbour>(socket, {
      what: "neighbour",
      key: ({ address }) => address,
      describe: ({ address, mac }) => `${address} at ${mac}`,
      same: (a, b) => a.index === b.index && a.mac === b.mac,
      add: ({ index, address, mac }) => newNeigh(index, address, mac),
      remove: ({ index, address }) => deleteNeigh(index, address),
      // Entries that nobody made for good come and go by themselves.
      list: () =>
        listNeighs(socket, link.index).flatMap(({ state, address, mac }) =>
          state !== NUD_PERMANENT || address === undefined
            ? []
            : [{ index: link.index, address, mac }],
        ),
    })
    this.parts = [this.#forwardings, this.#neighbours]
  }

  /** `mac`, `vni`, `port` and `family` of the VTEP. */
  get parameters(): Readonly<Record<string, string>> {
    return this.#own === undefined ? {} : vtepParameters(this.#own.vtep)
  }

  device(self: OverlaySelf) {
    const vtep = this.#ownVtep(self)
    const { socket, network } = this.#base
    this.#own = { self, vtep }
    return {
      title: "VXLAN",
      mtu: overheadOf("vxlan", { outer: network.underlayMtu, family: vtep.family }).mtu,
      mac: vtep.mac,
      make: (link: NewLink) => newVxlan(link, { ...vtep, learning: false }),
      unfit: ({ index }: LinkInfo) => unfit(getVxlan(socket, index), vtep),
      taken: (cause: NetlinkError) => this.#taken(vtep, cause),
    }
  }

  equip(): readonly string[] {
    const { socket, link } = this.#base
    const { local } = this.#known().vtep
    const found = getVxlan(socket, link.index)?.local
    if (found === local) return []
    socket.request(changeVxlanLocal(link.index, local))
    return [`changed the source of ${this.deviceName} from ${found ?? "any"} to ${local}`]
  }

  context(): unknown {
    return this.#known().vtep
  }

  plan(peer: OverlayPeer): VxlanPlan {
    const { network, routes, link } = this.#base
    return planPeer(
      {
        ...this.#known(),
        network,
        index: link.index,
        contains: (prefix) => routes.contains(prefix),
        macHolder: (mac) => {
          const holder = this.#forwardings.ownerOf(mac)
          return holder === peer.hostId ? undefined : holder
        },
      },
      peer,
    )
  }

  desired(hostId: string, plan: VxlanPlan | undefined): void {
    this.#forwardings.desired(hostId, plan?.forwardings ?? [])
    this.#neighbours.desired(hostId, plan?.neighbours ?? [])
  }

  /** VXLAN counts nothing by peer. */
  look(known: readonly Planned<VxlanPlan>[]) {
    const { socket, link } = this.#base
    const ways = waysTo(
      socket,
      known.map(({ plan }) => plan.remote),
    )
    return ({ plan }: Planned<VxlanPlan>) => ({
      trouble: wayTrouble(ways.get(plan.remote ?? ""), link.index),
    })
  }

  #ownVtep({ hostId, underlay }: OverlaySelf): OwnVtep {
    const { name } = this.#base.network
    const { vni = DEFAULT_VNI, port = DEFAULT_PORT, family = ownFamily(underlay) } = this.#options
    const local = family === undefined ? undefined : addressOf(underlay, family)
    if (family === undefined || local === undefined) {
      const version = family === undefined ? "IP" : `IPv${family}`
      throw new LariatError(
        `Cannot carry network ${name} in VXLAN: this host has no ${version} address to others`,
        {
          code: "config-invalid",
          hint: "Say which address others reach this host at (--host-ip).",
        },
      )
    }
    return { mac: vtepMac(hostId, name), vni, port, family, local }
  }

  #taken({ vni, port }: Vtep, cause: NetlinkError): LariatError {
    const { socket, network } = this.#base
    const other = listLinks(socket, { kind: "vxlan" }).find(({ index }) => {
      const info = getVxlan(socket, index)
      return info?.vni === vni && info.port === port
    })
    const who = other === undefined ? "another link has" : `${other.name} has`
    return new LariatError(
      `Cannot make ${this.deviceName} for network ${network.name}: ${who} VNI ${vni} at UDP port ${port}`,
      {
        code: "ifname-exists",
        hint: "Choose another `vni` or `port` for the network, or remove that link.",
        cause,
      },
    )
  }

  #known() {
    if (this.#own !== undefined) return this.#own
    throw new LariatError(`Cannot use ${this.deviceName}: it is not prepared`, { code: "internal" })
  }
}

function unfit(info: VxlanInfo | undefined, { vni, port, family }: Vtep): string | undefined {
  if (info === undefined) return "it is no VXLAN link"
  if (info.vni !== vni) return `its VNI was ${info.vni}, not ${vni}`
  if (info.port !== port) return `its UDP port was ${info.port}, not ${port}`
  if (info.learning) return "it learnt from packets"
  if (info.local !== undefined && familyOf(info.local) !== family) return `it was not IPv${family}`
  return undefined
}
