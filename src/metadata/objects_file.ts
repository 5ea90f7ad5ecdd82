import { LineCounter, parseDocument } from "yaml"
import { pathText, printable } from "../config/diagnostic.ts"
import { LariatError, messageOf } from "../errors.ts"
import type { Model } from "./model.ts"
import { type FileObject, fileObject } from "./record_schema.ts"
import {
  type ModelRecord,
  recordKey,
  type ServiceReference,
  serviceKey,
  type Texts,
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
    throw refuse(name, [messageOf(cause)])
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
  // A link between services names the uuid alone, which sidekicks share.
  const uuids = [...records.values()].map((record) => `${record.metadata_kind} ${record.uuid}`)
  const ids = new Set([...records.keys(), ...uuids])
  for (const { index, object } of objects) {
    const missing = missingEnd(object, ids)
    if (missing !== undefined) problems.push(`[${index}].${missing}: no such object`)
  }
  return { records: [...records.values()], selfHostUuid, version }
}

interface NamedLink {
  /** uuid of the container or the service. */
  readonly owner: string
  readonly key: string
  readonly value: string
}

interface Links {
  /** By uuid of the container. */
  readonly services: ReadonlyMap<string, readonly ServiceReference[]>
  /** By {@link NamedLink.owner}. */
  readonly named: ReadonlyMap<string, readonly NamedLink[]>
}

function linksOf(objects: readonly Placed[]): Links {
  const memberships = objects.flatMap(({ object }) =>
    object.metadata_kind === "serviceContainerLink"
      ? [{ uuid: object.service_uuid, name: object.service_name, of: object.container_uuid }]
      : [],
  )
  const named = objects.flatMap(({ object }): NamedLink[] => {
    if (object.metadata_kind === "serviceLink") {
      return [{ owner: object.service_uuid, key: object.key, value: object.value ?? "" }]
    }
    if (object.metadata_kind !== "containerLink") return []
    return [{ owner: object.container_uuid, key: object.key, value: object.value }]
  })
  return {
    services: Map.groupBy(memberships, ({ of }) => of),
    named: Map.groupBy(named, ({ owner }) => owner),
  }
}

function recordOf(object: FileObject, links: Links): ModelRecord | undefined {
  switch (object.metadata_kind) {
    case "container": {
      const services = links.services.get(object.uuid) ?? []
      const references = services.map(({ uuid, name }) => ({ uuid, name }))
      return { ...object, services: references, links: withLinks(object, links) }
    }
    case "service": {
      const primary = object.primary_service_name ?? object.name
      return { ...object, primary_service_name: primary, links: withLinks(object, links) }
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

function withLinks({ uuid, links }: { uuid: string; links: Texts }, { named }: Links): Texts {
  const more = (named.get(uuid) ?? []).map(({ key, value }) => [key, value])
  return { ...links, ...Object.fromEntries(more) }
}

/** The field of a link that names what is not there. */
function missingEnd(object: FileObject, ids: ReadonlySet<string>): string | undefined {
  switch (object.metadata_kind) {
    case "serviceContainerLink": {
      const service = { uuid: object.service_uuid, name: object.service_name }
      if (!ids.has(`service ${serviceKey(service)}`)) return "service_uuid"
      return ids.has(`container ${object.container_uuid}`) ? undefined : "container_uuid"
    }
    case "serviceLink":
      return ids.has(`service ${object.service_uuid}`) ? undefined : "service_uuid"
    case "containerLink":
      return ids.has(`container ${object.container_uuid}`) ? undefined : "container_uuid"
    default:
      return undefined
  }
}
