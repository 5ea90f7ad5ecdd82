import { type FedContainer, Feed } from "../../metadata/feed.ts"
import type { Tree } from "../../metadata/lookup.ts"
import { Model } from "../../metadata/model.ts"
import type { EndpointIndex } from "../networks/endpoint_index.ts"
import type { ManagedNetwork, Networks } from "../networks/networks.ts"
import { type HostIdentity, uuidFrom } from "../state/identity.ts"
import type { EndpointRow } from "../state/rows.ts"

/** What the metadata is made from. */
export interface MetadataSources {
  readonly index: EndpointIndex
  readonly networks: Networks
  readonly host: HostIdentity
  readonly hostLabels: Readonly<Record<string, string>>
  /** Name of the cluster: hosts of one call the environment alike. */
  readonly environment: string
}

/** Another host, as the metadata shows it. */
export interface FedHost {
  readonly uuid: string
  readonly name: string
  readonly ip: string | undefined
  readonly labels: Readonly<Record<string, string>>
}

/**
 * Keeps the metadata as this host's endpoints, networks and the other hosts are. Whoever brings
 * labels of containers later gives them to {@link MetadataFeed.container}.
 */
export class MetadataFeed {
  readonly model = new Model()
  readonly #sources: MetadataSources
  readonly #environmentUuid: string
  readonly #feed: Feed
  #networks: readonly string[] = []

  constructor(sources: MetadataSources) {
    const { host, hostLabels, environment, index } = sources
    this.#sources = sources
    this.#environmentUuid = uuidFrom(`environment ${environment}`)
    this.#feed = new Feed(this.model, this.#environmentUuid, uuidFrom)
    this.model.batch(() => {
      this.model.put({
        metadata_kind: "environment",
        uuid: this.#environmentUuid,
        name: environment,
        region_name: null,
      })
      this.host({ ...host, labels: hostLabels })
      this.model.setSelfHost(host.uuid)
      this.networks()
      for (const row of index.attached()) this.#attached(row)
    })
    index.onChange((before, after) => {
      if (after?.state === "attached") this.#attached(after)
      else if (before !== undefined) this.#feed.remove(containerUuid(before))
    })
  }

  /** Takes another host in, or what changed of it. */
  host({ uuid, name, ip, labels }: FedHost): void {
    this.model.put({
      metadata_kind: "host",
      uuid,
      name,
      hostname: name,
      agent_ip: ip ?? null,
      agent_state: "active",
      state: "active",
      hostId: null,
      labels,
      environment_uuid: this.#environmentUuid,
      milli_cpu: null,
      memory: null,
      local_storage_mb: null,
    })
  }

  removeHost(uuid: string): void {
    this.model.remove("host", uuid)
  }

  /** Takes a container in, or what changed of it: one of another host, or one with new labels. */
  container(container: FedContainer): void {
    this.#feed.put(container)
  }

  removeContainer(uuid: string): void {
    this.#feed.remove(uuid)
  }

  /** The networks changed. */
  networks(): void {
    const networks = this.#sources.networks.all()
    const uuids = networks.map(({ name }) => networkUuid(name))
    this.model.batch(() => {
      for (const uuid of this.#networks) {
        if (!uuids.includes(uuid)) this.model.remove("network", uuid)
      }
      for (const network of networks) this.#network(network, network === networks[0])
    })
    this.#networks = uuids
  }

  #network({ name, configured }: ManagedNetwork, first: boolean): void {
    const cniConfig = Object.fromEntries(
      (configured?.cni ?? []).map(({ file, conf }) => [file, conf]),
    )
    this.model.put({
      metadata_kind: "network",
      uuid: networkUuid(name),
      name,
      environment_uuid: this.#environmentUuid,
      is_default: first,
      host_ports: configured?.hostPorts ?? false,
      metadata: { ...configured?.metadata, cniConfig } as Readonly<Record<string, Tree>>,
      default_policy_action: configured?.defaultPolicyAction ?? null,
      policy: (configured?.policy ?? null) as Tree,
    })
  }

  #attached(row: EndpointRow): void {
    const { host, networks } = this.#sources
    const network = networks.get(row.pool)?.configured
    this.#feed.put({
      uuid: containerUuid(row),
      name: containerName(row),
      externalId: row.containerId,
      labels: row.names.labels,
      addresses: row.addresses.map(({ address }) => address),
      mac: row.mac,
      hostUuid: host.uuid,
      hostIp: host.ip,
      networkUuid: networkUuid(row.pool),
      createIndex: row.id,
      dns: network?.dns ?? [],
      dnsSearch: network?.dnsSearch ?? [],
    })
  }
}

/** The name of a container, for people: its pod's, its first alias, else the start of its id. */
export function containerName(row: EndpointRow): string {
  return row.names.podName ?? row.names.aliases[0] ?? row.containerId.slice(0, 12)
}

/** The uuid of a container: the one that its engine gave it, else always the same for its id. */
export function containerUuid(row: EndpointRow): string {
  return row.names.uuid ?? uuidFrom(`container ${row.containerId}`)
}

/** The uuid of a network: all hosts have the same for a name. */
export function networkUuid(name: string): string {
  return uuidFrom(`network ${name}`)
}
