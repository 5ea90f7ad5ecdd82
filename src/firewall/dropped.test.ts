import { expect, test } from "bun:test"
import { droppedBy } from "./dropped.ts"

test("rules of one name are counted together, those of others for nothing", () => {
  const expressions = [{ kind: "counter", packets: 5n, bytes: 0n }] as const
  const rules = [
    { chain: "queries", comment: "queriesPerSecond", expressions },
    { chain: "inward", comment: "tunnelsOfContainers", expressions },
    { chain: "outward", comment: "tunnelsOfContainers", expressions },
    { chain: "postrouting", comment: "hostNat", expressions },
    { chain: "postrouting", comment: "constructor", expressions },
    { chain: "postrouting", expressions },
  ]
  expect(droppedBy(rules)).toEqual({
    connections: 0,
    connectionsInAll: 0,
    connectionsPerSecond: 0,
    bytesPerSecond: 0,
    queriesPerSecond: 5,
    tunnelsOfContainers: 10,
    pastTheBridge: 0,
    foreignTunnels: 0,
    foreignSources: 0,
  })
})
