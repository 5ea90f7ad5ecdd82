/** What may be wrong with a host, each matter on its own. Pure: a view goes in, findings come out. */

import { familyOf, parsePrefix, prefixesOverlap } from "../../core/address.ts"
import { type Finding, ok } from "./finding.ts"
import type { HostView, KernelFeatures, ViewedNetwork } from "./host_view.ts"
import { checkDns, checkMetadata, checkUpstreams } from "./service_checks.ts"

type Check = (view: HostView) => Finding[]

/** All checks, in the order in which a person would ask. */
const CHECKS: readonly Check[] = [
  checkAgent,
  checkKernel,
  checkSysctls,
  checkOverlaps,
  checkMtu,
  checkClock,
  checkStore,
  checkDns,
  checkUpstreams,
  checkMetadata,
]

/** Runs every check; errors first, then warnings. */
export function examine(view: HostView): Finding[] {
  const rank = { error: 0, warning: 1, ok: 2 } as const
  return CHECKS.flatMap((check) => check(view)).sort((a, b) => rank[a.state] - rank[b.state])
}

function checkAgent({ agent }: HostView): Finding[] {
  if ("away" in agent) {
    const hint = "start it: systemctl start lariat, or lariat agent --config FILE"
    return [{ check: "agent", state: "error", what: `no agent answers: ${agent.away}`, hint }]
  }
  const problems = agent.problems.map(({ severity, what, hint }): Finding => {
    return { check: "agent", state: severity, what, hint }
  })
  if (problems.length > 0) return problems
  const what = `the agent (${agent.agent.version}, pid ${agent.agent.pid}) reports no problem`
  return [ok("agent", what)]
}

/** What each feature is for, and the module that brings it. */
const FEATURES: Readonly<
  Record<keyof KernelFeatures, { readonly what: string; readonly hint: string }>
> = {
  veth: { what: "virtual Ethernet pairs: no container can be attached", hint: "modprobe veth" },
  bridge: { what: "bridges: no container can be attached", hint: "modprobe bridge" },
  nftables: {
    what: "nf_tables: containers cannot reach the world under the host's address",
    hint: "modprobe nf_tables nft_masq, or use a kernel that has them",
  },
  vxlan: { what: "VXLAN: the vxlan driver does not work", hint: "modprobe vxlan" },
  wireguard: { what: "WireGuard: the wireguard driver does not work", hint: "modprobe wireguard" },
  esp: {
    what: "ESP: the ipsec driver does not work",
    hint: "modprobe esp4 esp6, or use a kernel with CONFIG_INET_ESP; the vxlan driver does without, unencrypted",
  },
  xfrmInterface: {
    what: "XFRM interfaces: the ipsec driver does not work",
    hint: "modprobe xfrm_interface (Linux 4.19 and later); the vxlan driver does without, unencrypted",
  },
  ipv6: {
    what: "IPv6: networks with IPv6 subnets cannot be attached to",
    hint: "start the host without ipv6.disable=1",
  },
}

const ALWAYS: readonly (keyof KernelFeatures)[] = ["veth", "bridge", "nftables"]
const BY_DRIVER: Readonly<Record<string, readonly (keyof KernelFeatures)[]>> = {
  ipsec: ["esp", "xfrmInterface"],
  vxlan: ["vxlan"],
  wireguard: ["wireguard"],
}

function checkKernel({ features, networks, agent }: HostView): Finding[] {
  const needed = new Set(ALWAYS)
  const nice = new Set<keyof KernelFeatures>()
  // A host alone works without what reaches others, as long as it stays alone.
  const alone = !("away" in agent) && (agent.cluster ?? null) === null
  for (const { driver, subnets } of networks) {
    for (const feature of BY_DRIVER[driver] ?? []) (alone ? nice : needed).add(feature)
    if (subnets.some((cidr) => familyOf(cidr) === 6)) needed.add("ipv6")
  }
  const lacking = (wanted: Iterable<keyof KernelFeatures>, state: "error" | "warning") =>
    [...wanted]
      .filter((feature) => features[feature] === false)
      .map((feature): Finding => {
        const { what, hint } = FEATURES[feature]
        return { check: "kernel", state, what: `this kernel has no ${what}`, hint }
      })
  const found = [...lacking(needed, "error"), ...lacking(nice, "warning")]
  if (found.length > 0) return found
  const tried = [...needed].filter((feature) => features[feature] === true)
  if (tried.length < needed.size) {
    const missing = [...needed].filter((feature) => features[feature] === undefined)
    const what = `the kernel could not be tried for ${missing.join(", ")}`
    return [{ check: "kernel", state: "warning", what, hint: "run lariat doctor as root" }]
  }
  return [ok("kernel", `the kernel has ${tried.join(", ")}`)]
}

