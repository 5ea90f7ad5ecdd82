import type { Cipher } from "../core/encapsulation.ts"
import type { XfrmEvent } from "../netlink/xfrm/event.ts"
import type { PeerEncapsulation } from "./ipsec/peer_encapsulations.ts"
import type { PeerKeys } from "./ipsec/peer_keys.ts"
import type { UdpRemote } from "./ipsec/sa_pairs.ts"
import type { PeerFaults } from "./ipsec/sa_usage.ts"

/** A driver that sends under keys that the hosts agree on: it is told which, and how ESP goes. */
export interface KeyedDriver {
  readonly cipher: Cipher
  /**
   * Whether the device keeps room for a UDP header: as long as it is to, or associations need it.
   * Containers that are attached keep the MTU of their links: what is too large for the device is
   * refused with its MTU.
   */
  readonly hasUdpRoom: boolean

  /**
   * Says which keys there are with a peer. First what is received on, then what is sent on, then the
   * policy is switched in one step, and only then what is not named any more goes: no packet is
   * lost. Of a peer that is not known yet, or has no address yet, they are remembered.
   *
   * @returns whether the newest is in the kernel now; one that is lost is not
   * @throws NetlinkError
   */
  setSaPairs(hostId: string, keys: PeerKeys): boolean
  /**
   * Says by which ports a peer is reached in UDP; undefined: without. New keys are needed then,
   * unless ports alone change: what stands goes on as it was made until they are there. Until it is
   * said, what an earlier process made goes on.
   *
   * @throws NetlinkError
   */
  setEncapsulation(hostId: string, encapsulation: PeerEncapsulation | undefined): void
  /** How a known peer is reached in UDP, as told or as found; undefined: without. */
  encapsulationOf(hostId: string): PeerEncapsulation | undefined
  /** This host's UDP ports that peers' associations come in by. */
  encapsulationPorts(): Set<number>
  /** Where associations in UDP are sent to, by the number of the host, known or not yet. */
  udpRemotes(): Map<number, UdpRemote>
  /** The known peer that a reqid is of; undefined for another network's. */
  hostOf(reqid: number): string | undefined
  /** Takes in what the kernel tells; see `parseXfrmEvent`. */
  handle(event: XfrmEvent): void
  /** What the kernel lacks for a peer, and what went wrong with its associations. */
  facts(hostId: string): PeerFaults & { readonly route: boolean; readonly policy: boolean }
}
