/** What the cluster tells of itself, put together for the command line. */

import type { Directory } from "../../cluster/directory/directory.ts"
import { fingerprint } from "../../cluster/records/identity.ts"
import type { Pins } from "../../cluster/records/pins.ts"
import type { StoreHealth } from "../../cluster/store/store.ts"
import type { Network } from "../../config/network.ts"
import type { Networks } from "../networks/networks.ts"
import type { HostIdentity } from "../state/identity.ts"
import type { BlockKeeper } from "./blocks/block_keeper.ts"
import type { Overlays, PeerPath } from "./overlays/overlays.ts"
import type { PeerMonitoring } from "./probes/peer_monitoring.ts"
import type {
  BlockReport,
  ClusterReport,
  PeerPathReport,
  PeerReport,
  RotationReport,
} from "./report.ts"

/** The answer to `peers`. */
export function peerReports(
  directory: Directory,
  overlays: Overlays,
  watching: PeerMonitoring | undefined,
  pins: Pick<Pins, "get">,
): PeerReport[] {
  const paths = Map.groupBy(overlays.paths(), ({ hostId }) => hostId)
  return directory
    .hosts()
    .filter(({ record }) => record !== undefined)
    .map((host) => ({
      hostId: host.hostId,
      name: host.record?.name ?? host.hostId,
      number: host.number,
      fingerprint: fingerprintOf(pins, host.hostId),
      address: paths.get(host.hostId)?.[0]?.remote ?? host.record?.underlay[0] ?? null,
      alive: host.member,
      blocks: [...host.blocks.values()].flatMap((blocks) => [...blocks]).sort(),
      paths: (paths.get(host.hostId) ?? []).map((path) =>
        pathReport(path, host.record?.networks[path.network]?.overlay ?? [], watching),
      ),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function fingerprintOf(pins: Pick<Pins, "get">, hostId: string): string | null {
  const pin = pins.get(hostId)
  return pin === undefined ? null : fingerprint(pin.publicKey)
}

function pathReport(
  path: PeerPath,
  overlay: readonly string[],
  watching: PeerMonitoring | undefined,
): PeerPathReport {
  const health = watching?.report(path)
  const seen = health === undefined || health.state === "new" ? "unknown" : health.state
  return {
    network: path.network,
    driver: path.driver,
    // What was tried counts; before anything was, what the kernel says.
    state: seen === "unknown" && !path.ready ? "down" : seen,
    reason: reasonOf(path, health),
    since: health === undefined ? null : (watching?.dateOf(health.sinceMs) ?? null),
    mtu: health?.state === "degraded" ? (health.largestBytes ?? null) : null,
    rttMs: health?.roundTrip?.smoothedMs ?? null,
    overlay,
    txBytes: path.txBytes,
    rxBytes: path.rxBytes,
  }
}

function reasonOf(path: PeerPath, health: ReturnType<PeerMonitoring["report"]>): string | null {
  if (health?.state === "degraded") {
    const size = health.largestBytes === undefined ? "small ones" : `${health.largestBytes} bytes`
    return `packets of full size are lost, ${size} pass`
  }
  if (!path.ready) return path.reason ?? "it is not ready"
  return health?.state === "down" ? REASONS[health.reason ?? "unknown"] : null
}

const REASONS = {
  "host-gone": "the host is gone",
  "no-route": "no route leads there",
  "no-policy": "a policy is missing",
  "no-sa": "an association is missing; new keys are made",
  authentication: "packets fail authentication: keys differ; new ones are made",
  replay: "packets come twice or too late; new keys are made",
  unknown: "nothing is wrong here: the way between the hosts, or the other host",
} as const

/** Each host knows its own figures alone. */
const OF_OTHERS = { mine: false, used: null, free: null } as const

/** The answer to `blocks`. */
export function blockReports(sources: {
  readonly networks: readonly Network[]
  readonly managed: Networks | undefined
  readonly blocks: BlockKeeper
  readonly directory: Directory
  readonly host: HostIdentity
}): BlockReport[] {
  const { networks, managed, blocks, directory, host } = sources
  const all: BlockReport[] = []
  for (const { name: network } of networks) {
    const stats = managed?.get(network)?.allocator.stats() ?? []
    for (const block of blocks.held(network)) {
      const keeper = blocks.lost.holderOf(network, block)
      if (keeper !== undefined) {
        const name = directory.host(keeper)?.record?.name ?? keeper
        all.push({ ...OF_OTHERS, network, block, hostId: keeper, host: name, state: "held" })
        continue
      }
      const figures = stats.find((one) => one.block === block)
      all.push({
        network,
        block,
        hostId: host.uuid,
        host: host.name,
        mine: true,
        state: "held",
        used: figures?.used ?? null,
        free: figures?.free ?? null,
      })
    }
    for (const other of directory.hosts()) {
      for (const block of other.blocksOf(network)) {
        all.push({
          ...OF_OTHERS,
          network,
          block,
          hostId: other.hostId,
          host: other.record?.name ?? other.hostId,
          state: other.member ? "held" : "gone",
        })
      }
    }
  }
  return all.sort((a, b) => (a.network + a.block < b.network + b.block ? -1 : 1))
}

/** The part of `status`. */
export function clusterReport(sources: {
  readonly name: string
  readonly number: number | undefined
  readonly health: StoreHealth
  readonly peers: readonly PeerReport[]
  readonly rotation: RotationReport | undefined
}): ClusterReport {
  const { name, number, health, peers, rotation } = sources
  const states = peers.flatMap(({ paths }) => paths.map(({ state }) => state))
  const count = (state: string) => states.filter((one) => one === state).length
  return {
    name,
    hostNumber: number ?? null,
    store: {
      kind: "etcd",
      endpoint: health.endpoint,
      reachable: health.reachable,
      reason: health.reason ?? null,
    },
    hosts: peers.filter(({ alive }) => alive).length + 1,
    peers: { up: count("up"), degraded: count("degraded"), down: count("down") },
    rotation: rotation ?? null,
  }
}
