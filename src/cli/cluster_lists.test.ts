import { expect, test } from "bun:test"
import type { PeerReport } from "../agent/cluster/report.ts"
import { renderBlocks } from "./blocks.ts"
import { renderPeers } from "./peers.ts"
import { renderRotation } from "./rotate.ts"

const path = {
  network: "ipsec",
  driver: "ipsec",
  state: "up",
  reason: null,
  since: null,
  mtu: null,
  rttMs: 1.24,
  overlay: ["10.42.1.254"],
  txBytes: 1500,
  rxBytes: 0,
} as const

const peer: PeerReport = {
  hostId: "id",
  name: "edge-2",
  number: 2,
  fingerprint: "SHA256:x",
  address: "192.0.2.2",
  alive: true,
  blocks: ["10.42.1.0/24"],
  paths: [path],
}

test("a peer is one line for each network, with what is wrong at its end", () => {
  const sick = {
    ...path,
    network: "lan",
    state: "degraded",
    mtu: 1300,
    reason: "packets of 1446 bytes are lost",
  } as const
  const [head, first, second] = renderPeers([{ ...peer, paths: [path, sick] }]).split("\n")
  expect(head).toMatch(/^HOST +ADDRESS +ALIVE +NETWORK +STATE/)
  expect(first).toMatch(/^edge-2 +192\.0\.2\.2 +yes +ipsec \(ipsec\) +up +1\.2 ms +1\.5 kB +0 B/)
  expect(second).toMatch(/^ +lan \(ipsec\) +degraded, MTU 1300 .* packets of 1446 bytes are lost$/)
})

test("a peer without a network in common is still listed", () => {
  expect(renderPeers([{ ...peer, paths: [], alive: false, address: null }])).toContain("edge-2")
  expect(renderPeers([])).toBe("no other hosts")
})

test("blocks name their host, and this one's figures", () => {
  const mine = {
    network: "ipsec",
    block: "10.42.0.0/24",
    hostId: "a",
    host: "edge-1",
    mine: true,
    state: "held",
    used: 3,
    free: 250,
  } as const
  const theirs = { ...mine, block: "10.42.1.0/24", host: "edge-2", mine: false, used: null }
  const text = renderBlocks([mine, { ...theirs, free: null, state: "gone" }])
  expect(text).toMatch(/10\.42\.0\.0\/24 +edge-1 \(this host\) +held +3 +250/)
  expect(text).toMatch(/10\.42\.1\.0\/24 +edge-2 +gone +- +-/)
  expect(renderBlocks([])).toContain("one host alone needs none")
})

test("a rotation says who is waited for", () => {
  const report = { generation: 4, settled: false, waitingFor: ["edge-2"] }
  expect(renderRotation(report)).toContain("not acknowledged yet by edge-2")
  expect(renderRotation({ ...report, waitingFor: [] })).toContain("old keys are still kept")
  expect(renderRotation({ ...report, settled: true, waitingFor: [] })).toContain(
    "generation 4 of the keys is in use everywhere",
  )
})
