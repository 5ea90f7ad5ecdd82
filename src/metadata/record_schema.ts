/**
 * The objects of the metadata, with the names and shapes they have in the API's answers (and in the
 * files that Rancher 1.6's server fed to its own): snake_case, null for what is not known. In a file
 * all but kind, uuid and name may be left out.
 */

import * as z from "zod/mini"
import { orElse } from "../config/value_schema.ts"
import type { Tree } from "./lookup.ts"

/** Levels of maps and lists in free metadata: what walks it may be recursive. */
const MAX_NESTING = 64

const required = z.string("must be text").check(z.minLength(1, "must not be empty"))
const text = orElse(z.string("must be text or null"), null)
const number = orElse(z.number("must be a number or null"), null)
const flag = orElse(z.boolean("must be true or false"), false)
const list = orElse(z.array(z.string("must be text"), "must be a list of texts"), [])
const texts = orElse(
  z.record(z.string(), z.string("must be text"), "must be a map from name to text"),
  {},
)
const anyTree = z.custom<Tree>(isTree, `must not be nested deeper than ${MAX_NESTING}`)
const tree = orElse(anyTree, null)
const trees = orElse(z.record(z.string(), anyTree, "must be a map"), {})
/** Numbers come as texts and as numbers. */
const indexText = orElse(
  z.pipe(z.union([z.string(), z.number()], "must be a number"), z.transform(String)),
  null,
)

function isTree(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || value === null) return true
  return depth < MAX_NESTING && Object.values(value).every((item) => isTree(item, depth + 1))
}

/** How a container's health is found out. Times are milliseconds. */
const healthCheck = orElse(
  z.object(
    {
      response_timeout: number,
      interval: number,
      healthy_threshold: number,
      unhealthy_threshold: number,
      request_line: text,
      port: number,
    },
    "must be a map or null",
  ),
  null,
)

/** A host that runs an agent. */
export const host = z.object({
  metadata_kind: z.literal("host"),
  uuid: required,
  name: required,
  hostname: text,
  /** The address at which other hosts reach it. */
  agent_ip: text,
  agent_state: text,
  state: text,
  /** A small number; only old versions of the API show it. */
  hostId: number,
  labels: texts,
  environment_uuid: text,
  milli_cpu: number,
  /** Bytes. */
  memory: number,
  local_storage_mb: number,
})

/** A container, running or not. */
export const container = z.object({
  metadata_kind: z.literal("container"),
  uuid: required,
  name: required,
  /** For a container in its host's network: the host's `agent_ip`. */
  primary_ip: text,
  /** IPv4 and IPv6. */
  ips: list,
  /** `[IP:]PUBLIC:PRIVATE[/PROTOCOL]` */
  ports: list,
  labels: texts,
  create_index: number,
  host_uuid: text,
  /** The address of its host. */
  host_ip: text,
  hostname: text,
  health_state: text,
  health_check: healthCheck,
  health_check_hosts: list,
  start_count: number,
  service_index: indexText,
  state: text,
  /** The runtime's id. */
  external_id: text,
  primary_mac_address: text,
  memory_reservation: number,
  milli_cpu_reservation: number,
  network_uuid: text,
  /** The container whose network this one shares. */
  network_from_container_uuid: text,
  system: flag,
  dns: list,
  dns_search: list,
  environment_uuid: text,
  /** Name to the uuid of a container. */
  links: texts,
})

/** A service of a stack. A sidekick is a record of its own, with the uuid of its primary. */
export const service = z.object({
  metadata_kind: z.literal("service"),
  uuid: required,
  name: required,
  stack_name: text,
  stack_uuid: text,
  /** service, loadBalancerService, dnsService, externalService, networkDriverService, … */
  kind: orElse(z.string("must be text"), "service"),
  /** What an external service is called outside, instead of addresses. */
  hostname: text,
  /** One address that stands for all containers. */
  vip: text,
  create_index: number,
  external_ips: list,
  sidekicks: list,
  /** `[IP:]PUBLIC:PRIVATE[/PROTOCOL]` */
  ports: list,
  expose: list,
  labels: texts,
  metadata: trees,
  scale: number,
  fqdn: text,
  health_check: healthCheck,
  system: flag,
  lb_config: tree,
  /** Another name than its own for a sidekick. */
  primary_service_name: text,
  environment_uuid: text,
  state: text,
  /** A secret, for the service's own containers alone. */
  token: text,
  /** `stack/service` to the name by which this service's containers know it. */
  links: texts,
})

/** A stack: services that belong together. */
export const stack = z.object({
  metadata_kind: z.literal("stack"),
  uuid: required,
  name: required,
  environment_name: text,
  environment_uuid: text,
  system: flag,
})

/** A network that containers are attached to. */
export const network = z.object({
  metadata_kind: z.literal("network"),
  uuid: required,
  name: required,
  environment_uuid: text,
  is_default: flag,
  /** Whether ports may be published. */
  host_ports: flag,
  /** `default_network.metadata` overlaid by `network_metadata`, and `cniConfig`. */
  metadata: trees,
  default_policy_action: text,
  policy: tree,
})

/** The environment itself; a model has at most one. */
export const environment = z.object({
  metadata_kind: z.literal("environment"),
  uuid: required,
  name: required,
  region_name: text,
})

const serviceContainerLink = z.object({
  metadata_kind: z.literal("serviceContainerLink"),
  service_uuid: required,
  service_name: required,
  container_uuid: required,
})

const serviceLink = z.object({
  metadata_kind: z.literal("serviceLink"),
  service_uuid: required,
  key: required,
  value: text,
})

const containerLink = z.object({
  metadata_kind: z.literal("containerLink"),
  container_uuid: required,
  key: required,
  value: required,
})

const defaultData = z.object({
  metadata_kind: z.literal("defaultData"),
  version: text,
  self: orElse(
    z.object(
      { host: orElse(z.object({ uuid: required }, "must be a map"), null) },
      "must be a map",
    ),
    null,
  ),
})

/** Rancher's server handed these to its own programs: they are no metadata. */
const credential = z.object({ metadata_kind: z.literal("credential") })

/** An object of a file. */
export const fileObject = z.discriminatedUnion(
  "metadata_kind",
  [
    host,
    container,
    service,
    stack,
    network,
    environment,
    serviceContainerLink,
    serviceLink,
    containerLink,
    defaultData,
    credential,
  ],
  "must be an object with a metadata_kind that is known",
)

/** An object of a file, with nothing left out. */
export type FileObject = z.output<typeof fileObject>
