import type { PeerPathReport, PeerReport } from "../agent/cluster/report.ts"
import { askAgent } from "../agent/control/control_client.ts"
import { table } from "../table.ts"
import { bytes } from "./bytes.ts"
import { show } from "./show.ts"

/** `lariat peers`: the other hosts, and how each network reaches them. */
export function peers(options: { readonly json?: boolean }): number {
  return show(askAgent("peers") as PeerReport[], options, renderPeers)
}

/** The list for people. */
export function renderPeers(list: readonly PeerReport[]): string {
  if (list.length === 0) return "no other hosts"
  const rows = list.flatMap((peer) => {
    const host = [peer.name, peer.address ?? "-", peer.alive ? "yes" : "no"]
    if (peer.paths.length === 0) return [[...host, "-", "-", "-", "-", "-", "-", ""]]
    return peer.paths.map((path, index) => [
      ...(index === 0 ? host : ["", "", ""]),
      `${path.network} (${path.driver})`,
      stateText(path),
      path.rttMs === null ? "-" : `${path.rttMs.toFixed(1)} ms`,
      bytes(path.txBytes),
      bytes(path.rxBytes),
      peer.blocks.length === 0 ? "-" : peer.blocks.join(","),
      path.reason ?? "",
    ])
  })
  const head = ["HOST", "ADDRESS", "ALIVE", "NETWORK", "STATE", "RTT", "SENT", "RECEIVED", "BLOCKS"]
  return table([head, ...rows], { right: [5, 6, 7] })
}

function stateText({ state, mtu }: PeerPathReport): string {
  return mtu === null ? state : `${state}, MTU ${mtu}`
}
