/** What a lab's host says of its keys. */
import type { PeerReport, RotationReport } from "../../src/agent/cluster/report.ts"
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
