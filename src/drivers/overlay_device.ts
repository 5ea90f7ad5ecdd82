/**
 * A driver's device on this host: made once, kept from then on, found again by the next instance.
 * It has this host's own addresses on the network.
 */

import { hostPrefix } from "../core/address.ts"
import { parseMac } from "../core/mac.ts"
import { LariatError } from "../errors.ts"
import { NetlinkError } from "../netlink/error.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { deleteAddress, listAddresses, newAddress } from "../netlink/route/addr.ts"
import {
  changeLink,
  deleteLink,
  getLink,
  type LinkInfo,
  type NewLink,
} from "../netlink/route/link.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { EADDRNOTAVAIL, EEXIST, ENETDOWN, ENODEV, EOPNOTSUPP } from "../sys/ffi/errno.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { errorsOf } from "./failures.ts"
import { KernelTable } from "./kernel_table.ts"
import { ensureSettings, type Setting } from "./sysctl.ts"

/**
 * Link group of the devices of drivers. A link has its group from its making on and its alias a
 * moment later: one that was left half made is known by it.
 */
export const OVERLAY_GROUP = 27510

const ALIAS = "lariat"

/** What the device is to be. */
export interface DeviceSpec {
  /** At most 15 bytes. */
  readonly name: string
  /** The kernel's word for its kind. */
  readonly kind: string
  /** For people: "VXLAN". */
  readonly title: string
  readonly network: string
  readonly mtu: number
  /** Default: what the kernel chooses, or none. */
  readonly mac?: string
  /** Whether it is to have IPv6. */
  readonly ipv6: boolean
  make(link: NewLink): MessageWriter
  /** Why the one that is there must be made anew; undefined when it may stay. Default: it may. */
  unfit?(link: LinkInfo): string | undefined
  /** What to say where another link has what it needs. Default: what the kernel says. */
  taken?(cause: NetlinkError): LariatError
}

interface AddressRow {
  readonly index: number
  /** With prefix length. */
  readonly address: string
}

export class OverlayDevice {
  readonly #socket: NetlinkSocket
  readonly #netns: Netns
  readonly #within: (prefix: string) => boolean
  /** The addresses that it has of the network: this host's own. */
  readonly addresses: KernelTable<AddressRow>
  #index = 0

