/** Rows of the state database that cannot be read: the agent starts, and nobody loses an address. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { run, waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { Lab, pings } from "./lab.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1s" } })
})
afterAll(() => lab.close())

/** Restarts the agent over a database that somebody changed. */
async function damage(...statements: string[]): Promise<void> {
  await lab.stopAgent()
  const database = new DatabaseSync(join(lab.stateDir, "lariat.db"))
  database.exec("PRAGMA ignore_check_constraints = ON")
  for (const sql of statements) database.exec(sql)
  database.close()
  await lab.startAgent()
}

const problems = async () => (await lab.status()).problems.map(({ what }) => what).join("\n")

test("are set aside and told; their containers go on and are taken in", async () => {
  const ids = ["state", "names", "address", "request", "huge", "well"]
  const addresses = new Map<string, string>()
  for (const id of ids) addresses.set(id, (await attached(lab, id)).address)
  await damage(
    "UPDATE endpoint SET state = 'resting' WHERE container_id = 'state'",
    "UPDATE endpoint SET names = '{' WHERE container_id = 'names'",
    `UPDATE address SET address = '10.42.0.' WHERE address = '${addresses.get("address")}'`,
    "UPDATE endpoint SET request = '{}' WHERE container_id = 'request'",
    "UPDATE endpoint SET mtu = 9223372036854775807 WHERE container_id = 'huge'",
    "INSERT INTO quarantine VALUES ('ipsec', 'nowhere', 1, 'b')",
    "INSERT INTO network VALUES ('odd', '[')",
    "INSERT OR REPLACE INTO meta VALUES ('cursor/ipsec', '{\"10.42.0.0/16\":\"x\"}'), ('agent/bridges', '{')",
  )
  for (const id of ids) expect(await pings(id, "10.42.0.1")).toBe(true)
  const told = await problems()
  expect(told).toContain("9 rows of the state database cannot be read and were set aside")
  expect(told).toMatch(/the endpoint of state\/eth0: [^;]+: state is not one of/)
  expect((await lab.endpoints()).map(({ containerId }) => containerId).sort()).toEqual(ids.sort())
  const next = await attached(lab, "next")
  expect([...addresses.values()]).not.toContain(next.address)
  for (const id of [...ids, "next"]) await removed(lab, id)
  await expectNothingLeft(lab)
})

test("an address whose holder is not to be seen is not given out while its port is there", async () => {
  const { address, result } = await attached(lab, "hidden")
  const port = result.interfaces?.[1]?.name ?? ""
  const asked = { id: "asker", args: `IP=${address}` }
  await lab.netns("asker")
  const free = async () => ((await lab.plugin("ADD", asked)).status === 0 ? true : undefined)
  // It is not seen to be the agent's either.
  await lab.stopAgent()
  await run(["ip", "link", "set", port, "group", "default"])
  await damage(`UPDATE endpoint SET state = 'resting' WHERE container_id = 'hidden'`)
  expect(await free()).toBeUndefined()
  expect(await pings("hidden", "10.42.0.1")).toBe(true)
  await lab.deleteNetns("hidden")
  await waitFor("the address to be free", free, 30_000)
  await lab.del("asker")
  await lab.deleteNetns("asker")
  await expectNothingLeft(lab)
})
