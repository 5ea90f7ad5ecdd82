/** Networks beside the seed's, as YAML for the agent and as configuration for the plugin. */
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Conf } from "./lab.ts"

/** Writes a configuration file into a folder of its own; the runner's namespace takes it away. */
export function yamlFile(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "yaml-")), "networks.yml")
  writeFileSync(path, text)
  return path
}

/** A network of one host with IPv4 and IPv6, on the bridge edge0. */
export function dualStackYaml(): string {
  return yamlFile(`
edge:
  network_driver:
    driver: none
    default_network:
      name: edge
      subnets:
      - network_address: 10.52.0.0/16
      - network_address: fd00:52::/64
    cni_config:
      10-edge.conf:
        name: edge
        type: rancher-bridge
        bridge: edge0
        bridgeSubnet: [10.52.0.0/16, 'fd00:52::/64']
        isDefaultGateway: true
        hostNat: true
        ipam:
          type: rancher-cni-ipam
`)
}

/** The plugin's configuration of {@link dualStackYaml}. */
export const DUAL_CONF: Conf = {
  cniVersion: "1.1.0",
  name: "edge",
  type: "rancher-bridge",
  bridge: "edge0",
  bridgeSubnet: ["10.52.0.0/16", "fd00:52::/64"],
  isDefaultGateway: true,
  hostNat: true,
  ipam: { type: "rancher-cni-ipam" },
}