function checkSysctls({ sysctls, networks, links, agent }: HostView): Finding[] {
  const found: Finding[] = []
  const warn = (what: string, hint: string, state: "error" | "warning" = "warning") =>
    found.push({ check: "sysctl", state, what, hint })
  const spans = networks.some(({ driver }) => driver !== "none")
  // The agent sets it with the first container.
  const waiting = !("away" in agent) && agent.endpoints.attached === 0
  if (networks.length > 0 && !waiting && sysctls.get("net/ipv4/ip_forward") === "0") {
    const what = "net.ipv4.ip_forward is 0: containers reach nothing beyond their bridge"
    warn(what, "sysctl -w net.ipv4.ip_forward=1, and look for what sets it back", "error")
  }
  if (spans && sysctls.get("net/ipv4/conf/all/rp_filter") === "1") {
    const what =
      "net.ipv4.conf.all.rp_filter is 1 (strict): packets from other hosts may be dropped"
    warn(what, "sysctl -w net.ipv4.conf.all.rp_filter=2")
  }
  const bridges = new Set(links.filter(({ kind }) => kind === "bridge").map(({ name }) => name))
  for (const name of bridges) {
    if (spans && sysctls.get(`net/ipv4/conf/${name}/forwarding`) === "0") {
      const what = `net.ipv4.conf.${name}.forwarding is 0: its containers reach nothing beyond it`
      warn(what, `sysctl -w net.ipv4.conf.${name}.forwarding=1`, "error")
    }
  }
  if (sysctls.get("net/bridge/bridge-nf-call-iptables") === "1") {
    const what =
      "net.bridge.bridge-nf-call-iptables is 1: iptables rules see what containers of one bridge say to each other"
    warn(what, "nothing is wrong unless a rule drops it; 0 spares the detour")
  }
  if (found.length === 0) {
    found.push(ok("sysctl", "forwarding and filters are as needed"))
  }
  return found
}

function checkOverlaps({ networks, links, routes }: HostView): Finding[] {
  const found: Finding[] = []
  const tell = (what: string, hint: string) =>
    found.push({ check: "overlap", state: "error", what, hint })
  for (const { name, cidr } of cidrsOf(networks)) {
    const ours = parsePrefix(cidr)
    const carriers = links.filter(({ addresses }) =>
      addresses.some((address) => prefixesOverlap(parsePrefix(address), ours)),
    )
    const bridges = carriers.filter(({ kind }) => kind === "bridge")
    if (bridges.length > 1) {
      const names = bridges.map((link) => link.name).join(" and ")
      const what = `${names} both have addresses of ${cidr} (network ${name}): half of its containers are not reached`
      tell(what, "take the address from the bridge that is not in use: ip address del")
    }
    for (const { name: link, kind, addresses } of carriers) {
      // Our own devices carry the host's own address on the network; lo carries nothing to others.
      if (kind === "bridge" || link.startsWith("lr") || link === "lo") continue
      const address = addresses.find((text) => prefixesOverlap(parsePrefix(text), ours))
      const what = `${link} has ${address}, which lies in ${cidr} of the network ${name}`
      tell(what, "choose another subnet for the network, or another address for the host")
    }
    for (const { dst, link } of routes) {
      if (link === undefined || link.startsWith("lr") || link === "lo") continue
      const prefix = parsePrefix(dst)
      if (prefix.length === 0 || !prefixesOverlap(prefix, ours)) continue
      if (carriers.some((carrier) => carrier.name === link)) continue
      const what = `the route to ${dst} by ${link} takes packets of the network ${name} (${cidr})`
      tell(what, "remove the route, or choose another subnet for the network")
    }
  }
  if (found.length > 0) return found
  const what = "no address or route of the host lies in a managed network"
  return [ok("overlap", what)]
}

function cidrsOf(networks: readonly ViewedNetwork[]): { name: string; cidr: string }[] {
  return networks.flatMap(({ name, subnets }) => subnets.map((cidr) => ({ name, cidr })))
}

function checkMtu({ links }: HostView): Finding[] {
  const found: Finding[] = []
  for (const bridge of links.filter(({ kind }) => kind === "bridge")) {
    const ports = links.filter(({ master }) => master === bridge.index)
    const least = Math.min(...ports.map(({ mtu }) => mtu))
    // Somebody set the bridge's MTU by hand: the kernel does not lower it any more.
    if (ports.length === 0 || bridge.mtu <= least) continue
    const what = `${bridge.name} has an MTU of ${bridge.mtu}, its smallest port ${least}: larger packets from the host are lost`
    const hint = `ip link set ${bridge.name} mtu ${least}`
    found.push({ check: "mtu", state: "warning", what, hint })
  }
  if (found.length > 0) return found
  return [ok("mtu", "no bridge sends more than its ports take")]
}

function checkClock({ now, notBefore }: HostView): Finding[] {
  if (now >= notBefore) return [ok("clock", "the clock is plausible")]
  const what = `the clock says ${new Date(now).toISOString()}, before this program was made: certificates are not valid yet`
  return [{ check: "clock", state: "warning", what, hint: "set the clock; leases do not need it" }]
}

function checkStore({ agent }: HostView): Finding[] {
  if ("away" in agent || agent.cluster === undefined || agent.cluster === null) return []
  const { store } = agent.cluster
  if (store.reachable) {
    return [ok("store", `the ${store.kind} at ${store.endpoint} answers`)]
  }
  const what = `the ${store.kind} at ${store.endpoint} does not answer: ${store.reason ?? "no reason known"}`
  const hint = "containers go on; new hosts, blocks and keys wait until it is back"
  return [{ check: "store", state: "error", what, hint }]
}
