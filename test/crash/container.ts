/** A container as its runtime sees it: what it was told, and what it can not know. */
import type { Attachment } from "../netns/control_call.ts"
import type { PluginJson } from "../netns/lab.ts"

/**
 * What the runtime knows of the attachment. `unknown`: the agent died during the call; either may
 * be true. `orphaned`: the container's namespace is gone and nobody has called DEL.
 */
export type Belief =
  | { readonly is: "absent" | "unknown" | "orphaned" }
  | { readonly is: "present"; readonly result: PluginJson }

export class Container implements Attachment {
  readonly id: string
  readonly netns: string
  readonly ifname = "eth0"
  /** The network configuration that it is attached with. */
  readonly conf: Readonly<Record<string, unknown>>
  belief: Belief = { is: "absent" }

  constructor(id: string, conf: Readonly<Record<string, unknown>>) {
    this.id = id
    this.netns = `/run/netns/${id}`
    this.conf = conf
  }

  /** Addresses with prefix length, as the runtime was told; empty unless it is attached. */
  get addresses(): string[] {
    if (this.belief.is !== "present") return []
    return (this.belief.result.ips ?? []).map(({ address }) => address).sort()
  }
}
