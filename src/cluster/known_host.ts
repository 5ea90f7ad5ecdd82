import type { EndpointRecord } from "./endpoint_record.ts"
import type { HostRecord } from "./host_record.ts"

/** What is known of one other host. */
export class KnownHost {
  readonly hostId: string
  /** Its place among all hosts, pinned. */
  readonly number: number
  record: HostRecord | undefined
  /** Whether its presence stands in the store. */
  present = false
  /** Since when it does not, monotonic milliseconds; undefined while it does. */
  absentSince: number | undefined
  /** Whether it is on the mesh: it was present, and is not silent for too long. */
  member = false
  /** By network. */
  readonly blocks = new Map<string, Set<string>>()
  /** By network and address. */
  readonly endpoints = new Map<string, EndpointRecord>()

  constructor(hostId: string, number: number) {
    this.hostId = hostId
    this.number = number
  }

  blocksOf(network: string): readonly string[] {
    return [...(this.blocks.get(network) ?? [])].sort()
  }
}
