import { LineCounter, parseDocument } from "yaml"
import { pathText, printable } from "../config/diagnostic.ts"
import { LariatError } from "../errors.ts"
import type { Model } from "./model.ts"
import { type FileObject, fileObject } from "./record_schema.ts"
import {
  type ContainerRecord,
  type ModelRecord,
  recordKey,
  type ServiceRecord,
  type ServiceReference,
  serviceKey,
} from "./records.ts"

/** A file of objects, read. */
export interface ObjectsFile {
  /** Links between objects are in the records of the objects. */
  readonly records: readonly ModelRecord[]
  /** The host that the file takes for its own. */
  readonly selfHostUuid: string | undefined
  /** A version that the file gives itself. */
  readonly version: string | undefined
}

/** How many of a file's faults one error lists. */
const MAX_LISTED = 10

/**
 * Reads a list of objects as Rancher 1.6's server wrote them, in JSON or YAML: hosts, networks,
 * stacks, services, containers, the environment, and the links between them. All but kind, uuid and
 * name may be left out.
 *
 * @param name of the file, for errors
 * @throws LariatError `config-invalid` that lists what is wrong, with the line of broken JSON or
 * YAML, or the path of a wrong value
 */
export function parseObjectsFile(name: string, text: string): ObjectsFile {
  const problems: string[] = []
  const value = parseText(name, text)
  if (!Array.isArray(value)) throw refuse(name, ["it must be a list of objects"])
  const objects: Placed[] = []
  for (const [index, item] of value.entries()) {
    const parsed = fileObject.safeParse(item)
    if (parsed.success) objects.push({ index, object: parsed.data })
    for (const issue of parsed.success ? [] : parsed.error.issues) {
      problems.push(`${pathText([index, ...issue.path])}: ${issue.message}`)
    }
  }
  const file = assemble(objects, problems)
  if (problems.length > 0) throw refuse(name, problems)
  return file
}

/**
 * Puts what a file holds into a model, as one change, and removes what an earlier reading of it had
 * put there.
 *
 * @param earlier what was loaded before; default nothing
 */
export function loadObjects(model: Model, file: ObjectsFile, earlier?: ObjectsFile): void {
  model.batch(() => {
    const kept = new Set(file.records.map(identity))
    for (const record of earlier?.records ?? []) {
      if (!kept.has(identity(record))) model.remove(record.metadata_kind, recordKey(record))
    }
    for (const record of file.records) model.put(record)
    if (file.selfHostUuid !== undefined) model.setSelfHost(file.selfHostUuid)
  })
}

interface Placed {
  readonly index: number
  readonly object: FileObject
}

function identity(record: ModelRecord): string {
  return `${record.metadata_kind} ${recordKey(record)}`
}

function parseText(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // YAML, or JSON that is broken: the reader of YAML knows where.
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    throw refuse(name, [`${line}:${col}: ${error.message}`])
  }
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw refuse(name, [cause instanceof Error ? cause.message : String(cause)])
  }
}

function refuse(name: string, problems: readonly string[]): LariatError {
  const shown = problems.slice(0, MAX_LISTED).map(printable).join("; ")
  const more = problems.length > MAX_LISTED ? `; and ${problems.length - MAX_LISTED} more` : ""
  return new LariatError(`Cannot read the objects of ${printable(name)}: ${shown}${more}`, {
    code: "config-invalid",
    hint: "write a list of objects, each with metadata_kind, uuid and name",
  })
}

/** Objects become records, and links parts of the records that they link. */
function assemble(objects: readonly Placed[], problems: string[]): ObjectsFile {
  const links = linksOf(objects)
  const records = new Map<string, ModelRecord>()
  let selfHostUuid: string | undefined
  let version: string | undefined
  for (const { index, object } of objects) {
    if (object.metadata_kind === "defaultData") {
      selfHostUuid = object.self?.host?.uuid
      version = object.version ?? undefined
      continue
    }
    const record = recordOf(object, links)
    if (record === undefined) continue
    const id = identity(record)
    if (records.has(id)) problems.push(`[${index}].uuid: another ${id} is before it`)
    records.set(id, record)
  }
  const serviceUuids = new Set([...records.values()].filter(isService).map(({ uuid }) => uuid))
  for (const { index, object } of objects) {
    const missing = missingEnd(object, records, serviceUuids)
    if (missing !== undefined) problems.push(`[${index}].${missing}: no such object`)
  }
  return { records: [...records.values()], selfHostUuid, version }
}

function isService(record: ModelRecord): record is ServiceRecord {
  return record.metadata_kind === "service"
}

interface Links {
  /** By uuid of the container. */
  readonly services: Map<string, ServiceReference[]>
  /** By uuid of the container or the service. */
  readonly named: Map<string, [string, string][]>
}

function linksOf(objects: readonly Placed[]): Links {
  const services = new Map<string, ServiceReference[]>()
  const named = new Map<string, [string, string][]>()
  for (const { object } of objects) {
    if (object.metadata_kind === "serviceContainerLink") {
      const reference = { uuid: object.service_uuid, name: object.service_name }
      append(services, object.container_uuid, reference)
    } else if (object.metadata_kind === "serviceLink") {
      append(named, object.service_uuid, [object.key, object.value ?? ""])
    } else if (object.metadata_kind === "containerLink") {
      append(named, object.container_uuid, [object.key, object.value])
    }
  }
  return { services, named }
}

function append<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

function recordOf(object: FileObject, links: Links): ModelRecord | undefined {
  switch (object.metadata_kind) {
    case "container": {
      const services = links.services.get(object.uuid) ?? []
      return { ...object, services, links: withLinks(object, links) } satisfies ContainerRecord
    }
    case "service": {
      const primary = object.primary_service_name ?? object.name
      const more = { primary_service_name: primary, links: withLinks(object, links) }
      return { ...object, ...more } satisfies ServiceRecord
    }
    case "host":
    case "stack":
    case "network":
    case "environment":
      return object
    default:
      return undefined
  }
}

function withLinks(
  object: { readonly uuid: string; readonly links: Readonly<Record<string, string>> },
  links: Links,
): Record<string, string> {
  return Object.fromEntries([
    ...Object.entries(object.links),
    ...(links.named.get(object.uuid) ?? []),
  ])
}

/** The field of a link that names what is not there. */
function missingEnd(
  object: FileObject,
  records: ReadonlyMap<string, ModelRecord>,
  serviceUuids: ReadonlySet<string>,
): string | undefined {
  if (object.metadata_kind === "serviceContainerLink") {
    const reference = { uuid: object.service_uuid, name: object.service_name }
    if (!records.has(`service ${serviceKey(reference)}`)) return "service_uuid"
  }
  if (object.metadata_kind === "serviceLink") {
    return serviceUuids.has(object.service_uuid) ? undefined : "service_uuid"
  }
  if (object.metadata_kind === "serviceContainerLink" || object.metadata_kind === "containerLink") {
    return records.has(`container ${object.container_uuid}`) ? undefined : "container_uuid"
  }
  return undefined
}
