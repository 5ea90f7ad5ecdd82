/** What the agent must not forget: endpoints, their addresses, what rests, networks, cursors. */

import { LariatError } from "../../errors.ts"
import { DatabaseFile } from "./database_file.ts"
import {
  type AddressRow,
  type AttachedEndpoint,
  addressRowOf,
  type EndpointRow,
  endpointRowOf,
  type JsonObject,
  jsonOf,
  jsonTextsOf,
  type NewEndpoint,
  type QuarantinedRow,
  type Row,
  restingRowOf,
  textOf,
} from "./rows.ts"
import { type SetAsideRow, setAsideRows, setAsideUnreadable } from "./set_aside.ts"

/** How to open a {@link StateDatabase}. */
export interface StateDatabaseOptions {
  /** Identifies the boot of the host: times of quarantine count from it. */
  readonly bootId: string
  /** Milliseconds since 1970, for `createdAt`; default: `Date.now`. */
  readonly wallClock?: (() => number) | undefined
  /** Throws where an endpoint that can be read makes no sense. Default: all make sense. */
  readonly check?: ((row: EndpointRow) => void) | undefined
}

/** Next-fit's place per subnet, as the allocator tells it. */
export type Cursors = Readonly<Record<string, string>>

/**
 * The agent's durable rows. Every method that writes is one transaction and has it on its way to
 * the disk when it returns: a kill at any instant leaves either all of it or nothing.
 *
 * An endpoint goes `attaching` → `attached` → `detaching` → gone, and its addresses go with it:
 * there is no address without endpoint, and no two endpoints of a network have the same one.
 */
export class StateDatabase {
  readonly #database: DatabaseFile
  readonly #bootId: string
  readonly #wallClock: () => number

  private constructor(database: DatabaseFile, options: StateDatabaseOptions) {
    this.#database = database
    this.#bootId = options.bootId
    this.#wallClock = options.wallClock ?? Date.now
  }

  /**
   * Opens or makes the file; `":memory:"` keeps everything in memory. Rows that cannot be read are
   * set aside.
   *
   * @throws LariatError busy where another agent has it, io where it is damaged or cannot be
   *   used
   */
  static open(path: string, options: StateDatabaseOptions): StateDatabase {
    const database = DatabaseFile.open(path)
    const { check = () => {}, wallClock = Date.now } = options
    setAsideUnreadable(database, check, Math.trunc(wallClock()))
    return new StateDatabase(database, options)
  }

  /**
   * Writes down, before the kernel is touched, that an attach begins. Addresses that were quarantined
   * leave quarantine.
   *
   * @param options.cursors is put in the same transaction
   * @returns the id of the endpoint; ids are never used twice
   * @throws LariatError ifname-exists where the network knows that interface of that container,
   *   address-taken where another endpoint has one of the addresses; nothing is written then
   */
  begin(
    endpoint: NewEndpoint,
    addresses: readonly AddressRow[],
    options: { readonly cursors?: Cursors | undefined } = {},
  ): number {
    return this.#database.transaction(() => this.#begin(endpoint, addresses, options.cursors))
  }

