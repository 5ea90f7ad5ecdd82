/**
 * Making the host deaf, on links that containers send to, for what would move the host itself: router
 * advertisements (default routes, prefixes, MTU), redirects, source routes.
 */

import { parsePrefix, prefixContains } from "../core/address.ts"
import {
  IFA_F_PERMANENT,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTPROT_KERNEL,
  RTPROT_RA,
} from "../netlink/constants.ts"
import { deleteAddress } from "../netlink/route/addr.ts"
import type { LinkInfo } from "../netlink/route/link_codec.ts"
import { deleteRoute } from "../netlink/route/route.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { writeProc } from "../sys/ffi/file.ts"
import { withNetns } from "../sys/netns/netns.ts"
import { readSetting, settingPath } from "./ipv6.ts"
import type { Kernel } from "./kernel.ts"

/** A link that containers send to. */
type Link = Pick<LinkInfo, "name" | "index">

const ACCEPT_RA = "ipv6/accept_ra"
/**
 * Documentation/networking/ip-sysctl.rst. Without `accept_ra` neither `autoconf` nor any other
 * `accept_ra_*` does anything. Of IPv4, that of the link counts where packets are forwarded.
 */
const SETTINGS: readonly string[] = [
  ACCEPT_RA,
  "ipv6/accept_redirects",
  "ipv4/accept_redirects",
  "ipv4/accept_source_route",
]

/** What a bridge of containers and virtual machines has as ports. */
const GUEST_KINDS: ReadonlySet<string> = new Set(["veth", "tun"])

/**
 * Turns off what a container could move the host by, and throws out what advertisements brought by
 * this link before.
 *
 * @returns the settings that were on; none where there is no such link, or no IPv6 in the kernel
 * @throws SystemError; NetlinkError
 */
export function shieldLink(kernel: Kernel, link: Link): string[] {
  const changed = shieldNewLink(kernel, link)
  if (changed.includes(ACCEPT_RA)) forgetAdvertised(kernel, link)
  return changed
}

/** The same for a link that was made a moment ago. */
export function shieldNewLink(kernel: Kernel, { name }: Pick<Link, "name">): string[] {
  return withNetns(kernel.netns, () =>
    SETTINGS.filter((setting) => turnOff(setting.replace("/", `/conf/${name}/`))),
  )
}

function turnOff(setting: string): boolean {
  const path = `/proc/sys/net/${setting}`
  try {
    if (readSetting(path) === "0") return false
    writeProc(path, "0")
    return true
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOENT) return false
    throw error
  }
}

/** The kernel keeps, for as long as was said, what it took in before. */
function forgetAdvertised(kernel: Kernel, { name, index }: Link): void {
  const addresses = kernel.addresses(index).filter(({ family }) => family === 6)
  const isOwn = ({ flags }: { readonly flags: number }) => (flags & IFA_F_PERMANENT) !== 0
  const own = addresses.filter(isOwn).map(({ address }) => parsePrefix(address))
  const stale = addresses.filter((address) => !isOwn(address))
  const routes = kernel
    .routes({ family: 6, table: RT_TABLE_MAIN, index })
    .filter(({ protocol, type, dst }) => {
      if (protocol === RTPROT_RA) return true
      // A prefix on the link of which it has no address of its own.
      if (protocol !== RTPROT_KERNEL || type !== RTN_UNICAST) return false
      return !own.some((address) => prefixContains(parsePrefix(dst), address))
    })
  if (stale.length + routes.length === 0) return
  kernel.tryAll([
    ...stale.map(({ address }) => deleteAddress(index, address)),
    ...routes.map(({ dst, gateway, priority }) => deleteRoute({ dst, gateway, index, priority })),
  ])
  const mtu = kernel.link(index)?.mtu
  withNetns(kernel.netns, () => {
    writeProc(settingPath(name, "hop_limit"), readSetting(settingPath("default", "hop_limit")))
    if (mtu !== undefined) writeProc(settingPath(name, "mtu"), `${mtu}`)
  })
}

/**
 * Whether a bridge is this host's own way to a router, as one that has the host's network card as a
 * port: there the host may live by advertisements and redirects. A route that an advertisement
 * brought is no sign, since a container may have sent it.
 *
 * @throws NetlinkError
 */
export function leadsOutside(kernel: Kernel, index: number): boolean {
  if (kernel.links({ master: index }).some(({ kind }) => !GUEST_KINDS.has(kind))) return true
  return kernel
    .routes({ table: RT_TABLE_MAIN, index })
    .some(({ gateway, protocol }) => gateway !== undefined && protocol !== RTPROT_RA)
}
