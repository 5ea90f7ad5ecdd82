/** What the directory tells: each a small thing that happened to one host. */

import type { EndpointRecord } from "../records/endpoint_record.ts"

/** Hears what changes in the cluster. A call must not throw. */
export interface DirectoryListener {
  /** A host came, or its record, its presence or its blocks became others. */
  hostChanged(hostId: string): void
  /** A host is off the mesh: silent for longer than it may be. Its blocks are still its own. */
  hostGone(hostId: string): void
  /** A container of another host came, or became another. */
  endpointPut(network: string, hostId: string, record: EndpointRecord): void
  /** No address of it is left. */
  endpointRemoved(network: string, hostId: string, record: EndpointRecord): void
  /**
   * A verified key announcement, this host's own too; its body is for its own parser, which may
   * throw PeerRefusedError. Undefined: there is none any more.
   */
  keysAnnounced(hostId: string, body: unknown, revision: number): void
  /** A verified acknowledgement, this host's own too. */
  keysAcknowledged(hostId: string, body: unknown, revision: number): void
  /** A key announcement of a host did not hold. */
  keysRefused(hostId: string): void
  /** The store has an endpoint under this key that says it is this host's. */
  ownEndpoint(key: string): void
  /** The store's record of a block that this host holds is gone, or another host wrote over it. */
  ownBlock(network: string, block: string): void
  /** Everything up to this revision of the store has been heard. */
  caughtUp(revision: number): void
  /** The store was put back from a snapshot: revisions begin anew. */
  putBack(revision: number): void
}
