import { expect, test } from "bun:test"
import { HealthMesh, type MeshProbe, type MeshResult } from "./health_mesh.ts"

const FINE = { alive: true, route: true, policy: true, saPair: true }
const target = (index: number) => ({
  destination: `10.42.${index}.1`,
  source: "10.42.200.1",
  fullBytes: 1446,
})

function meshOf(peers: number): HealthMesh {
  const mesh = new HealthMesh(() => 0)
  for (let index = 0; index < peers; index++) mesh.setPeer(`host${index}`, target(index), 0)
  return mesh
}

/** A round in which the probes that `passes` names are answered. */
function round(
  mesh: HealthMesh,
  nowMs: number,
  passes: (probe: MeshProbe) => boolean,
  facts = FINE,
) {
  const probes = mesh.probes()
  const results: MeshResult[] = probes.map((probe) => ({ passed: passes(probe), rttMs: 2 }))
  return mesh.observe(probes, results, () => facts, nowMs)
}

test("each peer is probed small and full, from this host's address", () => {
  expect(meshOf(2).probes()).toEqual([
    { peer: "host0", destination: "10.42.0.1", source: "10.42.200.1", packetBytes: 100 },
    { peer: "host0", destination: "10.42.0.1", source: "10.42.200.1", packetBytes: 1446 },
    { peer: "host1", destination: "10.42.1.1", source: "10.42.200.1", packetBytes: 100 },
    { peer: "host1", destination: "10.42.1.1", source: "10.42.200.1", packetBytes: 1446 },
  ])
})

test("only what changed is told, with what was before", () => {
  const mesh = meshOf(3)
  expect(round(mesh, 1, () => true).changes.map(({ peer }) => peer)).toEqual([
    "host0",
    "host1",
    "host2",
  ])
  const others = ({ peer }: MeshProbe) => peer !== "host1"
  expect(round(mesh, 2, others)).toEqual({ changes: [], repairs: [] })
  round(mesh, 3, others)
  const { changes, repairs } = round(mesh, 4, others)
  expect(changes.map(({ peer, before, after }) => [peer, before.state, after.state])).toEqual([
    ["host1", "up", "down"],
  ])
  expect(repairs).toEqual([{ peer: "host1", repair: "rotate-keys" }])
  expect(mesh.report("host1")?.sinceMs).toBe(4)
  expect(round(mesh, 5, others).repairs).toEqual([])
})

test("a cut that takes all peers down asks for few repairs", () => {
  const mesh = meshOf(200)
  round(mesh, 0, () => true)
  let asked = 0
  for (let now = 10_000; now <= 70_000; now += 10_000)
    asked += round(mesh, now, () => false).repairs.length
  expect(mesh.report("host199")?.state).toBe("down")
  // 4 at once in the third round, 40 s later two more.
  expect(asked).toBe(6)
})

test("a peer that goes while its probes are under way, and a target that moves", () => {
  const mesh = meshOf(2)
  const probes = mesh.probes()
  mesh.removePeer("host0")
  mesh.setPeer("host1", { ...target(9), fullBytes: 1400 }, 1)
  const results = probes.map(() => ({ passed: true }))
  expect(mesh.observe(probes, results, () => FINE, 2).changes.map(({ peer }) => peer)).toEqual([
    "host1",
  ])
  expect(mesh.report("host0")).toBeUndefined()
  expect(mesh.probes().map((probe) => [probe.destination, probe.packetBytes])).toEqual([
    ["10.42.9.1", 100],
    ["10.42.9.1", 1400],
  ])
  // Results that are missing say nothing.
  expect(mesh.observe(mesh.probes(), [], () => FINE, 3)).toEqual({ changes: [], repairs: [] })
})
