import { expect, test } from "bun:test"
import { defaultClusterSettings } from "../../config/cluster_settings.ts"
import type { PeerReport } from "./report.ts"
import { clusterReport } from "./reports.ts"
import { openStore } from "./store_connection.ts"

function peer(alive: boolean, ...states: PeerReport["paths"][number]["state"][]): PeerReport {
  return {
    hostId: "h",
    name: "edge-2",
    number: 2,
    fingerprint: null,
    address: null,
    alive,
    blocks: [],
    paths: states.map((state) => ({
      network: "n",
      driver: "ipsec",
      state,
      reason: null,
      since: null,
      mtu: null,
      rttMs: null,
      overlay: [],
      txBytes: 0,
      rxBytes: 0,
    })),
  }
}

test("paths are counted by their state, hosts by whether they are there, this one too", () => {
  const report = clusterReport({
    name: "edge",
    number: undefined,
    health: { reachable: false, endpoint: "https://e:2379", reason: "refused" },
    peers: [peer(true, "up", "degraded"), peer(true, "up"), peer(false, "down"), peer(true)],
    rotation: undefined,
  })
  expect(report).toEqual({
    name: "edge",
    hostNumber: null,
    store: { kind: "etcd", endpoint: "https://e:2379", reachable: false, reason: "refused" },
    hosts: 4,
    peers: { up: 2, degraded: 1, down: 1 },
    rotation: null,
  })
})

test("a store is refused for files that cannot be used, before anything is asked of it", () => {
  const open = (more: object) => () =>
    openStore("http://192.0.2.1:2379", { ...defaultClusterSettings(), ...more }, () => {})
  expect(open({ storeUser: "u" })).toThrow("no storePasswordFile is set")
  expect(open({ storeUser: "u", storePasswordFile: "/nowhere" })).toThrow("there is no file")
  expect(open({ storeCa: "/nowhere" })).toThrow("Cannot read the certificate /nowhere")
  expect(open({ storeKey: "/nowhere" })).toThrow("there is no file /nowhere")
})
