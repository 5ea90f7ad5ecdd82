import { expect, test } from "bun:test"
import type { ClusterReport } from "../agent/cluster/report.ts"
import type { StatusReport } from "../agent/report.ts"
import { renderStatus } from "./status.ts"

const report: StatusReport = {
  agent: {
    version: "1.2.3",
    build: "abc",
    runtime: "bun 1",
    pid: 7,
    uptimeSeconds: 7300,
    stateDir: "/s",
    rssBytes: 45 * 1_048_576,
  },
  host: { name: "edge-1", ip: "203.0.113.2", uuid: "u" },
  networks: [
    {
      name: "ipsec",
      driver: "ipsec",
      cniNames: ["ipsec"],
      source: "config",
      subnets: [
        {
          cidr: "10.42.0.0/16",
          gateway: "10.42.0.1",
          size: 65_000,
          used: 3,
          quarantined: 1,
          free: 64_996,
        },
      ],
    },
  ],
  foreign: [],
  endpoints: { attached: 3, attaching: 0, detaching: 0 },
  calls: [],
  dns: null,
  metadata: { listen: "169.254.169.250:80" },
  limits: [],
  antiSpoofing: { ports: 2, dropped: { "MAC address": 0, "IPv4 source": 0 } },
  guards: [],
  cluster: null,
  problems: [],
  repairs: [],
}

test("a healthy host reads at a glance", () => {
  const text = renderStatus(report)
  expect(text).toContain("lariat 1.2.3 (bun 1), pid 7, up 2 h, 45 MB")
  expect(text).toContain("ipsec    ipsec   10.42.0.0/16  10.42.0.1     3            1  64996")
  expect(text).toContain("nothing is wrong")
  expect(text).not.toContain("calls:")
})

test("calls are told with their times", () => {
  const calls = [
    { command: "ADD", count: 12, medianMs: 1.84, p90Ms: 2.5 },
    { command: "DEL", count: 9, medianMs: 1, p90Ms: 3 },
  ]
  const line =
    "calls: 12 ADD (1.8 ms, nine of ten within 2.5 ms), 9 DEL (1.0 ms, nine of ten within"
  expect(renderStatus({ ...report, calls })).toContain(line)
})

test("DNS is told in one line", () => {
  const dns = {
    ...{ listen: "169.254.169.250:53", listening: true, names: 7, queries: 840, recursed: 40 },
    ...{ cached: 90, failed: 2, dropped: 5, servers: ["192.0.2.53", "192.0.2.54"] },
  }
  const lineOf = (more: object) =>
    renderStatus({ ...report, dns: { ...dns, ...more } })
      .split("\n")
      .find((line) => line.startsWith("dns:"))
  const start = "dns: 7 names, 840 queries, 90 answered from cache, 2 failed;"
  expect(lineOf({})).toBe(`${start} upstream 192.0.2.53, 192.0.2.54`)
  expect(lineOf({ servers: [] })).toBe(`${start} no upstream`)
  expect(lineOf({ queries: 1 })).toContain(", 1 query,")
  expect(lineOf({ listening: false })).toBe("dns: not served")
  expect(renderStatus(report)).not.toContain("dns:")
})

test("forged frames are told by what was wrong", () => {
  const antiSpoofing = { ports: 1, dropped: { "MAC address": 0, "IPv4 source": 3, redirect: 1 } }
  const line = "forged frames dropped: 3 by IPv4 source, 1 by redirect\n"
  expect(renderStatus({ ...report, antiSpoofing })).toContain(line)
  expect(renderStatus(report)).not.toContain("forged")
})

test("what was kept out is told by what it was", () => {
  const guards = [
    { name: "tunnelsOfContainers", dropped: 1 },
    { name: "foreignTunnels", dropped: 0 },
    { name: "foreignSources", dropped: 3 },
  ]
  expect(renderStatus({ ...report, guards })).toContain(
    "kept out: 1 packet of tunnelsOfContainers, 3 packets of foreignSources\n",
  )
})

test("what limits dropped is told by limit", () => {
  const limits = [
    { name: "connections", limit: 256, dropped: 1 },
    { name: "connectionsPerSecond", limit: 1000, dropped: 0 },
    { name: "queriesPerSecond", limit: 50, dropped: 41 },
  ]
  const line = "dropped: 1 packet over connections 256, 41 packets over queriesPerSecond 50\n"
  expect(renderStatus({ ...report, limits })).toContain(line)
  expect(renderStatus(report)).not.toContain("dropped:")
})

test("problems come with what to do, repairs with what was done", () => {
  const text = renderStatus({
    ...report,
    networks: [],
    problems: [{ severity: "error", what: "no nf_tables", hint: "load the module" }],
    repairs: [{ at: "2026-01-01T00:00:00Z", what: "put lrtx back on docker0" }],
  })
  expect(text).toContain("no networks: give the agent")
  expect(text).toContain("error: no nf_tables\n  load the module")
  expect(text).toContain("mended 2026-01-01T00:00:00Z: put lrtx back on docker0")
  expect(text).not.toContain("nothing is wrong")
})

test("a host of a cluster says how the store, the peers and the keys are", () => {
  const cluster: ClusterReport = {
    name: "edge",
    hostNumber: 7,
    store: { kind: "etcd", endpoint: "https://e:2379", reachable: true, reason: null },
    hosts: 3,
    peers: { up: 1, degraded: 1, down: 0 },
    rotation: { generation: 4, settled: false, waitingFor: ["edge-2"] },
  }
  const text = renderStatus({ ...report, cluster })
  expect(text).toContain("cluster edge: 3 hosts, peers 1 up, 1 degraded, 0 down")
  expect(text).toContain("etcd at https://e:2379 answers")
  expect(text).toContain("keys of generation 4 on their way, edge-2 to follow")
  const away = { ...cluster.store, reachable: false, reason: "connection refused" }
  const alone = renderStatus({ ...report, cluster: { ...cluster, store: away, rotation: null } })
  expect(alone).toContain("etcd at https://e:2379 does not answer: connection refused")
  expect(alone).not.toContain("keys of generation")
})

test("a network of other hosts is named, and nothing is wrong by it", () => {
  const foreign = [{ name: "nat", why: "is for Windows hosts: its kind is nat" }]
  const text = renderStatus({ ...report, foreign })
  expect(text).toContain("not on this host: nat is for Windows hosts: its kind is nat")
  expect(text).toContain("nothing is wrong")
})
