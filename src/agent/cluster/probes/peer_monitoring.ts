/** What keeps an eye on the overlay: probes to every peer, and what the kernel tells of ESP. */

import type { Directory, DirectoryPeer } from "../../../cluster/directory/directory.ts"
import type { HealthReport } from "../../../cluster/health/peer_health.ts"
import type { Network } from "../../../config/network.ts"
import { familyOf } from "../../../core/address.ts"
import { overheadOf } from "../../../core/overhead.ts"
import { messageOf } from "../../../errors.ts"
import { NETLINK_XFRM } from "../../../netlink/constants.ts"
import { Monitor } from "../../../netlink/monitor.ts"
import {
  XFRMNLGRP_EXPIRE,
  XFRMNLGRP_MAPPING,
  XFRMNLGRP_SA,
} from "../../../netlink/xfrm/constants.ts"
import { parseXfrmEvent, type XfrmEvent } from "../../../netlink/xfrm/event.ts"
import { monotonicMs } from "../../../sys/clock.ts"
import { EchoProber } from "../../../sys/probes/echo.ts"
import type { AgentContext } from "../../context.ts"
import { outerFamily } from "../../state/identity.ts"
import type { Overlays } from "../overlays/overlays.ts"
import { PeerWatch, type WatchedPath } from "./peer_watch.ts"

/** How long two hosts may take to agree on their first keys, milliseconds. */
const MEETING_MS = 15_000

/** What watching works with. */
export interface PeerMonitoringDependencies {
  readonly context: AgentContext
  readonly overlays: Overlays
  readonly directory: Directory
  readonly networks: () => readonly Network[]
  /** This host's own addresses on a network. */
  readonly selfOverlay: (network: string) => readonly string[]
  /** Makes new keys. */
  readonly rotate: () => void
  /** A peer's ESP in UDP comes from another place. */
  readonly moved: (event: XfrmEvent & { readonly kind: "moved" }) => void
}

/** Both, as one thing that is stopped once. */
export interface PeerMonitoring {
  /** Probes a peer from now on, or what changed of it. */
  set(network: string, peer: DirectoryPeer): void
  delete(path: WatchedPath): void
  report(path: WatchedPath): HealthReport | undefined
  /** A monotonic time as ISO 8601. */
  dateOf(monotonic: number): string
  stop(): Promise<void>
}

/** Starts both; where one cannot be, the other goes on and `status` says so. */
export function startPeerMonitoring(dependencies: PeerMonitoringDependencies): PeerMonitoring {
  const { context, overlays, directory } = dependencies
  const monitor = listenToKernel(dependencies)
  const nameOf = (hostId: string) => directory.host(hostId)?.record?.name ?? hostId
  /** When each path was first heard of. */
  const since = new Map<string, number>()
  const watch = new PeerWatch({
    prober: EchoProber.open(),
    clock: monotonicMs,
    facts: ({ network, hostId }) => {
      const keyed = overlays.get(network)?.driver.keyed
      const alive = directory.host(hostId)?.member
      // Hosts that have just met agree on keys first: nothing of it is missing yet.
      const met = since.get(`${network} ${hostId}`) ?? 0
      if (keyed === undefined || monotonicMs() - met < MEETING_MS) return { alive }
      return { ...keyed.facts(hostId), alive }
    },
    repair: ({ network, hostId }, repair) => {
      if (repair === "none") return
      // Drivers without keys of the ring have nothing else that could be made anew.
      const keyed = overlays.get(network)?.driver.keyed
      const rotates = repair === "rotate-keys" && keyed !== undefined
      const what = rotates ? "new keys" : "policies and routes put back"
      context.health.repaired(`network ${network}: ${what}, since ${nameOf(hostId)} did not answer`)
      if (rotates) dependencies.rotate()
      else overlays.repair(network)
    },
    onChange: ({ network, hostId }, { before, after }) => {
      const mtu =
        after.state === "degraded" ? `, largest packet ${after.largestBytes ?? "unknown"}` : ""
      const reason = after.reason === undefined ? "" : ` (${after.reason})`
      const text = {
        name: nameOf(hostId),
        network,
        before: before.state,
        after: after.state + reason + mtu,
      }
      context.log.info("network {network}: {name} was {before}, is {after}", text)
    },
    onFailure: (error) =>
      context.log.info("peers cannot be probed: {why}", { why: messageOf(error) }),
  })
  watch.start()
  return {
    set(network, peer) {
      const fullBytes = fullSize(dependencies, network)
      const [destination] = peer.overlay
      if (destination === undefined || fullBytes === undefined) return
      const source = dependencies
        .selfOverlay(network)
        .find((address) => familyOf(address) === familyOf(destination))
      if (source === undefined) return
      const key = `${network} ${peer.hostId}`
      if (!since.has(key)) since.set(key, monotonicMs())
      watch.set({ network, hostId: peer.hostId }, { destination, source, fullBytes })
    },
    delete(path) {
      since.delete(`${path.network} ${path.hostId}`)
      watch.delete(path)
    },
    report: (path) => watch.report(path),
    dateOf: (monotonic) => new Date(Date.now() - (monotonicMs() - monotonic)).toISOString(),
    async stop() {
      watch.stop()
      await monitor.stop()
    },
  }
}

/** The largest packet that the network carries, bytes. */
function fullSize(
  { context, networks, overlays }: PeerMonitoringDependencies,
  name: string,
): number | undefined {
  const network = networks().find((one) => one.name === name)
  if (network === undefined) return undefined
  const keyed = overlays.get(name)?.driver.keyed
  const outer = context.underlay.mtu
  const family = outerFamily(context.host.ip)
  if (keyed === undefined) return overheadOf(network.driver, { outer, family }).mtu
  const { cipher, hasUdpRoom: udp } = keyed
  return overheadOf("ipsec", { outer, family, cipher, udp }).mtu
}

function listenToKernel({ context, overlays, moved }: PeerMonitoringDependencies): Monitor {
  const monitor = new Monitor()
  const drivers = () => overlays.all().flatMap(({ driver }) => driver.keyed ?? [])
  const failed = (error: unknown) =>
    context.log.info("associations are not watched: {why}", { why: messageOf(error) })
  monitor
    .start(
      {
        groups: [XFRMNLGRP_SA, XFRMNLGRP_EXPIRE, XFRMNLGRP_MAPPING],
        protocol: NETLINK_XFRM,
        onFailure: failed,
      },
      (messages) => {
        for (const message of messages) {
          try {
            const event = parseXfrmEvent(message)
            if (event?.kind === "moved") moved(event)
            else if (event !== undefined) for (const driver of drivers()) driver.handle(event)
          } catch (error) {
            failed(error)
          }
        }
      },
      () => {
        for (const driver of drivers()) driver.handle({ kind: "flushed" })
      },
    )
    // A kernel without XFRM has no associations either.
    .catch(failed)
  return monitor
}
