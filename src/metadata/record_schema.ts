/** What each kind of object looks like in a file: what may be left out, and what stands for it. */

import * as z from "zod/mini"
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
const tree = orElse(z.custom<Tree>(isTree, `must not be nested deeper than ${MAX_NESTING}`), null)
const trees = orElse(
  z.record(
    z.string(),
    z.custom<Tree>(isTree, `must not be nested deeper than ${MAX_NESTING}`),
    "must be a map",
  ),
  {},
)
/** Numbers come as texts and as numbers. */
const indexText = orElse(
  z.pipe(z.union([z.string(), z.number()], "must be a number"), z.transform(String)),
  null,
)

/** What may be missing or null, and then is something else. */
function orElse<T extends z.ZodMiniType, const E>(schema: T, otherwise: E) {
  return z.pipe(
    z.optional(z.nullable(schema)),
    z.transform((value): z.output<T> | E => value ?? otherwise),
  )
}

function isTree(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || value === null) return true
  return depth < MAX_NESTING && Object.values(value).every((item) => isTree(item, depth + 1))
}

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

const host = z.object({
  metadata_kind: z.literal("host"),
  uuid: required,
  name: required,
  hostname: text,
  agent_ip: text,
  agent_state: text,
  state: text,
  hostId: number,
  labels: texts,
  environment_uuid: text,
  milli_cpu: number,
  memory: number,
  local_storage_mb: number,
})

const container = z.object({
  metadata_kind: z.literal("container"),
  uuid: required,
  name: required,
  primary_ip: text,
  ips: list,
  ports: list,
  labels: texts,
  create_index: number,
  host_uuid: text,
  host_ip: text,
  hostname: text,
  health_state: text,
  health_check: healthCheck,
  health_check_hosts: list,
  start_count: number,
  service_index: indexText,
  state: text,
  external_id: text,
  primary_mac_address: text,
  memory_reservation: number,
  milli_cpu_reservation: number,
  network_uuid: text,
  network_from_container_uuid: text,
  system: flag,
  dns: list,
  dns_search: list,
  environment_uuid: text,
  links: texts,
})

const service = z.object({
  metadata_kind: z.literal("service"),
  uuid: required,
  name: required,
  stack_name: text,
  stack_uuid: text,
  kind: orElse(z.string("must be text"), "service"),
  hostname: text,
  vip: text,
  create_index: number,
  external_ips: list,
  sidekicks: list,
  ports: list,
  expose: list,
  labels: texts,
  metadata: trees,
  scale: number,
  fqdn: text,
  health_check: healthCheck,
  system: flag,
  lb_config: tree,
  primary_service_name: text,
  environment_uuid: text,
  state: text,
  token: text,
  links: texts,
})

const stack = z.object({
  metadata_kind: z.literal("stack"),
  uuid: required,
  name: required,
  environment_name: text,
  environment_uuid: text,
  system: flag,
})

const network = z.object({
  metadata_kind: z.literal("network"),
  uuid: required,
  name: required,
  environment_uuid: text,
  is_default: flag,
  host_ports: flag,
  metadata: trees,
  default_policy_action: text,
  policy: tree,
})

const environment = z.object({
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
