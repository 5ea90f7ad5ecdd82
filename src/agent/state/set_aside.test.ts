import { afterEach, beforeEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { NewEndpoint } from "./rows.ts"
import { addressesOf, nameOf } from "./set_aside.ts"
import { StateDatabase } from "./state_database.ts"

let directory = ""
let path = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lariat-aside-"))
  path = join(directory, "lariat.db")
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function endpoint(containerId: string): NewEndpoint {
  return {
    network: "ipsec",
    containerId,
    ifname: "eth0",
    kind: "port",
    netns: { path: "/run/netns/x", dev: 4n, ino: 5n },
    hostName: "lrtabc",
    names: { aliases: [], labels: {} },
    request: {},
  }
}

const four = (address: string) => ({ address, prefix: 16, gateway: "10.42.0.1" })

/** A database with two endpoints, after a change that its own rules forbid. */
function damaged(change: string): StateDatabase {
  const writer = StateDatabase.open(path, { bootId: "b" })
  writer.begin(endpoint("bad"), [four("10.42.0.8"), { ...four("fd00::8"), prefix: 64 }])
  writer.begin(endpoint("good"), [four("10.42.0.9")])
  writer.close()
  const other = new DatabaseSync(path)
  other.exec("PRAGMA ignore_check_constraints = ON")
  other.exec(change)
  other.close()
  return StateDatabase.open(path, { bootId: "b" })
}

const OF_ENDPOINTS: readonly (readonly [change: string, why: string])[] = [
  ["names = '{'", "names is not JSON"],
  ["names = '{}'", "names is not well formed"],
  [`names = '{"aliases":[1],"labels":{}}'`, "names is not well formed"],
  [`names = '{"aliases":[],"labels":{"a":1}}'`, "names is not well formed"],
  [`names = '{"aliases":[],"labels":{},"podName":7}'`, "names is not well formed"],
  ["state = 'resting'", "state is not one of attaching, attached, detaching"],
  ["kind = 'x'", "kind is not one of"],
  ["request = '[]'", "request is not a JSON object"],
  ["result = 'null'", "result is not a JSON object"],
  ["netns_ino = 'x'", "netns_ino is not a decimal number"],
  ["netns_dev = NULL", "netns_dev is not text"],
  ["mtu = 9223372036854775807", "mtu is not an integer"],
]

test.each(OF_ENDPOINTS)("an endpoint whose %s is set aside with its addresses", (change, why) => {
  for (let round = 0; round < 2; round++) {
    const database =
      round === 0
        ? damaged(`UPDATE endpoint SET ${change} WHERE container_id = 'bad'`)
        : StateDatabase.open(path, { bootId: "b" })
    expect(database.endpoints().map(({ containerId }) => containerId)).toEqual(["good"])
    expect(database.leases("ipsec")).toEqual(["10.42.0.9"])
    const [one, ...more] = database.setAside()
    expect(more).toEqual([])
    expect(one?.why).toContain(why)
    expect(one && [nameOf(one), addressesOf(one)]).toEqual([
      "the endpoint of bad/eth0",
      ["10.42.0.8", "fd00::8"],
    ])
    // Its key is free again.
    if (round === 1) database.begin(endpoint("bad"), [four("10.42.0.8")])
    database.close()
  }
})

test.each([
  ["address = '10.42.0.'", ["fd00::8"]],
  ["address = '010.42.0.8'", ["fd00::8"]],
  ["prefix = 33", ["10.42.0.8", "fd00::8"]],
  ["gateway = 'router'", ["10.42.0.8", "fd00::8"]],
])("an endpoint with an address whose %s is set aside", (change, readable) => {
  const database = damaged(`UPDATE address SET ${change} WHERE address = '10.42.0.8'`)
  expect(database.endpoints().map(({ containerId }) => containerId)).toEqual(["good"])
  expect(database.leases("ipsec")).toEqual(["10.42.0.9"])
  const [one] = database.setAside()
  expect(one && addressesOf(one)).toEqual(readable)
  database.close()
})

test("one that its check refuses is, too", () => {
  damaged("UPDATE endpoint SET mac = 'x' WHERE container_id = 'bad'").close()
  const database = StateDatabase.open(path, {
    bootId: "b",
    check: ({ mac }) => {
      if (mac === "x") throw new Error("no MAC")
    },
  })
  expect(database.setAside().map(({ why }) => why)).toEqual(["no MAC"])
  expect(database.endpoints()).toHaveLength(1)
  database.close()
})

test.each([
  ["INSERT INTO quarantine VALUES ('ipsec', 'nowhere', 1, 'b')", "the quarantine nowhere"],
  ["INSERT INTO network VALUES ('odd', '[')", "the network odd"],
  ["INSERT INTO meta VALUES ('cursor/ipsec', '{\"a\":\"x\"}')", "the meta cursor/ipsec"],
  ["INSERT INTO meta VALUES ('agent/bridges', '{')", "the meta agent/bridges"],
])("%s is set aside", (change, name) => {
  const database = damaged(change)
  expect(database.setAside().map(nameOf)).toEqual([name])
  expect([database.quarantined("ipsec"), database.networks(), database.cursors("ipsec")]).toEqual([
    [],
    [],
    {},
  ])
  expect(database.meta("bridges")).toBeUndefined()
  expect(database.endpoints()).toHaveLength(2)
  database.close()
})

test("nothing is set aside of a file that is as it was written", () => {
  const database = damaged("SELECT 1")
  database.putMeta("host-uuid", "not JSON")
  database.putCursors("ipsec", { "10.42.0.0/16": "10.42.0.9" })
  database.close()
  const again = StateDatabase.open(path, { bootId: "b" })
  expect(again.setAside()).toEqual([])
  again.close()
})
