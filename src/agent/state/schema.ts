/** The tables of the state database and how an older file is brought up to date. */

/**
 * `PRAGMA application_id` of our files ("Lari"), so that a database of another program is not
 * taken for ours.
 */
export const APPLICATION_ID = 0x4c617269

/**
 * The step at index n brings a file from schema version n to n + 1. Steps that were released are
 * never changed; a new one is added.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE network (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL CHECK (json_valid(spec))
  ) STRICT, WITHOUT ROWID;

  -- AUTOINCREMENT: an id is never used again, so that a late call for an endpoint that is gone
  -- cannot hit its successor.
  CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network TEXT NOT NULL,
    pool TEXT NOT NULL,
    container_id TEXT NOT NULL,
    ifname TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('port', 'adopted', 'ipam')),
    state TEXT NOT NULL CHECK (state IN ('attaching', 'attached', 'detaching')),
    netns_path TEXT,
    netns_dev TEXT,
    netns_ino TEXT,
    host_name TEXT,
    host_index INTEGER,
    mac TEXT,
    mtu INTEGER,
    created_at INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    names TEXT NOT NULL CHECK (json_valid(names)),
    request TEXT NOT NULL CHECK (json_valid(request)),
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    UNIQUE (container_id, network, ifname)
  ) STRICT;

  -- network is here, and in resting, the endpoint's pool: two CNI networks may share one.
  -- The address comes first in the key: metadata and DNS look for it without a network. rank is
  -- its place among the endpoint's addresses.
  CREATE TABLE address (
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    prefix INTEGER NOT NULL,
    gateway TEXT,
    endpoint_id INTEGER NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    PRIMARY KEY (address, network)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX address_endpoint ON address (endpoint_id);

  -- until_ms counts from the boot that boot_id names.
  CREATE TABLE resting (
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    PRIMARY KEY (network, address)
  ) STRICT, WITHOUT ROWID;
  `,
  "ALTER TABLE resting RENAME TO quarantine;",
  `
  -- Rows that could not be read, as JSON, for whoever looks what became of them. at: wall clock, ms.
  CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    row TEXT NOT NULL,
    why TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  `,
]

/** The table that holds the schema version; it exists in every version. */
export const META_TABLE = `
  CREATE TABLE IF NOT EXISTS meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`
