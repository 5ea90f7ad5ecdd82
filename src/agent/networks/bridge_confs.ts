import { BRIDGE_TYPES, type Netconf } from "../../config/netconf/netconf.ts"
import { parseNetconf } from "../../config/netconf/parse.ts"
import type { Network } from "../../config/network.ts"

/** A CNI configuration of the YAML that makes ports of a bridge. */
export interface BridgeConf {
  /** The name of its file in `cni_config`. */
  readonly file: string
  readonly conf: Netconf
}

/** What was read of each network: a start asks for every endpoint, the regular check for all. */
const known = new WeakMap<object, readonly BridgeConf[]>()

/** The CNI configurations of a network that make ports of a bridge, those that can be read. */
export function bridgeConfs(network: Pick<Network, "cni"> | undefined): readonly BridgeConf[] {
  if (network === undefined) return []
  const confs = known.get(network) ?? readBridgeConfs(network)
  known.set(network, confs)
  return confs
}

function readBridgeConfs({ cni }: Pick<Network, "cni">): readonly BridgeConf[] {
  return cni.flatMap(({ file, conf }) => {
    const parsed = parseNetconf({ cniVersion: "1.0.0", ...conf }).conf
    return parsed !== undefined && BRIDGE_TYPES.includes(parsed.type)
      ? [{ file, conf: parsed }]
      : []
  })
}

/** The one of that CNI name, or the network's only one. */
export function bridgeConfFor(
  network: Pick<Network, "cni"> | undefined,
  cniName: string,
): Netconf | undefined {
  const all = bridgeConfs(network)
  const named = all.find(({ conf }) => conf.name === cniName)
  return (named ?? (all.length === 1 ? all[0] : undefined))?.conf
}