  /**
   * Writes down an endpoint that is attached already: all of {@link begin} and {@link finish}, or
   * nothing. For what the kernel is not touched for: nothing of it need ever be taken back.
   *
   * @throws LariatError as {@link begin} does
   */
  record(
    endpoint: NewEndpoint,
    addresses: readonly AddressRow[],
    attached: AttachedEndpoint,
    options: { readonly cursors?: Cursors | undefined } = {},
  ): EndpointRow {
    return this.#database.transaction(() => {
      const id = this.#begin(endpoint, addresses, options.cursors)
      this.finish(id, attached)
      const row = this.endpoint(id)
      if (row === undefined) throw notThere(id, "record")
      return row
    })
  }

  #begin(
    endpoint: NewEndpoint,
    addresses: readonly AddressRow[],
    cursors: Cursors | undefined,
  ): number {
    const { network, pool = network, containerId, ifname } = endpoint
    const { changes, id } = this.#database.run(
      `INSERT INTO endpoint (network, pool, container_id, ifname, kind, state, netns_path, netns_dev,
           netns_ino, host_name, created_at, boot_id, names, request)
         VALUES (?, ?, ?, ?, ?, 'attaching', ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
      network,
      pool,
      containerId,
      ifname,
      endpoint.kind,
      endpoint.netns?.path ?? null,
      endpoint.netns?.dev.toString() ?? null,
      endpoint.netns?.ino.toString() ?? null,
      endpoint.hostName ?? null,
      Math.trunc(this.#wallClock()),
      this.#bootId,
      JSON.stringify(endpoint.names),
      JSON.stringify(endpoint.request),
    )
    if (changes === 0) {
      throw new LariatError(
        `Cannot attach ${ifname} of container ${containerId} to network ${network}: it is attached already`,
        { code: "ifname-exists", hint: "Detach it first (CNI DEL)" },
      )
    }
    for (const [rank, address] of addresses.entries()) this.#lease(pool, id, rank, address)
    if (cursors !== undefined) this.putCursors(pool, cursors)
    return id
  }

  /**
   * Writes down that an attach is done, or that what it made was mended since.
   *
   * @throws LariatError not-attached where there is no such endpoint or it is being detached
   */
  finish(id: number, attached: AttachedEndpoint): void {
    const { changes } = this.#database.run(
      `UPDATE endpoint SET state = 'attached', host_name = coalesce(?, host_name), host_index = ?,
         mac = ?, mtu = ?, result = ?
       WHERE id = ? AND state <> 'detaching'`,
      attached.hostName ?? null,
      attached.hostIndex ?? null,
      attached.mac ?? null,
      attached.mtu ?? null,
      JSON.stringify(attached.result),
      id,
    )
    if (changes === 0) throw notThere(id, "finish")
  }

  /** Writes down that an endpoint is to be made otherwise from now on. */
  putRequest(id: number, request: JsonObject): void {
    this.#database.run("UPDATE endpoint SET request = ? WHERE id = ?", JSON.stringify(request), id)
  }

  /**
   * Writes down, before the kernel is touched, that the container has the interface already and
   * that it is going to get the addresses.
   *
   * @throws LariatError not-attached where there is no such endpoint
   */
  adopt(id: number): void {
    const sql = "UPDATE endpoint SET kind = 'adopted', host_name = NULL WHERE id = ?"
    if (this.#database.run(sql, id).changes === 0) throw notThere(id, "adopt")
  }

  /**
   * Writes down that a detach has begun. May be said twice.
   *
   * @throws LariatError not-attached where there is no such endpoint
   */
  detach(id: number): void {
    const sql = "UPDATE endpoint SET state = 'detaching' WHERE id = ?"
    if (this.#database.run(sql, id).changes === 0) throw notThere(id, "detach")
  }

  /**
   * Forgets an endpoint and its addresses, and writes down which of them rest. False where it was
   * gone: then nothing is written.
   */
  remove(id: number, quarantined: readonly QuarantinedRow[] = []): boolean {
    return this.#database.transaction(() => {
      const gone = this.#database.get("DELETE FROM endpoint WHERE id = ? RETURNING pool", id)
      if (gone === undefined) return false
      const pool = textOf(gone, "pool")
      for (const { address, until } of quarantined) {
        this.#database.run(
          "INSERT OR REPLACE INTO quarantine (network, address, until_ms, boot_id) VALUES (?, ?, ?, ?)",
          pool,
          address,
          Math.ceil(until),
          this.#bootId,
        )
      }
      return true
    })
  }

  /** Endpoints in the order in which they began: all, or those of a network. */
  endpoints(network?: string): EndpointRow[] {
    const where = "WHERE ?1 IS NULL OR endpoint.network = ?1"
    const rows = this.#database.all(`SELECT * FROM endpoint ${where} ORDER BY id`, network ?? null)
    const addresses = Map.groupBy(
      this.#database.all(
        `SELECT address.* FROM endpoint JOIN address ON address.endpoint_id = endpoint.id ${where}
         ORDER BY address.rank`,
        network ?? null,
      ),
      (row) => row.endpoint_id,
    )
    return rows.map((row) => endpointRowOf(row, (addresses.get(row.id) ?? []).map(addressRowOf)))
  }

  endpoint(id: number): EndpointRow | undefined {
    return this.#withAddresses(this.#database.get("SELECT * FROM endpoint WHERE id = ?", id))
  }

  /** The endpoint that has an address of a network. */
  findByAddress(address: string, network: string): EndpointRow | undefined {
    return this.#withAddresses(
      this.#database.get(
        `SELECT endpoint.* FROM address JOIN endpoint ON endpoint.id = address.endpoint_id
         WHERE address.address = ? AND address.network = ?`,
        address,
        network,
      ),
    )
  }

  /** Every address that an endpoint of the network has, whatever the endpoint's state. */
  leases(network: string): string[] {
    return this.#database
      .all("SELECT address FROM address WHERE network = ?", network)
      .map((row) => textOf(row, "address"))
  }

  /** What rests in a network since this boot, longest first; an earlier boot's rests are over. */
  quarantined(network: string): QuarantinedRow[] {
    return this.#database
      .all(
        "SELECT * FROM quarantine WHERE network = ? AND boot_id = ? ORDER BY until_ms",
        network,
        this.#bootId,
      )
      .map(restingRowOf)
  }

  /** Forgets rests that are over: those until `now`, and those of an earlier boot. How many. */
  purgeQuarantine(now: number): number {
    const sql = "DELETE FROM quarantine WHERE until_ms <= ? OR boot_id <> ?"
    return this.#database.run(sql, Math.floor(now), this.#bootId).changes
  }

  /** Rows that could not be read when the file was opened, this time or before. */
  setAside(): SetAsideRow[] {
    return setAsideRows(this.#database)
  }

  /** Networks that came from a CNI configuration, by name. */
  networks(): { readonly name: string; readonly spec: JsonObject }[] {
    return this.#database
      .all("SELECT * FROM network ORDER BY name")
      .map((row) => ({ name: textOf(row, "name"), spec: jsonOf(row, "spec") }))
  }

  putNetwork(name: string, spec: JsonObject): void {
    this.#database.run(
      "INSERT OR REPLACE INTO network (name, spec) VALUES (?, ?)",
      name,
      JSON.stringify(spec),
    )
  }

  /** False where there was none. */
  deleteNetwork(name: string): boolean {
    return this.#database.run("DELETE FROM network WHERE name = ?", name).changes > 0
  }

  /** Every network that an endpoint or an address in quarantine is of. */
  pools(): string[] {
    return this.#database
      .all("SELECT pool AS name FROM endpoint UNION SELECT network FROM quarantine")
      .map((row) => textOf(row, "name"))
  }

  /**
   * Gives what is of one network to another: it is called so now. An endpoint with an address that
   * the other one has already stays where it is.
   */
  movePool(from: string, to: string): void {
    this.#database.transaction(() => {
      const both = [to, from] as const
      this.#database.run(
        `UPDATE endpoint SET pool = ?1 WHERE pool = ?2 AND NOT EXISTS (
           SELECT 1 FROM address own JOIN address other ON other.address = own.address
           WHERE own.endpoint_id = endpoint.id AND other.network = ?1)`,
        ...both,
      )
      this.#database.run(
        `UPDATE address SET network = ?1 WHERE network = ?2
           AND endpoint_id IN (SELECT id FROM endpoint WHERE pool = ?1)`,
        ...both,
      )
      this.#database.run("UPDATE OR IGNORE quarantine SET network = ? WHERE network = ?", ...both)
      const cursors = { ...this.cursors(from), ...this.cursors(to) }
      if (Object.keys(cursors).length > 0) this.putCursors(to, cursors)
    })
  }

  /** Next-fit's places in a network; none written yet is an empty object. */
  cursors(network: string): Cursors {
    const row = this.#metaRow(cursorKey(network))
    return row === undefined ? {} : jsonTextsOf(row, "value")
  }

  putCursors(network: string, cursors: Cursors): void {
    this.#putMetaRow(cursorKey(network), JSON.stringify(cursors))
  }

  /** A value of the agent's own, such as the host's id. */
  meta(key: string): string | undefined {
    const row = this.#metaRow(agentKey(key))
    return row === undefined ? undefined : textOf(row, "value")
  }

  putMeta(key: string, value: string): void {
    this.#putMetaRow(agentKey(key), value)
  }

  /** Tidies the file; for idle moments. */
  checkpoint(): void {
    this.#database.checkpoint()
  }

  close(): void {
    this.#database.close()
  }

  #lease(
    network: string,
    id: number,
    rank: number,
    { address, prefix, gateway }: AddressRow,
  ): void {
    const { changes } = this.#database.run(
      `INSERT INTO address (network, address, prefix, gateway, endpoint_id, rank)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      network,
      address,
      prefix,
      gateway ?? null,
      id,
      rank,
    )
    if (changes === 0) {
      const owner = this.findByAddress(address, network)
      throw new LariatError(
        `Cannot give ${address} of network ${network}: container ${owner?.containerId} (${owner?.ifname}) has it`,
        { code: "address-taken", hint: "Detach the owner first, or use another address" },
      )
    }
    this.#database.run("DELETE FROM quarantine WHERE network = ? AND address = ?", network, address)
  }

  #withAddresses(row: Row | undefined): EndpointRow | undefined {
    if (row === undefined) return undefined
    const addresses = this.#database
      .all("SELECT * FROM address WHERE endpoint_id = ? ORDER BY rank", Number(row.id))
      .map(addressRowOf)
    return endpointRowOf(row, addresses)
  }

  #metaRow(key: string): Row | undefined {
    return this.#database.get("SELECT * FROM meta WHERE key = ?", key)
  }

  #putMetaRow(key: string, value: string): void {
    this.#database.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value)
  }
}

/** Keys of the meta table; the prefixes keep them apart from each other and from `schema`. */
function cursorKey(network: string): string {
  return `cursor/${network}`
}

function agentKey(key: string): string {
  return `agent/${key}`
}

function notThere(id: number, verb: string): LariatError {
  return new LariatError(`Cannot ${verb} endpoint ${id}: it is not attached`, {
    code: "not-attached",
    hint: "Attach it again",
  })
}
