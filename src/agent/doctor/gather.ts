/** Gathers what the doctor looks at from this host. Changes nothing of it. */

import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs"
import type { Network } from "../../config/network.ts"
import { parseResolvConf, type ServerAddress } from "../../dns/resolv_conf.ts"
import { Kernel } from "../../endpoint/kernel.ts"
import { messageOf } from "../../errors.ts"
import { RTN_UNICAST } from "../../netlink/constants.ts"
import type { NetworkReport, StatusReport } from "../report.ts"
import { RESOLV_CONF } from "../services/dns_server.ts"
import type { HostView, ViewedNetwork } from "./host_view.ts"
import { probeFeatures } from "./probe.ts"
import { probeServices } from "./service_probe.ts"

/** The servers of all links, for programs that pass systemd-resolved by (its manual page). */
const UPLINK_LIST = "/run/systemd/resolve/resolv.conf"

const SYSCTLS: readonly string[] = [
  "net/ipv4/ip_forward",
  "net/ipv4/conf/all/rp_filter",
  "net/bridge/bridge-nf-call-iptables",
]

/** What the doctor is told, beside what it finds. */
export interface GatherOptions {
  /** Asks the agent for its status. @throws Error when none answers */
  readonly askAgent: () => StatusReport
  /** Networks of configuration files, for a host whose agent does not run. */
  readonly configured: readonly Network[]
}

/**
 * Looks at everything; takes some seconds where a server is silent.
 *
 * @throws NetlinkError, SystemError where the kernel does not even list links
 */
export async function gather({ askAgent, configured }: GatherOptions): Promise<HostView> {
  const agent = ask(askAgent)
  const services = "away" in agent ? undefined : await probeServices(agent, hostServers())
  using kernel = Kernel.open()
  const links = kernel.links()
  const addresses = kernel.addresses()
  const names = new Map(links.map(({ index, name }) => [index, name]))
  return {
    features: probeFeatures(),
    sysctls: readSysctls(links.filter(({ kind }) => kind === "bridge").map(({ name }) => name)),
    links: links.map((link) => ({
      ...link,
      addresses: addresses
        .filter(({ index }) => index === link.index)
        .map(({ address }) => address),
    })),
    routes: kernel
      .routes({})
      .filter(({ type }) => type === RTN_UNICAST)
      .map(({ dst, index }) => ({ dst, link: index === undefined ? undefined : names.get(index) })),
    networks: ("away" in agent ? configured : agent.networks).map(viewOf),
    agent,
    services,
    isUplinkList: isUplinkList(),
    now: Date.now(),
    notBefore: statSync(process.execPath).mtimeMs,
  }
}

function ask(askAgent: () => StatusReport): StatusReport | { readonly away: string } {
  try {
    return askAgent()
  } catch (error) {
    return { away: messageOf(error) }
  }
}

/** As the file is now: the agent reads it again when somebody asks for an outside name. */
function hostServers(): readonly ServerAddress[] {
  try {
    return parseResolvConf(readFileSync(RESOLV_CONF, "utf8")).servers
  } catch {
    return []
  }
}

function isUplinkList(): boolean {
  try {
    return realpathSync(RESOLV_CONF) === UPLINK_LIST
  } catch {
    return false
  }
}

function viewOf({ name, driver, subnets }: Network | NetworkReport): ViewedNetwork {
  return { name, driver, subnets: subnets.map(({ cidr }) => cidr) }
}

function readSysctls(bridges: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  const known = new Set(readdirSync("/proc/sys/net/ipv4/conf"))
  const ofBridges = bridges
    .filter((name) => known.has(name))
    .map((name) => `net/ipv4/conf/${name}/forwarding`)
  for (const path of [...SYSCTLS, ...ofBridges]) {
    try {
      found.set(path, readFileSync(`/proc/sys/${path}`, "utf8").trim())
    } catch {
      // A kernel without br_netfilter has no such setting.
    }
  }
  return found
}
