/** The policies of one network in the kernel: its part of the SPD (RFC 4301 §4.4.1). */

import type { NetlinkSocket } from "../../netlink/socket.ts"
import {
  deletePolicy,
  listPolicies,
  type Policy,
  replacePolicy,
} from "../../netlink/xfrm/policy.ts"
import { KernelTable } from "../kernel_table.ts"
import {
  basePolicies,
  isOfNetwork,
  type PeerTunnel,
  peerPolicies,
  policyKey,
  samePolicy,
} from "./policies.ts"

/** What of a network's policies is the same for all peers. */
export interface PolicyDatabaseOptions {
  /** The network's number. */
  readonly network: number
  readonly subnets: readonly string[]
  /** Of the XFRM interface; undefined where there is none. */
  readonly ifId: number | undefined
  /** Whether a prefix is of the network. */
  readonly contains: (prefix: string) => boolean
}

/** The owner of the policies that stand before any peer does; no host has its id. */
const BASE = " base"

export class PolicyDatabase {
  readonly #options: PolicyDatabaseOptions
  /** Those of an earlier instance are known by their marks. */
  readonly table: KernelTable<Policy>
  /** By reqid. */
  readonly #foundSpis = new Map<number, number>()

  constructor(socket: Pick<NetlinkSocket, "tryAll" | "dump">, options: PolicyDatabaseOptions) {
    this.#options = options
    this.table = new KernelTable<Policy>(socket, {
      what: "policy",
      key: policyKey,
      describe: ({ direction, source, destination }) => `${direction} ${source} to ${destination}`,
      same: samePolicy,
      add: replacePolicy,
      remove: deletePolicy,
      list: () => this.#list(socket),
    })
  }

  /** The SPI that a peer's policies sent on when they were read last. */
  foundSpi(reqid: number): number | undefined {
    return this.#foundSpis.get(reqid)
  }

  /** It is of no use any more. */
  forgetSpi(reqid: number): void {
    this.#foundSpis.delete(reqid)
  }

  /** Says what stands before any peer does. @param own prefixes that are on this host */
  wantBase(own: readonly string[]): void {
    const { subnets, ifId } = this.#options
    this.table.desired(BASE, basePolicies(subnets, own, ifId))
  }

  /** Says what a peer needs; undefined: nothing. */
  desired(hostId: string, tunnel: PeerTunnel | undefined): void {
    const { subnets, ifId } = this.#options
    this.table.desired(hostId, tunnel === undefined ? [] : peerPolicies(tunnel, subnets, ifId))
  }

  #list(socket: Pick<NetlinkSocket, "dump">): Policy[] {
    const { network, ifId, contains } = this.#options
    const found = listPolicies(socket).filter((policy) =>
      isOfNetwork(policy, network, ifId, contains),
    )
    this.#foundSpis.clear()
    for (const { direction, action } of found) {
      if (direction !== "out" || typeof action === "string") continue
      this.#foundSpis.set(action.reqid, action.spi)
    }
    return found
  }
}
