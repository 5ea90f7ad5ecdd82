/** What a lab's host says of its keys. */
import type { PeerReport, RotationReport } from "../../src/agent/cluster/report.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { listStates } from "../../src/netlink/xfrm/state.ts"
import type { LabHost } from "./lab_host.ts"

/** Waits until a host reaches every other one, and all use the newest keys alone. */
export async function settled(host: LabHost): Promise<void> {
  await host.until<PeerReport[]>(
    "peers",
    (peers) =>
      peers.length > 0 && peers.every(({ paths }) => paths.every(({ state }) => state === "up")),
  )
  await host.until<RotationReport>("rotation", ({ settled }) => settled)
}

/** How often a host said that it makes new keys because something was lost. */
export async function keysLost(host: LabHost): Promise<number> {
  return (await host.lariat("status")).stdout.split("new keys with").length - 1
}

/** The ports that a host's associations go to and come from. */
export function portsOf(host: LabHost): { readonly out: unknown[]; readonly in: unknown[] } {
  const states = host.netns.inside(() => {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    return listStates(socket)
  })
  const own = (address: string) => address === host.v4
  const ports = (wanted: boolean) => [
    ...new Set(
      states
        .filter(({ source }) => own(source) === wanted)
        .map(({ encapsulation }) => encapsulation?.[wanted ? "destinationPort" : "sourcePort"]),
    ),
  ]
  return { out: ports(true), in: ports(false) }
}

/**
 * Counts the errors of the kernel's IPsec from now on.
 *
 * @returns says, for each host, which counters grew since then
 */
export function errorsOf(...hosts: readonly LabHost[]): () => Record<string, number>[] {
  const before = hosts.map((host) => host.xfrmStatistics())
  return () =>
    hosts.map((host, at) =>
      Object.fromEntries(
        Object.entries(host.xfrmStatistics())
          .map(([name, count]) => [name, count - (before[at]?.[name] ?? 0)] as const)
          .filter(([, by]) => by !== 0),
      ),
    )
}
