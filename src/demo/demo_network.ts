import { parseDocument } from "yaml"
import { formatDiagnostic, hasErrors } from "../config/diagnostic.ts"
import { loadConfiguration } from "../config/load.ts"
import type { DriverKind, Network } from "../config/network.ts"
import { LariatError } from "../errors.ts"

/** The networks of a file for the demo. */
export interface DemoNetwork {
  /** As agents are to read it. */
  readonly yaml: string
  readonly network: Network
  /** The CNI configuration that the agent would install for it. */
  readonly conf: Readonly<Record<string, unknown>>
  /** What else is to be said of the file. */
  readonly remarks: readonly string[]
}

/**
 * Reads a file for the demo: its first network counts.
 *
 * @param driver what carries every network of it, whatever the file says; default what it says
 * @throws LariatError config-invalid when it gives no network to attach to
 */
export function readDemoNetwork(path: string, text: string, driver?: DriverKind): DemoNetwork {
  const yaml = driver === undefined ? text : withDriver(text, driver)
  const { networks, diagnostics } = loadConfiguration([{ path, text: yaml }], { env: process.env })
  const remarks = diagnostics.map(formatDiagnostic)
  const [network] = networks
  const conf = network?.cni[0]?.conf
  if (network === undefined || conf === undefined || hasErrors(diagnostics)) {
    const why = ["it gives no network to attach to", ...remarks].join("\n  ")
    throw new LariatError(`Cannot use ${path} for the demo: ${why}`, {
      code: "config-invalid",
      hint: "see lariat validate",
    })
  }
  return { yaml, network, conf: { cniVersion: "1.1.0", ...conf }, remarks }
}

/** The same file with another driver; a file that cannot be read is left to who checks it. */
function withDriver(text: string, driver: DriverKind): string {
  const document = parseDocument(text, { logLevel: "silent" })
  const root = document.toJS() as unknown
  if (document.errors.length > 0 || !isMap(root)) return text
  const services = isMap(root.services) ? root.services : {}
  for (const [at, service] of [
    ...Object.entries(root).map(([key, value]) => [[key], value] as const),
    ...Object.entries(services).map(([key, value]) => [["services", key], value] as const),
  ]) {
    if (!isMap(service) || !isMap(service.network_driver)) continue
    document.setIn([...at, "network_driver", "driver"], driver)
  }
  return document.toString()
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/**
 * The YAML that the demo runs with when it is given none: the sample of Rancher's documentation,
 * its stray quote included.
 */
export const SEED_YAML = `ipsec:
  network_driver:
    name: Rancher IPsec
    default_network:
      name: ipsec
      host_ports: true
      subnets:
      - network_address: '10.42.0.0/16'
      dns:
      - 169.254.169.250
      dns_search:
      - rancher.internal
    cni_config:
      '10-rancher.conf':
        name: rancher-cni-network
        type: rancher-bridge
        bridge: docker0
        bridgeSubnet: '10.42.0.0/16'
        isDefaultGateway: true
        hairpinMode": true
        hostNat: true
        hairpinMode: true
        linkMTUOverhead: 98
        ipam:
          type: rancher-cni-ipam
          logToFile: /var/log/rancher-ipam.log
`
