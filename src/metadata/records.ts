/**
 * The objects of the metadata, with the names and shapes they have in the API's answers (and in the
 * files that Rancher 1.6's server fed to its own): snake_case, null for what is not known.
 */
import type { Tree } from "./lookup.ts"

/** Names to texts. */
export type Texts = Readonly<Record<string, string>>

/** How a container's health is found out. Times are milliseconds. */
export interface HealthCheck {
  readonly response_timeout: number | null
  readonly interval: number | null
  readonly healthy_threshold: number | null
  readonly unhealthy_threshold: number | null
  readonly request_line: string | null
  readonly port: number | null
}

/** The environment itself; a model has at most one. */
export interface EnvironmentRecord {
  readonly metadata_kind: "environment"
  readonly uuid: string
  readonly name: string
  readonly region_name: string | null
}

/** A host that runs an agent. */
export interface HostRecord {
  readonly metadata_kind: "host"
  readonly uuid: string
  readonly name: string
  readonly hostname: string | null
  /** The address at which other hosts reach it. */
  readonly agent_ip: string | null
  readonly agent_state: string | null
  readonly state: string | null
  /** A small number; only old versions of the API show it. */
  readonly hostId: number | null
  readonly labels: Texts
  readonly environment_uuid: string | null
  readonly milli_cpu: number | null
  /** Bytes. */
  readonly memory: number | null
  readonly local_storage_mb: number | null
}

/** A network that containers are attached to. */
export interface NetworkRecord {
  readonly metadata_kind: "network"
  readonly uuid: string
  readonly name: string
  readonly environment_uuid: string | null
  readonly is_default: boolean
  /** Whether ports may be published. */
  readonly host_ports: boolean
  /** `default_network.metadata` overlaid by `network_metadata`, and `cniConfig`. */
  readonly metadata: Readonly<Record<string, Tree>>
  readonly default_policy_action: string | null
  readonly policy: Tree
}

/** A stack: services that belong together. */
export interface StackRecord {
  readonly metadata_kind: "stack"
  readonly uuid: string
  readonly name: string
  readonly environment_name: string | null
  readonly environment_uuid: string | null
  readonly system: boolean
}

/** A service of a stack. A sidekick is a record of its own, with the uuid of its primary. */
export interface ServiceRecord {
  readonly metadata_kind: "service"
  readonly uuid: string
  readonly name: string
  readonly stack_name: string | null
  readonly stack_uuid: string | null
  /** service, loadBalancerService, dnsService, externalService, networkDriverService, … */
  readonly kind: string
  /** What an external service is called outside, instead of addresses. */
  readonly hostname: string | null
  /** One address that stands for all containers. */
  readonly vip: string | null
  readonly create_index: number | null
  readonly external_ips: readonly string[]
  readonly sidekicks: readonly string[]
  /** `[IP:]PUBLIC:PRIVATE[/PROTOCOL]` */
  readonly ports: readonly string[]
  readonly expose: readonly string[]
  readonly labels: Texts
  readonly metadata: Readonly<Record<string, Tree>>
  readonly scale: number | null
  readonly fqdn: string | null
  readonly health_check: HealthCheck | null
  readonly system: boolean
  readonly lb_config: Tree
  /** Equal to `name`, but for a sidekick. */
  readonly primary_service_name: string
  readonly environment_uuid: string | null
  readonly state: string | null
  /** A secret, for the service's own containers alone. */
  readonly token: string | null
  /** `stack/service` to the name by which this service's containers know it. */
  readonly links: Texts
}

/** Names a service: sidekicks share the uuid of their primary. */
export interface ServiceReference {
  readonly uuid: string
  readonly name: string
}

/** A container, running or not. */
export interface ContainerRecord {
  readonly metadata_kind: "container"
  readonly uuid: string
  readonly name: string
  /** For a container in its host's network: the host's `agent_ip`. */
  readonly primary_ip: string | null
  /** IPv4 and IPv6. */
  readonly ips: readonly string[]
  /** `[IP:]PUBLIC:PRIVATE[/PROTOCOL]` */
  readonly ports: readonly string[]
  readonly labels: Texts
  readonly create_index: number | null
  readonly host_uuid: string | null
  /** The address of its host. */
  readonly host_ip: string | null
  readonly hostname: string | null
  readonly health_state: string | null
  readonly health_check: HealthCheck | null
  readonly health_check_hosts: readonly string[]
  readonly start_count: number | null
  /** A number as text. */
  readonly service_index: string | null
  readonly state: string | null
  /** The runtime's id. */
  readonly external_id: string | null
  readonly primary_mac_address: string | null
  readonly memory_reservation: number | null
  readonly milli_cpu_reservation: number | null
  readonly network_uuid: string | null
  /** The container whose network this one shares. */
  readonly network_from_container_uuid: string | null
  readonly system: boolean
  readonly dns: readonly string[]
  readonly dns_search: readonly string[]
  readonly environment_uuid: string | null
  /** Name to the uuid of a container. */
  readonly links: Texts
  /**
   * The services it belongs to, its own first. Not shown as such: the API's `service_uuid`,
   * `service_name`, `stack_uuid` and `stack_name` of a container come from it.
   */
  readonly services: readonly ServiceReference[]
}

/** Any object of the model. */
export type ModelRecord =
  | EnvironmentRecord
  | HostRecord
  | NetworkRecord
  | StackRecord
  | ServiceRecord
  | ContainerRecord

/** What kinds of objects there are. */
export type RecordKind = ModelRecord["metadata_kind"]

/** What names a record among those of its kind: its uuid, for a service with its name behind it. */
export function recordKey(record: ModelRecord): string {
  return record.metadata_kind === "service" ? serviceKey(record) : record.uuid
}

/** The key of a service. */
export function serviceKey({ uuid, name }: ServiceReference): string {
  return `${uuid}/${name.toLowerCase()}`
}
