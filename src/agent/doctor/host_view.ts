/** What the checks look at: plain data, gathered once. */

import type { LinkInfo } from "../../netlink/route/link_codec.ts"
import type { StatusReport } from "../report.ts"

export interface ViewedLink extends Pick<LinkInfo, "name" | "index" | "kind" | "mtu" | "master"> {
  /** With prefix length. */
  readonly addresses: readonly string[]
}

export interface ViewedRoute {
  readonly dst: string
  /** Name of the link it leaves by; undefined for a route that leads nowhere. */
  readonly link: string | undefined
}

/** A network that is, or is going to be, managed here. */
export interface ViewedNetwork {
  readonly name: string
  readonly driver: string
  readonly subnets: readonly string[]
}

/** What this kernel can do; undefined where it could not be tried. */
export interface KernelFeatures {
  readonly nftables?: boolean | undefined
  readonly veth?: boolean | undefined
  readonly bridge?: boolean | undefined
  readonly vxlan?: boolean | undefined
  readonly wireguard?: boolean | undefined
  readonly xfrmInterface?: boolean | undefined
  /** ESP with the default cipher. */
  readonly esp?: boolean | undefined
  readonly ipv6?: boolean | undefined
}

/** A server that was asked for something that it must know. */
export interface ViewedServer {
  /** Address and port. */
  readonly at: string
  /** `silent`: nothing came back; `wrong`: something else than the right answer did. */
  readonly state: "ok" | "silent" | "wrong"
  /** What came instead of the answer; undefined where all is well. */
  readonly fault?: string | undefined
}

/** The servers that containers ask, and those that they ask in turn. */
export interface ViewedServices {
  /** Null where it is switched off. */
  readonly dns: ViewedServer | null
  /** The host's own nameservers. */
  readonly upstreams: readonly ViewedServer[]
  /** Undefined where the agent, of an older version, does not say where it is. */
  readonly metadata: ViewedServer | undefined
}

/** One host as the doctor finds it. */
export interface HostView {
  readonly features: KernelFeatures
  /** By path below /proc/sys, such as `net/ipv4/ip_forward`; what is not there is left out. */
  readonly sysctls: ReadonlyMap<string, string>
  readonly links: readonly ViewedLink[]
  readonly routes: readonly ViewedRoute[]
  readonly networks: readonly ViewedNetwork[]
  /** The agent's own word, or why it gave none. */
  readonly agent: StatusReport | { readonly away: string }
  /** Undefined where no agent serves. */
  readonly services: ViewedServices | undefined
  /** Whether resolv.conf is systemd-resolved's list of the servers of all links. */
  readonly isUplinkList: boolean
  /** Wall clock, milliseconds since 1970. */
  readonly now: number
  /** When this program was built, or a time that has surely passed; milliseconds since 1970. */
  readonly notBefore: number
}
