import { expect, test } from "bun:test"
import { StateDatabase } from "../state/state_database.ts"
import { BridgeClaims } from "./bridge_claims.ts"

test("what was done to bridges adds up, and is remembered until it is undone", () => {
  const database = StateDatabase.open(":memory:", { bootId: "b" })
  const claims = new BridgeClaims(database)
  claims.add("none", { made: false, addresses: [] })
  claims.add("br0", { made: true, addresses: ["10.42.0.1/16"] })
  claims.add("br0", { made: false, addresses: ["10.43.0.1/16"] })
  claims.add("foreign", { made: false, addresses: ["10.44.0.1/16"] })
  const both = ["10.42.0.1/16", "10.43.0.1/16"]
  expect(new BridgeClaims(database).all()).toEqual([
    ["br0", { made: true, addresses: both }],
    ["foreign", { made: false, addresses: ["10.44.0.1/16"] }],
  ])
  // Somebody deleted it: what it had went with it.
  claims.add("br0", { made: true, addresses: ["10.42.0.1/16"] })
  claims.put("foreign", { made: false, addresses: [] })
  expect(new BridgeClaims(database).all()).toEqual([
    ["br0", { made: true, addresses: ["10.42.0.1/16"] }],
  ])
  database.close()
})
