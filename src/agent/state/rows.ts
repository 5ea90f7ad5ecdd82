/** What the state database's rows say, typed, and the reading of them out of SQLite. */

import type { SQLOutputValue } from "node:sqlite"
import { LariatError, messageOf } from "../../errors.ts"

/** How an endpoint came to be: our own veth, another engine's interface, or an address only. */
export type EndpointKind = "port" | "adopted" | "ipam"

/** Where in its life an endpoint is. After a crash, only `attached` needs no undoing. */
export type EndpointState = "attaching" | "attached" | "detaching"

/** A network namespace as it was at attach; a path may be reused, device and inode tell. */
export interface NetnsRef {
  readonly path: string
  readonly dev: bigint
  readonly ino: bigint
}

/** What people call the container, for metadata and DNS. */
export interface EndpointNames {
  readonly aliases: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly podName?: string | undefined
  readonly podNamespace?: string | undefined
  readonly podUid?: string | undefined
  /** What Rancher calls the container; RancherContainerUUID of CNI_ARGS. */
  readonly uuid?: string | undefined
}

/** A JSON object of which the state database knows no more. */
export type JsonObject = Readonly<Record<string, unknown>>

/** One address of an endpoint. */
export interface AddressRow {
  /** Canonical text without prefix length. */
  readonly address: string
  readonly prefix: number
  readonly gateway: string | undefined
}

/** What is known when an attach begins. */
export interface NewEndpoint {
  /** The CNI network's name. */
  readonly network: string
  /** The network that the addresses are of; default: `network`. */
  readonly pool?: string | undefined
  readonly containerId: string
  readonly ifname: string
  readonly kind: EndpointKind
  readonly netns: NetnsRef | undefined
  /** The host link that is going to be made, so that a crash leaves its name behind. */
  readonly hostName?: string | undefined
  readonly names: EndpointNames
  /** What the runtime asked for. */
  readonly request: JsonObject
}

/** What is known when an attach is done. */
export interface AttachedEndpoint {
  readonly hostName?: string | undefined
  readonly hostIndex?: number | undefined
  readonly mac?: string | undefined
  /** Bytes. */
  readonly mtu?: number | undefined
  /** What the runtime was answered. */
  readonly result: JsonObject
}

/** One endpoint with its addresses. */
export interface EndpointRow extends NewEndpoint, Omit<AttachedEndpoint, "result"> {
  readonly id: number
  readonly pool: string
  readonly state: EndpointState
  /** Wall clock at begin, milliseconds since 1970. */
  readonly createdAt: number
  /** The boot of the host in which the attach began. */
  readonly bootId: string
  /** Undefined until the attach is done. */
  readonly result: JsonObject | undefined
  readonly addresses: readonly AddressRow[]
}

/** One address in quarantine, until a time of the boot-time clock in milliseconds. */
export interface QuarantinedRow {
  readonly address: string
  readonly until: number
}

/** A row as SQLite gives it. */
export type Row = Readonly<Record<string, SQLOutputValue>>

const KINDS: readonly EndpointKind[] = ["port", "adopted", "ipam"]
const STATES: readonly EndpointState[] = ["attaching", "attached", "detaching"]

function unreadable(row: Row, column: string, want: string, cause?: unknown): LariatError {
  const id = row.id ?? row.name ?? row.key ?? row.address ?? "?"
  return new LariatError(`Cannot read row ${id} of the state database: ${column} is not ${want}`, {
    code: "io",
    hint: "The state database was changed by something else; restore it or move it aside",
    cause,
  })
}

/** A text column. */
export function textOf(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== "string") throw unreadable(row, column, "text")
  return value
}

/** A text column that may be NULL. */
function maybeTextOf(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : textOf(row, column)
}

/** An integer column. */
function integerOf(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw unreadable(row, column, "an integer")
  }
  return value
}

/** A column with a JSON object. */
export function jsonOf(row: Row, column: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(textOf(row, column))
  } catch (error) {
    throw unreadable(row, column, `JSON (${messageOf(error)})`, error)
  }
  if (!isObject(value)) throw unreadable(row, column, "a JSON object")
  return value
}

/** A column with a JSON object of texts. */
export function jsonTextsOf(row: Row, column: string): Readonly<Record<string, string>> {
  const value = jsonOf(row, column)
  if (!areTexts(value)) throw unreadable(row, column, "a JSON object of texts")
  return value
}

/** One of the address table. */
export function addressRowOf(row: Row): AddressRow {
  return {
    address: textOf(row, "address"),
    prefix: integerOf(row, "prefix"),
    gateway: maybeTextOf(row, "gateway"),
  }
}

/** One of the quarantine table. */
export function restingRowOf(row: Row): QuarantinedRow {
  return { address: textOf(row, "address"), until: integerOf(row, "until_ms") }
}

/** One of the endpoint table. */
export function endpointRowOf(row: Row, addresses: readonly AddressRow[]): EndpointRow {
  const kind = KINDS.find((some) => some === row.kind)
  if (kind === undefined) throw unreadable(row, "kind", `one of ${KINDS.join(", ")}`)
  const state = STATES.find((some) => some === row.state)
  if (state === undefined) throw unreadable(row, "state", `one of ${STATES.join(", ")}`)
  return {
    id: integerOf(row, "id"),
    network: textOf(row, "network"),
    pool: textOf(row, "pool"),
    containerId: textOf(row, "container_id"),
    ifname: textOf(row, "ifname"),
    kind,
    state,
    netns: netnsOf(row),
    hostName: maybeTextOf(row, "host_name"),
    hostIndex: row.host_index === null ? undefined : integerOf(row, "host_index"),
    mac: maybeTextOf(row, "mac"),
    mtu: row.mtu === null ? undefined : integerOf(row, "mtu"),
    createdAt: integerOf(row, "created_at"),
    bootId: textOf(row, "boot_id"),
    names: namesOf(row),
    request: jsonOf(row, "request"),
    result: row.result === null ? undefined : jsonOf(row, "result"),
    addresses,
  }
}

function netnsOf(row: Row): NetnsRef | undefined {
  const path = maybeTextOf(row, "netns_path")
  if (path === undefined) return undefined
  return { path, dev: decimalOf(row, "netns_dev"), ino: decimalOf(row, "netns_ino") }
}

/** Device and inode are kept as decimal text: they may be larger than an exact number. */
function decimalOf(row: Row, column: string): bigint {
  const text = textOf(row, column)
  if (!/^[0-9]+$/.test(text)) throw unreadable(row, column, "a decimal number")
  return BigInt(text)
}

function namesOf(row: Row): EndpointNames {
  const { aliases, labels, podName, podNamespace, podUid, uuid } = jsonOf(row, "names")
  if (!Array.isArray(aliases) || !aliases.every(isText)) {
    throw unreadable(row, "names", "well formed: aliases is no list of texts")
  }
  if (!isObject(labels) || !areTexts(labels)) {
    throw unreadable(row, "names", "well formed: labels is no object of texts")
  }
  if (![podName, podNamespace, podUid, uuid].every(isMaybeText)) {
    throw unreadable(row, "names", "well formed: the pod's name, namespace and uid are texts")
  }
  return { aliases, labels, podName, podNamespace, podUid, uuid } as EndpointNames
}

function isText(value: unknown): value is string {
  return typeof value === "string"
}

function isMaybeText(value: unknown): value is string | undefined {
  return value === undefined || isText(value)
}

/** Whether a value is what JSON calls an object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function areTexts(value: JsonObject): value is Readonly<Record<string, string>> {
  return Object.values(value).every(isText)
}
