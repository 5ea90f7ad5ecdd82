import { parseAddress } from "../core/address.ts"
import type { MetadataModel } from "../metadata/app.ts"
import type { Tree } from "../metadata/lookup.ts"
import type { EndpointIndex } from "./endpoint_index.ts"
import { type HostIdentity, uuidFrom } from "./identity.ts"
import type { EndpointRow } from "./journal_rows.ts"
import type { Networks } from "./networks.ts"

/** What the metadata is made from. */
export interface MetadataSources {
  readonly index: EndpointIndex
  readonly networks: Networks
  readonly host: HostIdentity
  readonly hostLabels: Readonly<Record<string, string>>
  /** Whether an address is one of this host's own. */
  readonly isHostAddress: (address: string) => boolean
}

/**
 * The metadata tree of whoever asks: its container and this host. An asker from a managed network
 * that is no endpoint, or from the host itself, sees the host alone.
 */
export function metadataModel(sources: MetadataSources): MetadataModel {
  const { index, networks, host, hostLabels, isHostAddress } = sources
  const hostTree: Tree = {
    agent_ip: host.ip ?? null,
    agent_state: "active",
    hostname: host.name,
    labels: hostLabels,
    metadata_kind: "host",
    name: host.name,
    state: "active",
    uuid: host.uuid,
  }
  return {
    treeFor(address) {
      const row = index.byAddress(address)
      if (row !== undefined)
        return { self: { container: containerTree(row, host), host: hostTree } }
      if (networks.containing(parseAddress(address)) !== undefined || isHostAddress(address)) {
        return { self: { host: hostTree } }
      }
      return undefined
    },
  }
}

/** The name of a container, for people: its pod's, its first alias, else the start of its id. */
export function containerName(row: EndpointRow): string {
  return row.names.podName ?? row.names.aliases[0] ?? row.containerId.slice(0, 12)
}

function containerTree(row: EndpointRow, host: HostIdentity): Tree {
  const ips = row.addresses.map(({ address }) => address)
  return {
    create_index: row.id,
    external_id: row.containerId,
    host_uuid: host.uuid,
    hostname: containerName(row),
    ips,
    labels: row.names.labels,
    metadata_kind: "container",
    name: containerName(row),
    network_uuid: uuidFrom(`network ${row.pool}`),
    primary_ip: ips[0] ?? null,
    primary_mac_address: row.mac ?? null,
    state: "running",
    uuid: row.names.uuid ?? uuidFrom(`container ${row.containerId}`),
  }
}
