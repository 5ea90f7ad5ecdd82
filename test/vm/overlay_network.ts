/** The network of the lab's containers, as YAML for agents and as configuration for the plugin. */
import type { DriverKind } from "../../src/config/network.ts"
import type { Conf } from "../netns/lab.ts"

/** What a lab's network is like. */
export interface OverlayOptions {
  readonly driver: DriverKind
  /** Default `mesh`. */
  readonly name?: string
  /** With prefix length. Default one of each family. */
  readonly subnets?: readonly string[]
  /** Default `mesh0`. */
  readonly bridge?: string
  /** More keys of `network_driver`: cipher, udp_encapsulation, port, vni, block_size. */
  readonly driverKeys?: Readonly<Record<string, string | number>>
  /** More keys of the plugin's configuration: mtu, linkMTUOverhead. */
  readonly confKeys?: Readonly<Record<string, unknown>>
}

export const OVERLAY_SUBNETS: readonly string[] = ["10.42.0.0/16", "fd00:42::/64"]

/** The configuration that containers are attached with. */
export function overlayConf(options: OverlayOptions): Conf {
  const { name = "mesh", subnets = OVERLAY_SUBNETS, bridge = "mesh0" } = options
  return {
    cniVersion: "1.1.0",
    name,
    type: "rancher-bridge",
    bridge,
    bridgeSubnet: subnets,
    isDefaultGateway: true,
    hostNat: true,
    ...options.confKeys,
    ipam: { type: "rancher-cni-ipam" },
  }
}

/** The file that agents are started with. JSON is YAML. */
export function overlayYaml(options: OverlayOptions): string {
  const { name = "mesh", subnets = OVERLAY_SUBNETS } = options
  const document = {
    [name]: {
      network_driver: {
        name,
        driver: options.driver,
        ...options.driverKeys,
        default_network: {
          name,
          subnets: subnets.map((network_address) => ({ network_address })),
        },
        cni_config: { "10-mesh.conf": overlayConf(options) },
      },
    },
  }
  return `${JSON.stringify(document, undefined, 2)}\n`
}
