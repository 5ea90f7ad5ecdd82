/** The records of the model: the objects of the metadata, with the links between them in place. */

import type { Output } from "../config/value_schema.ts"
import type * as schema from "./record_schema.ts"

/** Names to texts. */
export type Texts = Readonly<Record<string, string>>

export type EnvironmentRecord = Output<typeof schema.environment>
export type HostRecord = Output<typeof schema.host>
export type NetworkRecord = Output<typeof schema.network>
export type StackRecord = Output<typeof schema.stack>

/** A service, whose `primary_service_name` is never missing. */
export interface ServiceRecord extends Omit<Output<typeof schema.service>, "primary_service_name"> {
  readonly primary_service_name: string
}

/** Names a service: sidekicks share the uuid of their primary. */
export interface ServiceReference {
  readonly uuid: string
  readonly name: string
}

export interface ContainerRecord extends Output<typeof schema.container> {
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
