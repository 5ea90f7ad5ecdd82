import type { ManagedNetwork } from "../networks/networks.ts"
import type { BlockReport, ClusterReport, PeerReport, RotationReport } from "./report.ts"

/** A host's part in its cluster, as attach and the control socket see it. */
export interface ClusterPart {
  /**
   * Makes sure that an attach finds addresses.
   *
   * @throws LariatError `store-away`, `pool-exhausted`, `address-taken`
   */
  roomFor(network: ManagedNetwork, requested: readonly string[]): Promise<void>
  /** The configuration changed. */
  configure(): void
  /** This host's own addresses, which its identity has, are others. */
  moved(): void
  /** Compares the drivers with the kernel, and mends what differs. */
  repair(): void
  /** Makes new keys. @throws LariatError `config-invalid` without a network that has keys */
  rotate(): RotationReport
  /** How the keys stand. @throws LariatError `config-invalid` without a network that has keys */
  rotation(): RotationReport
  report(): ClusterReport
  peers(): PeerReport[]
  blocks(): BlockReport[]
  /** Ends; the data path stays. */
  stop(): Promise<void>
}
