import { ContainerEndpoints } from "../../metadata/container_endpoints.ts"
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
 * Keeps the metadata as this host's endpoints, networks and the other hosts are.
 */
export class MetadataFeed {
  readonly model = new Model()
  readonly #sources: MetadataSources
  readonly #environmentUuid: string
  readonly #endpoints: ContainerEndpoints
  #networks: readonly string[] = []

  constructor(sources: MetadataSources) {
    const { host, hostLabels, environment, index } = sources
    this.#sources = sources
    this.#environmentUuid = uuidFrom(`environment ${environment}`)
    const sink = new Feed(this.model, this.#environmentUuid, uuidFrom)
    this.#endpoints = new ContainerEndpoints({ sink, selfHost: host.uuid, uuidFrom })
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
      this.model.batch(() => {
        if (before !== undefined && before.id !== after?.id) this.#endpoints.remove(keyOf(before))
        if (after?.state === "attached") this.#attached(after)
        else if (after !== undefined) this.#endpoints.remove(keyOf(after))
      })
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

  /** This host's own addresses are others. */
  ownHost(): void {
    const { host, hostLabels, index } = this.#sources
    this.model.batch(() => {
      this.host({ ...host, labels: hostLabels })
      for (const row of index.attached()) this.#attached(row)
    })
  }

  removeHost(uuid: string): void {
    this.model.remove("host", uuid)
  }

  /**
   * Takes an endpoint of another host in, or what changed of it.
   *
   * @param key is its own among the endpoints of all other hosts
   */
  foreignEndpoint(key: string, container: FedContainer): void {
    this.model.batch(() => this.#endpoints.put(`foreign ${key}`, container))
  }

  removeForeignEndpoint(key: string): void {
    this.model.batch(() => this.#endpoints.remove(`foreign ${key}`))
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
    this.#endpoints.put(keyOf(row), {
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

function keyOf({ id }: EndpointRow): string {
  return `own ${id}`
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
