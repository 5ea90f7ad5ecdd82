/** What a runtime adds to a network configuration: `runtimeConfig` and `args`. */

import type * as z from "zod/mini"
import { rangeOf } from "./ipam.ts"
import type { NetconfDns, PortMapping, RuntimeConfig } from "./netconf.ts"
import type { otherNetconfSchema } from "./schema.ts"

type Source = Pick<z.output<typeof otherNetconfSchema>, "name" | "runtimeConfig" | "args">
type Raw = NonNullable<Source["runtimeConfig"]>
type RawMapping = NonNullable<Raw["portMappings"]>[number]

/** `runtimeConfig` with every default filled in, and `args.cni` merged into it. */
export function runtimeConfigOf({ name, runtimeConfig, args }: Source): RuntimeConfig {
  const raw: Raw = runtimeConfig ?? {}
  const labels = args?.cni?.labels?.map(({ key, value }) => [key, value] as const)
  return {
    ips: [...new Set([...(raw.ips ?? []), ...(args?.cni?.ips ?? [])])],
    mac: raw.mac ?? undefined,
    dns: raw.dns ? dnsOf(raw.dns) : undefined,
    aliases: aliasesOf(raw.aliases ?? [], name),
    portMappings: (raw.portMappings ?? []).flatMap(mappingsOf),
    bandwidth: raw.bandwidth ? bandwidthOf(raw.bandwidth) : undefined,
    ipRanges: raw.ipRanges?.map((set) => set.flatMap(rangeOf)),
    labels: labels && Object.fromEntries(labels),
  }
}

/** The convention for `dns` says `servers` and `searches` where results say otherwise. */
function dnsOf(dns: NonNullable<Raw["dns"]>): NetconfDns {
  return {
    nameservers: dns.servers ?? dns.nameservers ?? [],
    domain: dns.domain ?? undefined,
    search: dns.searches ?? dns.search ?? [],
    options: dns.options ?? [],
  }
}

/** Podman gives the aliases of all networks, by network. */
function aliasesOf(aliases: NonNullable<Raw["aliases"]>, network: string): readonly string[] {
  if (Array.isArray(aliases)) return aliases
  return Object.hasOwn(aliases, network) ? (aliases[network] ?? []) : []
}

/** A mapping without a host port publishes nothing (the portmap plugin skips it too). */
function mappingsOf(raw: RawMapping): PortMapping[] {
  const { hostPort, containerPort } = raw
  if (!hostPort || !containerPort) return []
  const hostIP = raw.hostIP ?? undefined
  return (raw.protocol ?? ["tcp" as const]).map((protocol) => ({
    hostPort,
    containerPort,
    protocol,
    hostIP,
  }))
}

function bandwidthOf(raw: NonNullable<Raw["bandwidth"]>): Record<string, number> {
  const said = Object.entries(raw).flatMap(([key, value]) => {
    return typeof value === "number" ? [[key, value] as const] : []
  })
  return Object.fromEntries(said)
}
