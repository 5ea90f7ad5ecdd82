import { type AttachDns, type AttachRoute, NO_DNS } from "../../cni/result.ts"
import type { Netconf } from "../../config/netconf/netconf.ts"
import type { Network } from "../../config/network.ts"
import { ZONE } from "../../dns/names.ts"
import { membershipOf, searchDomains } from "../../metadata/feed.ts"
import { leadsHere } from "./service_routes.ts"

/** `false`: the container is told nothing of the network's DNS, nor of ours. */
const DNS_LABEL = "io.rancher.container.dns"
/** `service_last`: the service's domains come last; `None`: not at all, nor the network's. */
const PRIORITY_LABEL = "io.rancher.container.dns.priority"

/** What the resolver of a container is decided from. */
export interface AttachDnsInput {
  readonly conf: Pick<Netconf, "dns" | "runtimeConfig">
  /** What another IPAM said. */
  readonly delegated?: AttachDns | undefined
  /** What the YAML says of the network. */
  readonly network?: Pick<Network, "dns" | "dnsSearch"> | undefined
  /** Of the container. */
  readonly labels: Readonly<Record<string, string>>
  /** The address of this host's DNS; undefined where it is not served. */
  readonly served: string | undefined
  /** The container's routes: it is only told of a server that they lead to. */
  readonly routes: readonly AttachRoute[]
  /** Whether an address is this host's. */
  readonly isOurs: (address: string) => boolean
}

/**
 * What the resolver of a container is told: what the runtime says, else the CNI configuration, else
 * another IPAM. Where that names no server, the YAML does, else it is this host's own. The domains
 * of the container's service and stack come before what is searched else, as in the original.
 */
export function attachDns(input: AttachDnsInput): AttachDns {
  const { conf, delegated, labels } = input
  const isOptedOut = labels[DNS_LABEL] === "false"
  const network = isOptedOut ? undefined : input.network
  const said = conf.runtimeConfig.dns ?? conf.dns ?? delegated ?? NO_DNS
  const own = isOptedOut ? [] : ownServer(input)
  const nameservers = [said.nameservers, network?.dns ?? []].find(({ length }) => length > 0) ?? own
  const isOurs = own.some((address) => nameservers.includes(address))
  const domain = said.domain ?? (isOurs ? domainOf(labels) : undefined)
  return {
    nameservers,
    ...(domain === undefined ? {} : { domain }),
    search: isOptedOut ? said.search : searchOf(labels, said.search, network?.dnsSearch ?? []),
    options: said.options,
  }
}

/** The stack's, else that of all names. */
function domainOf(labels: AttachDnsInput["labels"]): string {
  const stack = membershipOf(labels)?.stack.toLowerCase()
  return stack === undefined ? ZONE : `${stack}.${ZONE}`
}

function searchOf(
  labels: AttachDnsInput["labels"],
  explicit: readonly string[],
  network: readonly string[],
): readonly string[] {
  switch (labels[PRIORITY_LABEL]?.toLowerCase()) {
    case "none":
      return [...new Set([...explicit, ...(membershipOf(labels) === undefined ? [] : [ZONE])])]
    case "service_last":
      return [...new Set([...explicit, ...network, ...searchDomains(labels, [])])]
    default:
      return searchDomains(labels, [...explicit, ...network])
  }
}

function ownServer({ served, routes, isOurs }: AttachDnsInput): readonly string[] {
  return served !== undefined && leadsHere(served, routes, isOurs) ? [served] : []
}
