import type { Logger } from "@logtape/logtape"
import type { AgentSettings } from "../config/network.ts"
import type { Kernel } from "../endpoint/kernel.ts"
import type { Netns } from "../sys/netns/netns.ts"
import type { ClusterPart } from "./cluster/cluster_part.ts"
import type { Health } from "./health.ts"
import type { AheadProbe } from "./networks/ahead_probe.ts"
import type { Bridges } from "./networks/bridges.ts"
import type { EndpointIndex } from "./networks/endpoint_index.ts"
import type { FirewallKeeper } from "./networks/firewall_keeper.ts"
import type { Networks } from "./networks/networks.ts"
import type { Underlay } from "./networks/underlay.ts"
import type { Unrecorded } from "./networks/unrecorded.ts"
import type { HostDns } from "./services/dns_server.ts"
import type { MetadataFeed } from "./services/metadata_feed.ts"
import type { WatchedHost } from "./state/identity.ts"
import type { StateDatabase } from "./state/state_database.ts"
import type { Timings } from "./timings.ts"

/** What the agent's operations work with; made once by the agent, replaced in tests. */
export interface AgentContext {
  readonly settings: AgentSettings
  readonly host: WatchedHost
  readonly bootId: string
  readonly health: Health
  readonly stateDatabase: StateDatabase
  readonly index: EndpointIndex
  readonly unrecorded: Unrecorded
  readonly kernel: Kernel
  readonly bridges: Bridges
  readonly ahead: AheadProbe
  readonly firewall: FirewallKeeper
  readonly networks: Networks
  readonly hostNetns: Netns
  /** Where containers ask metadata and DNS. */
  readonly serviceAddresses: readonly string[]
  readonly log: Logger
  readonly random: (length: number) => Uint8Array
  readonly timings: Timings
  readonly underlay: Underlay
  readonly metadata: MetadataFeed
  readonly dns: HostDns
  /** Undefined for a host alone. */
  readonly cluster: ClusterPart | undefined
}
