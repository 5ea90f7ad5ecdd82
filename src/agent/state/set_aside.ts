/** Rows of the state database that cannot be read: moved out of the way, and kept for whoever looks. */

import type { SQLOutputValue } from "node:sqlite"
import { formatAddress, parseAddress } from "../../core/address.ts"
import { messageOf } from "../../errors.ts"
import type { DatabaseFile } from "./database_file.ts"
import {
  type AddressRow,
  addressRowOf,
  type EndpointRow,
  endpointRowOf,
  isObject,
  jsonOf,
  jsonTextsOf,
  type Row,
  restingRowOf,
  textOf,
} from "./rows.ts"

/** One row that was set aside. */
export interface SetAsideRow {
  /** The table that it stood in. */
  readonly source: string
  /** Its columns; those of an endpoint with its `addresses`. Nothing of it is checked. */
  readonly row: Readonly<Record<string, unknown>>
  readonly why: string
}

/** Values of the meta table that are plain text, all others being JSON. */
const PLAIN: ReadonlySet<string> = new Set(["schema", "agent/host-uuid"])
const CURSOR = "cursor/"

/** A row with integers of any size. */
type ScannedRow = Readonly<Record<string, SQLOutputValue>>

/**
 * Moves every row that cannot be read to the table `set_aside`, in one transaction. An endpoint goes
 * with its addresses.
 *
 * @param check throws where an endpoint that can be read makes no sense
 * @param now milliseconds since 1970
 * @throws LariatError io where the file cannot be written
 */
export function setAsideUnreadable(
  database: DatabaseFile,
  check: (row: EndpointRow) => void,
  now: number,
): void {
  const bad = [
    ...badEndpoints(database, check),
    ...badOf(database, "quarantine", ["network", "address"], (row) => {
      checkAddress(restingRowOf(row).address)
    }),
    ...badOf(database, "network", ["name"], (row) => void jsonOf(row, "spec")),
    ...badOf(database, "meta", ["key"], checkMeta),
  ]
  if (bad.length === 0) return
  database.transaction(() => {
    for (const { source, row, key, why } of bad) {
      database.run(
        "INSERT INTO set_aside (source, row, why, at) VALUES (?, ?, ?, ?)",
        source,
        JSON.stringify(row, (_, value) => (typeof value === "bigint" ? String(value) : value)),
        why,
        now,
      )
      const where = Object.keys(key).map((column) => `${column} = ?`)
      database.run(`DELETE FROM ${source} WHERE ${where.join(" AND ")}`, ...Object.values(key))
    }
  })
}

/** What was set aside, now or before. */
export function setAsideRows(database: DatabaseFile): SetAsideRow[] {
  return database.all("SELECT source, row, why FROM set_aside ORDER BY id").map((one) => ({
    source: textOf(one, "source"),
    row: jsonOf(one, "row"),
    why: textOf(one, "why"),
  }))
}

interface BadRow {
  readonly source: string
  readonly key: ScannedRow
  readonly row: SetAsideRow["row"]
  readonly why: string
}

function badEndpoints(database: DatabaseFile, check: (row: EndpointRow) => void): BadRow[] {
  const all = Map.groupBy(
    database.scan("SELECT * FROM address ORDER BY rank"),
    (row) => row.endpoint_id,
  )
  return database.scan("SELECT * FROM endpoint").flatMap((row) => {
    const addresses = all.get(row.id ?? null) ?? []
    const why = reasonOf(() => check(endpointRowOf(row, addresses.map(checkedAddress))))
    if (why === undefined) return []
    return [{ source: "endpoint", key: { id: row.id ?? null }, row: { ...row, addresses }, why }]
  })
}

function badOf(
  database: DatabaseFile,
  source: string,
  columns: readonly string[],
  check: (row: Row) => void,
): BadRow[] {
  return database.scan(`SELECT * FROM ${source}`).flatMap((row) => {
    const why = reasonOf(() => check(row))
    if (why === undefined) return []
    const key = Object.fromEntries(columns.map((column) => [column, row[column] ?? null]))
    return [{ source, key, row, why }]
  })
}

function reasonOf(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function checkedAddress(row: Row): AddressRow {
  const address = addressRowOf(row)
  const most = checkAddress(address.address)
  if (address.prefix < 0 || address.prefix > most) {
    throw new Error(`${address.prefix} is no prefix length of ${address.address}`)
  }
  if (address.gateway !== undefined) checkAddress(address.gateway)
  return address
}

/** How many bits the address has. */
function checkAddress(text: string): number {
  const address = parseAddress(text)
  if (formatAddress(address) !== text) throw new Error(`${text} is no canonical address`)
  return address.bytes.length * 8
}

function checkMeta(row: Row): void {
  const key = textOf(row, "key")
  const value = textOf(row, "value")
  if (PLAIN.has(key)) return
  if (key.startsWith(CURSOR)) {
    for (const address of Object.values(jsonTextsOf(row, "value"))) parseAddress(address)
    return
  }
  JSON.parse(value)
}

/** For people: which row it was. */
export function nameOf({ source, row }: SetAsideRow): string {
  if (source === "endpoint") return `the endpoint of ${row.container_id}/${row.ifname}`
  return `the ${source} ${row.name ?? row.address ?? row.key}`
}

/** The addresses of an endpoint that was set aside, those that can be read. */
export function addressesOf({ row }: SetAsideRow): string[] {
  const all = Array.isArray(row.addresses) ? row.addresses : []
  return all.flatMap((one) => {
    const address = isObject(one) ? one.address : undefined
    if (typeof address !== "string") return []
    return reasonOf(() => void checkAddress(address)) === undefined ? [address] : []
  })
}
