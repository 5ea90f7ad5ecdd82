/** What the firewall is asked for. All addresses and prefixes are text, of either family. */

import type { GuardedPort } from "./guarded_port.ts"
import type { ServiceLimits } from "./limits.ts"
import type { Tunnels } from "./tunnels.ts"

/** A network whose containers reach the world under the host's address (`hostNat`). */
export interface HostNat {
  /** For instance `10.42.0.0/16`. */
  readonly subnet: string
  /** The bridge on which the subnet is at home; what leaves by it keeps its source. */
  readonly bridge: string
}

export interface FirewallState {
  readonly hostNat: readonly HostNat[]
  /** Prefixes of managed networks: what goes there keeps its source, from wherever it comes. */
  readonly overlay: readonly string[]
  /**
   * Container addresses with the prefix length of their subnet (`ipMasq`), for instance
   * `10.42.0.2/16`: masqueraded towards everything outside that subnet. An address alone has no
   * subnet.
   */
  readonly masquerade: readonly string[]
  /**
   * Prefixes (`10.42.0.0/16`) or devices (`lariat0`): TCP connections that are forwarded from or to
   * them offer no larger segments than their path carries, for containers whose MTU is larger.
   * Default: none.
   */
  readonly clamp?: readonly string[]
  /** Ports that may send under their own addresses alone. Default: none. */
  readonly guarded?: readonly GuardedPort[]
  /** How networks are carried between hosts, and whose blocks are whose. Default: none is. */
  readonly tunnels?: Tunnels
  /** What single sources may ask of this host's services. Default: no bound. */
  readonly limits?: ServiceLimits | undefined
}
