import type { Network } from "../../../config/network.ts"
import type { Driver, OverlayNetwork } from "../../../drivers/driver.ts"
import { openIpsec } from "../../../drivers/ipsec/ipsec_driver.ts"
import type { PeerGate } from "../../../drivers/peer_gate.ts"
import { openRouted } from "../../../drivers/routed/routed_driver.ts"
import { DEFAULT_PORT, openVxlan } from "../../../drivers/vxlan/vxlan_driver.ts"
import { openWireguard } from "../../../drivers/wireguard/wireguard_driver.ts"
import { LariatError } from "../../../errors.ts"
import type { NetworkEncapsulation } from "../../../firewall/tunnels.ts"

/** What a driver may need of the agent. */
export interface DriverDependencies {
  /** The key that this host and another one know, 32 bytes; undefined in a cluster without one. */
  readonly presharedKey: ((hostId: string) => Uint8Array) | undefined
  /** Hears of what comes from peers. */
  readonly gate?: PeerGate | undefined
  /** MTU of the links to other hosts now, bytes. */
  readonly underlayMtu: () => number
  readonly random: (bytes: number) => Uint8Array
  /** Hears that the keys with a host are lost. */
  readonly onLost: (hostId: string, why: string) => void
  /** Hears that the keys with a host have protected as much as they should. */
  readonly onSoftExpired: (hostId: string) => void
}

/** The drivers that send nothing without a key. */
const KEYED: ReadonlySet<string> = new Set(["ipsec", "wireguard"])

/**
 * Opens the driver that a network asks for. The kernel is not changed yet.
 *
 * @param number of the network in the cluster
 * @throws LariatError `config-invalid` where it needs a key and there is none; what the driver says
 */
export function openDriver(
  network: Network,
  number: number,
  dependencies: DriverDependencies,
): Driver {
  const { name, driver, subnets } = network
  if (KEYED.has(driver) && dependencies.presharedKey === undefined) {
    throw new LariatError(`Cannot carry network ${name} by ${driver}: no pskFile is set`, {
      code: "config-invalid",
      hint: "openssl rand -base64 48 makes a key; set agent.pskFile to its file on every host",
    })
  }
  const overlay: OverlayNetwork = {
    name,
    number,
    subnets: subnets.map(({ cidr }) => cidr),
    gate: dependencies.gate,
    get underlayMtu() {
      return dependencies.underlayMtu()
    },
  }
  const { cipher, port, vni } = network.encapsulation
  switch (network.driver) {
    case "ipsec":
      return openIpsec(overlay, { cipher, ...dependencies })
    case "vxlan":
      return openVxlan(overlay, { vni: vni + overlay.number, port })
    case "wireguard":
      return openWireguard(overlay, dependencies.random, {
        port: wireguardPort(network, number),
        presharedKey: dependencies.presharedKey,
      })
    case "routed":
      return openRouted(overlay)
    case "none":
      throw new LariatError(`Cannot carry network ${network.name}: it has no driver`, {
        code: "config-invalid",
        hint: "choose ipsec, vxlan, routed or wireguard",
      })
  }
}

/** NAT-T, RFC 3948 §2.1. */
const ESP_IN_UDP_PORT = 4500
/** IANA protocol number of ESP, RFC 4303 §2. */
const ESP = 50

function wireguardPort({ encapsulation }: Network, number: number): number {
  return (encapsulation.port ?? 51_820) + number
}

/**
 * How a network's packets look outside.
 *
 * @param number of the network in the cluster
 */
export function encapsulationOf(network: Network, number: number): NetworkEncapsulation {
  const { port, vni, udp } = network.encapsulation
  const subnets = network.subnets.map(({ cidr }) => cidr)
  switch (network.driver) {
    case "vxlan":
      return { subnets, vxlan: { port: port ?? DEFAULT_PORT, vni: vni + number } }
    case "wireguard":
      return { subnets, authenticatedPorts: [wireguardPort(network, number)] }
    case "ipsec":
      return {
        subnets,
        authenticatedPorts: udp === "none" ? [] : [port ?? ESP_IN_UDP_PORT],
        authenticatedProtocols: [ESP],
      }
    case "routed":
      return { subnets, plain: true }
    case "none":
      return { subnets }
  }
}
