/** What may be wrong with DNS and metadata. Pure, as the other checks. */

import { type Finding, ok } from "./finding.ts"
import type { HostView, ViewedServer } from "./host_view.ts"

/** One of this host's own servers. */
function ownServer(check: "dns" | "metadata", { at, state, fault }: ViewedServer): Finding[] {
  const name = check === "dns" ? "DNS" : "the metadata API"
  if (state === "ok") return [ok(check, `${name} at ${at} answers`)]
  const [list, protocols] = check === "dns" ? ["ss -lunp", "UDP and TCP"] : ["ss -ltnp", "TCP"]
  const hint =
    state === "silent"
      ? `see what ${list} says of the port, and let ${protocols} to the address through the host's firewall; then restart the agent`
      : `another program seems to answer there: free the port, or choose another with --${check}-listen`
  return [{ check, state: "error", what: `${name} at ${at} does not work: ${fault}`, hint }]
}

/** This host's own DNS. */
export function checkDns({ services }: Pick<HostView, "services">): Finding[] {
  if (services === undefined) return []
  const { dns } = services
  if (dns === null) return [ok("dns", "DNS is switched off; containers ask others")]
  return ownServer("dns", dns)
}

/** The nameservers of the host, which know all other names. */
export function checkUpstreams({
  services,
  isUplinkList,
}: Pick<HostView, "services" | "isUplinkList">): Finding[] {
  // Without our DNS nobody asks them for a container.
  if (services === undefined || services.dns === null) return []
  const { upstreams } = services
  if (upstreams.length === 0) {
    const what = "resolv.conf names no other nameserver: containers cannot resolve outside names"
    const hint = "put the nameservers of your site into /etc/resolv.conf: the agent reads it again"
    return [{ check: "upstream", state: "warning", what, hint }]
  }
  const good = upstreams.filter(({ state }) => state === "ok")
  const found = upstreams
    .filter(({ state }) => state !== "ok")
    .map((server) => upstreamFinding(server, good.length > 0))
  if (found.length > 0) return found
  const what = `the nameservers ${good.map(({ at }) => at).join(", ")} answer`
  if (!isUplinkList) return [ok("upstream", what)]
  // A link, so it was chosen: it may be right, and is no fault.
  const lost =
    "systemd-resolved's routes by domain, as of a VPN, do not hold for containers: /etc/resolv.conf is its list of all links' servers, and not stub-resolv.conf beside that"
  return [ok("upstream", `${what}; ${lost}`)]
}

function upstreamFinding({ at, state, fault }: ViewedServer, othersAnswer: boolean): Finding {
  const effect = othersAnswer
    ? "the others are asked instead"
    : "no other one does either, so containers cannot resolve outside names"
  const hint =
    state === "silent"
      ? "look at the way to it (ip route get), the firewall and the server, or name another in /etc/resolv.conf"
      : "let it resolve names for this host, or name another in /etc/resolv.conf"
  return {
    check: "upstream",
    // A server that refuses outside names may still know those of the site.
    state: othersAnswer || state === "wrong" ? "warning" : "error",
    what: `the nameserver ${at} does not work: ${fault}; ${effect}`,
    hint,
  }
}

/** The metadata API. */
export function checkMetadata({ services }: Pick<HostView, "services">): Finding[] {
  return services?.metadata === undefined ? [] : ownServer("metadata", services.metadata)
}