  /** @param within whether a prefix is of the network: other addresses are left alone */
  constructor(socket: NetlinkSocket, netns: Netns, within: (prefix: string) => boolean) {
    this.#socket = socket
    this.#netns = netns
    this.#within = within
    this.addresses = new KernelTable<AddressRow>(socket, {
      what: "address",
      key: ({ address }) => address,
      same: (wanted, found) => wanted.index === found.index,
      add: ({ index, address }) =>
        newAddress(index, address, { replace: true, noPrefixRoute: true }),
      remove: ({ index, address }) => deleteAddress(index, address),
      gone: [EADDRNOTAVAIL],
      list: () => listAddresses(socket, this.#index).filter(({ address }) => within(address)),
    })
  }

  /** Of the link; 0 before {@link ensure}. */
  get index(): number {
    return this.#index
  }

  /**
   * Makes the device or takes over the one that is there, and gives it what it is to have. A
   * device that must be made anew takes routes and peers with it.
   *
   * @returns what it did
   * @throws LariatError ifname-exists when the name is another's; kernel-unsupported;
   *   NetlinkError; SystemError
   */
  ensure(spec: DeviceSpec): string[] {
    const did: string[] = []
    let link = findDevice(this.#socket, spec)
    const unfit = link === undefined ? undefined : this.#unfit(link, spec)
    if (link !== undefined && unfit !== undefined) {
      this.#socket.request(deleteLink(link.index))
      did.push(`removed ${spec.name}: ${unfit}`)
      link = undefined
    }
    if (link === undefined) {
      link = this.#make(spec)
      did.push(`made ${spec.name}`)
    }
    did.push(...ensureSettings(this.#netns, settingsOf(spec)))
    did.push(...this.#change(link, spec))
    this.#index = link.index
    return did
  }

  /** Says which addresses it is to have: the host's own, without prefix length. */
  wantAddresses(addresses: readonly string[]): void {
    const rows = addresses.map(hostPrefix).filter(this.#within)
    this.addresses.desired(
      "self",
      rows.map((address) => ({ index: this.#index, address })),
    )
  }

  /** Takes the device out, with addresses, routes, neighbours. Another's stays. @throws NetlinkError */
  remove(spec: Pick<DeviceSpec, "name" | "kind">): void {
    const link = getLink(this.#socket, spec.name)
    if (link === undefined || !isOurs(link, spec.kind)) return
    const [outcome] = this.#socket.tryAll([deleteLink(link.index)])
    if (outcome?.error !== undefined && outcome.error.errno !== ENODEV) throw outcome.error
    this.#index = 0
  }

  #unfit(link: LinkInfo, spec: DeviceSpec): string | undefined {
    const other = link.alias !== "" && link.alias !== aliasOf(spec)
    return other ? `it was that of "${link.alias}"` : spec.unfit?.(link)
  }

  #make(spec: DeviceSpec): LinkInfo {
    const { name, mtu, mac } = spec
    const message = spec.make({
      name,
      mtu,
      group: OVERLAY_GROUP,
      ...(mac === undefined ? {} : { mac: parseMac(mac) }),
    })
    const [outcome] = this.#socket.tryAll([message])
    const error = outcome?.error
    if (error?.errno === EOPNOTSUPP) throw unsupported(spec, error)
    if (error?.errno === EEXIST && spec.taken !== undefined) throw spec.taken(error)
    if (error !== undefined) throw error
    const link = getLink(this.#socket, name)
    if (link === undefined) throw new NetlinkError(`find ${name}`, ENODEV)
    return link
  }

  #change(link: LinkInfo, spec: DeviceSpec): string[] {
    const { name, mtu, mac } = spec
    const alias = aliasOf(spec)
    const wrong: string[] = []
    const change = {
      mtu: link.mtu === mtu ? undefined : mtu,
      mac: mac === undefined || link.mac === mac ? undefined : parseMac(mac),
      alias: link.alias === alias ? undefined : alias,
      group: link.group === OVERLAY_GROUP ? undefined : OVERLAY_GROUP,
      up: link.up ? undefined : true,
    }
    for (const [what, value] of Object.entries(change)) if (value !== undefined) wrong.push(what)
    if (wrong.length === 0) return []
    this.#socket.request(changeLink(link.index, change, `set up ${name}`))
    // The parts that every new link lacks are no news.
    return wrong.filter((what) => what !== "alias").map((what) => `set ${what} of ${name}`)
  }
}

/** Whether an error, or one of several, says that the device went away or down. */
export function isDeviceGone(error: unknown): boolean {
  const gone = [ENODEV, ENETDOWN]
  return errorsOf(error).some((one) => one instanceof NetlinkError && gone.includes(one.errno))
}

/** Why nothing can be sent by a device; undefined when something can. @throws NetlinkError */
export function deviceTrouble(socket: NetlinkSocket, name: string): string | undefined {
  const link = getLink(socket, name)
  if (link === undefined) return `device ${name} is not there`
  return link.up ? undefined : `device ${name} is down`
}

/**
 * The network that a link is the device of, by its alias; undefined for one that is none, or that
 * was left half made.
 */
export function networkOfDevice({ group, kind, alias }: LinkInfo): string | undefined {
  const start = aliasOf({ kind, network: "" })
  return group === OVERLAY_GROUP && alias.startsWith(start) ? alias.slice(start.length) : undefined
}

/** What every device of ours bears as alias, for people and for the next instance. */
function aliasOf({ kind, network }: Pick<DeviceSpec, "kind" | "network">): string {
  return `${ALIAS} ${kind} ${network}`
}

/**
 * The device, if it is there.
 *
 * @throws LariatError ifname-exists when a link has its name that is not ours
 */
function findDevice(socket: NetlinkSocket, spec: DeviceSpec): LinkInfo | undefined {
  const link = getLink(socket, spec.name)
  if (link === undefined || isOurs(link, spec.kind)) return link
  const what = link.kind === "" ? "a network device" : `a ${link.kind} link`
  throw new LariatError(
    `Cannot make ${spec.name} for network ${spec.network}: the name is taken by ${what} that is not Lariat's`,
    { code: "ifname-exists", hint: `Rename or remove ${spec.name}.` },
  )
}

function isOurs(link: LinkInfo, kind: string): boolean {
  if (link.kind !== kind) return false
  return link.alias.startsWith(`${ALIAS} `) || (link.alias === "" && link.group === OVERLAY_GROUP)
}

function settingsOf({ name, ipv6 }: DeviceSpec): Setting[] {
  // Strict would drop what comes from a peer whose blocks are not routed yet.
  const settings: Setting[] = [
    [`ipv4/conf/${name}/rp_filter`, "2"],
    // Nobody on other hosts is to move this one.
    [`ipv4/conf/${name}/accept_redirects`, "0"],
    [`ipv6/conf/${name}/accept_ra`, "0", "idle"],
    [`ipv6/conf/${name}/accept_redirects`, "0", "idle"],
  ]
  if (!ipv6) return settings
  return [
    ...settings,
    [`ipv6/conf/${name}/disable_ipv6`, "0"],
    // No address of its own making, and so none that it would look for duplicates of.
    [`ipv6/conf/${name}/addr_gen_mode`, "1"],
  ]
}

function unsupported({ name, title, network }: DeviceSpec, cause: NetlinkError): LariatError {
  return new LariatError(
    `Cannot make ${name} for network ${network}: this kernel has no ${title} (${cause.errnoName})`,
    {
      code: "kernel-unsupported",
      hint: `Load the kernel's module for ${title}, or choose another driver.`,
      cause,
    },
  )
}
