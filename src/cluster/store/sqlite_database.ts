/** What the embedded store needs of a database; `DatabaseSync` of node:sqlite has it. */

export type SqlValue = null | number | bigint | string | Uint8Array
export type SqlRow = Readonly<Record<string, unknown>>

export interface SqlStatement {
  get(...values: SqlValue[]): SqlRow | undefined
  all(...values: SqlValue[]): SqlRow[]
  run(...values: SqlValue[]): { readonly changes: number | bigint }
}

export interface SqlDatabase {
  prepare(sql: string): SqlStatement
  close(): void
}
