import type { FormerMember } from "../../../cluster/directory/directory.ts"
import type { KnownHost } from "../../../cluster/directory/known_host.ts"
import type { ClusterState } from "./cluster_state.ts"

/**
 * Which hosts are on the mesh, for the next process: what the kernel has for one whose presence has
 * ended a moment ago is to stay, also where this process ends at that time. After a reboot the
 * kernel has nothing.
 */
export class MemberState {
  readonly #memory: ClusterState
  readonly #bootId: string
  /** As the former process left it. */
  readonly #former: ReadonlyMap<string, number | null>
  #saved = ""

  constructor(memory: ClusterState, bootId: string) {
    this.#memory = memory
    this.#bootId = bootId
    const { members } = memory
    this.#former = new Map(members?.bootId === bootId ? Object.entries(members.hosts) : [])
  }

  /** How a host stood when the former process ended; undefined where it was not on the mesh. */
  former(hostId: string): FormerMember | undefined {
    const absentSince = this.#former.get(hostId)
    return absentSince === undefined ? undefined : { absentSince: absentSince ?? undefined }
  }

  /** Writes down who is on the mesh now, where that is another than before. */
  save(hosts: readonly KnownHost[]): void {
    const members = hosts
      .filter(({ member }) => member)
      .map(({ hostId, absentSince }) => [hostId, absentSince ?? null] as const)
    const text = JSON.stringify(members)
    if (text === this.#saved) return
    this.#saved = text
    this.#memory.members = { bootId: this.#bootId, hosts: Object.fromEntries(members) }
  }
}
