import { runtimeName } from "../../sys/ffi/runtime.ts"
import { BUILD, VERSION } from "../../version.ts"
import type { AgentContext } from "../context.ts"
import { prefixesOf } from "../networks/endpoint_spec.ts"
import type { EndpointReport, NetworkReport, StatusReport } from "../report.ts"
import { containerName } from "../services/metadata_feed.ts"
import { residentBytes } from "../state/identity.ts"

/** The answer to `status`. */
export function statusReport(context: AgentContext): StatusReport {
  const rows = context.stateDatabase.endpoints()
  const count = (state: string) => rows.filter((row) => row.state === state).length
  return {
    agent: {
      version: VERSION,
      build: BUILD,
      runtime: runtimeName(),
      pid: process.pid,
      uptimeSeconds: Math.floor(process.uptime()),
      stateDir: context.settings.stateDir,
      rssBytes: residentBytes(),
    },
    host: { name: context.host.name, ip: context.host.ip ?? null, uuid: context.host.uuid },
    networks: context.networks.all().map(networkReport),
    foreign: context.networks.foreign.map(({ name, why }) => ({ name, why })),
    endpoints: {
      attached: count("attached"),
      attaching: count("attaching"),
      detaching: count("detaching"),
    },
    calls: context.timings.report(),
    dns: context.dns.report(),
    metadata: { listen: context.settings.metadataListen },
    limits: context.firewall.limits(),
    antiSpoofing: context.firewall.guarded(),
    guards: context.firewall.guards(),
    cluster: context.cluster?.report() ?? null,
    problems: context.health.problems(),
    repairs: context.health.repairs(),
  }
}

function networkReport(
  network: ReturnType<AgentContext["networks"]["all"]>[number],
): NetworkReport {
  const stats = network.allocator.stats()
  // A subnet of several hosts is here as the blocks that this one holds.
  const sum = (cidr: string, what: "size" | "used" | "quarantined" | "free") =>
    stats.filter(({ subnet }) => subnet === cidr).reduce((total, one) => total + one[what], 0)
  return {
    name: network.name,
    driver: network.driver,
    cniNames: [...network.cniNames],
    source: network.configured === undefined ? "netconf" : "config",
    subnets: network.subnets.map(({ cidr, gateway }) => ({
      cidr,
      gateway,
      size: sum(cidr, "size"),
      used: sum(cidr, "used"),
      quarantined: sum(cidr, "quarantined"),
      free: sum(cidr, "free"),
    })),
  }
}

/** The answer to `endpoints`. */
export function endpointReports(context: AgentContext): EndpointReport[] {
  return context.stateDatabase.endpoints().map((row) => ({
    network: row.network,
    containerId: row.containerId,
    ifname: row.ifname,
    kind: row.kind,
    state: row.state,
    addresses: prefixesOf(row),
    mac: row.mac ?? null,
    mtu: row.mtu ?? null,
    hostLink: row.hostName ?? null,
    name: containerName(row),
    since: new Date(row.createdAt).toISOString(),
  }))
}
