/** Which networks are those of Windows hosts: Rancher's catalogue has one file for all hosts. */

/** Network drivers of Docker on Windows, which are types of its Host Networking Service. */
const KINDS: ReadonlySet<string> = new Set(["nat", "transparent", "l2bridge", "l2tunnel", "ics"])

/** CNI plugins that exist for Windows alone: of containernetworking-plugins, and Microsoft's. */
const PLUGINS: ReadonlySet<string> = new Set(["win-bridge", "win-overlay", "sdnbridge", "nat"])

/** What a `network_driver` says that tells for which hosts it is. */
export interface WindowsSigns {
  readonly name: string
  /** `default_network.kind`, whatever it is. */
  readonly kind: unknown
  readonly hasSubnets: boolean
  /** The types of the plugins in `cni_config`. */
  readonly plugins: readonly unknown[]
}

/**
 * What says that a network is one of Windows hosts; undefined for one of Linux hosts. Where nothing
 * else is said, neither kind nor subnets nor plugins, the name of a network that Docker on Windows
 * has of its own does.
 */
export function windowsSign(signs: WindowsSigns): string | undefined {
  const { name, kind, hasSubnets, plugins } = signs
  const plugin = plugins.find((type) => has(PLUGINS, type))
  if (plugin !== undefined) return `its CNI plugin is ${plugin}`
  if (plugins.length > 0) return undefined
  if (has(KINDS, kind)) return `its kind is ${kind}`
  const saysKind = kind !== undefined && kind !== null && kind !== ""
  if (saysKind || hasSubnets || !has(KINDS, name)) return undefined
  return "it has the name of a network of Docker on Windows, and neither subnets nor cni_config"
}

function has(words: ReadonlySet<string>, value: unknown): boolean {
  return typeof value === "string" && words.has(value.toLowerCase())
}
