/**
 * WireGuard between hosts: one device for each network, one peer for each host. The private key
 * is made here and stays in the kernel: the next instance reads it back, so that a restart
 * touches no packet. It never leaves this process.
 */

import type { Family } from "../../core/address.ts"
import { overheadOf } from "../../core/overhead.ts"
import { LariatError } from "../../errors.ts"
import { NETLINK_GENERIC } from "../../netlink/constants.ts"
import { type NewLink, newLink } from "../../netlink/route/link.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import type { WireguardPeer } from "../../netlink/wireguard/wireguard.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf } from "../driver.ts"
import type { KernelPart } from "../kernel_table.ts"
import { isDeviceGone } from "../overlay_device.ts"
import { OverlayDriver } from "../overlay_driver.ts"
import type { OverlayBase, OverlayKind, Sight } from "../overlay_kind.ts"
import type { Planned } from "../peer_plans.ts"
import { waysTo, wayTrouble } from "../peer_ways.ts"
import { ownFamily } from "../underlay_address.ts"
import { type KeyPair, WireguardControl } from "./control.ts"
import { PeerTable } from "./peer_table.ts"
import { planPeer, type WireguardPlan, wireguardParameters } from "./plan.ts"

/** Settings of {@link openWireguard}. */
export interface WireguardOptions {
  /** UDP port. Default 51820. */
  readonly port?: number | undefined
  /** Seconds between packets that keep a NAT open, to every peer. Default 0, none. */
  readonly keepalive?: number | undefined
  /** Of addresses outside, where both hosts have it. Default IPv4 where this host has one. */
  readonly family?: Family | undefined
  /** The key that this host and another one know, 32 bytes. Default: what the kernel has stays. */
  readonly presharedKey?: ((hostId: string) => Uint8Array) | undefined
  /** Milliseconds of the wall clock. Default Date.now. */
  readonly now?: (() => number) | undefined
}

const DEFAULT_PORT = 51_820

/**
 * A driver for the current network namespace.
 *
 * @param random source of secret random bytes, for the private key
 * @throws SystemError; LariatError config-invalid
 */
export function openWireguard(
  network: OverlayNetwork,
  random: (bytes: number) => Uint8Array,
  options: WireguardOptions = {},
): Driver {
  const open = (base: OverlayBase<WireguardPlan>) => new Wireguard(base, random, options)
  return OverlayDriver.open<WireguardPlan>(network, open)
}

/** What the device was made for, and its keys. */
interface Own {
  readonly self: OverlaySelf
  readonly family: Family
  readonly keys: KeyPair
}

class Wireguard implements OverlayKind<WireguardPlan> {
  readonly kind = "wireguard"
  readonly deviceName: string
  readonly linkKind = "wireguard"
  readonly routesToDevice = true
  readonly #base: OverlayBase<WireguardPlan>
  readonly #options: WireguardOptions
  readonly #port: number
  readonly #generic = NetlinkSocket.open(NETLINK_GENERIC)
  readonly #control: WireguardControl
  readonly #table: PeerTable
  readonly parts: readonly KernelPart[]
  #own: Own | undefined

  constructor(
    base: OverlayBase<WireguardPlan>,
    random: (bytes: number) => Uint8Array,
    options: WireguardOptions,
  ) {
    this.#base = base
    this.#options = options
    this.#port = options.port ?? DEFAULT_PORT
    this.deviceName = `lrw${base.network.number}`
    this.#control = new WireguardControl(this.#generic, this.deviceName, this.#port, random)
    const { link } = base
    this.#table = new PeerTable({
      ...{ socket: this.#generic, random, now: options.now ?? Date.now },
      read: () => this.#control.read(link.index).peers,
      message: (peers) => this.#control.message(link.index, { peers }),
    })
    this.parts = this.#table.parts
  }

  /** `publicKey` (base64) and `port`. */
  get parameters(): Readonly<Record<string, string>> {
    return this.#own === undefined ? {} : wireguardParameters(this.#own.keys.publicKey, this.#port)
  }

  device(self: OverlaySelf) {
    const { underlayMtu: outer } = this.#base.network
    return {
      title: "WireGuard",
      mtu: overheadOf("wireguard", { outer, family: this.#familyOf(self) }).mtu,
      make: (link: NewLink) => newLink("wireguard", link),
    }
  }

  equip(self: OverlaySelf): readonly string[] {
    const own = this.#own?.keys.privateKey
    const { keys, did } = this.#control.ensureKey(this.#base.link.index, own)
    this.#own = { self, family: this.#familyOf(self), keys }
    return did
  }

  context(): unknown {
    return this.#own?.keys.publicKey
  }

  plan(peer: OverlayPeer): WireguardPlan {
    const { self, family, keys } = this.#known()
    const { network, routes, link } = this.#base
    const { keepalive = 0, presharedKey } = this.#options
    return planPeer(
      {
        ...{ network, self, family, keepalive },
        publicKey: keys.publicKey,
        index: link.index,
        contains: (prefix) => routes.contains(prefix),
        presharedKey: presharedKey?.(peer.hostId),
        keyHolder: (key) => {
          const holder = this.#table.holderOf(key)
          return holder === peer.hostId ? undefined : holder
        },
      },
      peer,
    )
  }

  desired(hostId: string, plan: WireguardPlan | undefined): void {
    this.#table.desired(hostId, plan?.wanted)
  }

  /** WireGuard counts bytes, and no packets. */
  look(known: readonly Planned<WireguardPlan>[]) {
    const { socket, link } = this.#base
    const ways = waysTo(
      socket,
      known.map(({ plan }) => plan.remote),
    )
    const peers = this.#readPeers()
    return ({ plan: { remote, wanted } }: Planned<WireguardPlan>): Sight => {
      const trouble = wayTrouble(ways.get(remote ?? ""), link.index)
      const peer = peers.get(wanted?.publicKey ?? "")
      if (peer === undefined) return { trouble: trouble ?? "the kernel lacks the peer" }
      const { endpoint, txBytes, rxBytes, lastHandshake } = peer
      return { trouble, remote: endpoint?.address ?? remote, txBytes, rxBytes, lastHandshake }
    }
  }

  close(): void {
    this.#generic.close()
  }

  #familyOf({ underlay }: OverlaySelf): Family {
    const family = this.#options.family ?? ownFamily(underlay)
    if (family !== undefined) return family
    throw new LariatError(
      `Cannot carry network ${this.#base.network.name} in WireGuard: this host has no address to others`,
      { code: "config-invalid", hint: "Say which address others reach this host at (--host-ip)." },
    )
  }

  #known(): Own {
    if (this.#own !== undefined) return this.#own
    throw new LariatError(`Cannot use ${this.deviceName}: it is not prepared`, { code: "internal" })
  }

  /** Peers by public key; none of a device that is gone, or was made anew by somebody else. */
  #readPeers(): Map<string, WireguardPeer> {
    try {
      const { peers } = this.#control.read(this.#base.link.index)
      return new Map(peers.map((peer) => [peer.publicKey.toBase64(), peer]))
    } catch (error) {
      if (isDeviceGone(error)) return new Map()
      throw error
    }
  }
}
