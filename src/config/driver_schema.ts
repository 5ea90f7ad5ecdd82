/** `network_driver` of a Compose file, as a schema: every key, its type and what it means. */

import * as z from "zod/mini"
import { CIPHERS } from "../core/encapsulation.ts"
import { networkName } from "./netconf/schema.ts"
import {
  address,
  anyMap,
  flag,
  list,
  listOf,
  oneOf,
  optional,
  optionalAddress,
  optionalText,
  section,
  text,
  textList,
  wholeNumber,
} from "./value_schema.ts"

/** The data paths that `driver` may name. */
const DRIVER_KINDS = ["ipsec", "vxlan", "routed", "wireguard", "none"] as const

/** Pools of one network; each is compared with every other. */
const MAX_SUBNETS = 64

/** One entry of `subnets`. */
export const subnet = section({
  network_address: optional(
    optionalText,
    "Network address with prefix length, IPv4 or IPv6; default 10.44.0.0/16",
  ),
  cidr_size: optional(
    wholeNumber(8, 126),
    "Prefix length where network_address has none; default 24, for IPv6 64",
  ),
  gateway: optional(optionalAddress, "Default the first address after the network's"),
  start_address: optional(
    optionalAddress,
    "First address for containers; default the second after the network's",
  ),
  end_address: optional(
    optionalAddress,
    "Last address for containers; default 6 before the subnet's end, at most 2^24 from the first",
  ),
})

const action = oneOf(["allow", "deny"])

const policySide = section({ selector: optional(text), groupBy: optional(text) })

const policyRule = section({
  within: optional(oneOf(["stack", "service", "linked"])),
  between: optional(policySide),
  from: optional(policySide),
  to: optional(policySide),
  ports: optional(list(z.union([z.string(), z.number()], "must be a port"))),
  action,
})

const subnets = list(subnet).check(
  z.maxLength(MAX_SUBNETS, `must have at most ${MAX_SUBNETS} entries`),
)

const defaultNetwork = section({
  name: networkName,
  host_ports: optional(flag, "Containers may publish ports; default false"),
  subnets: optional(subnets, "Pools of addresses, tried in this order"),
  dns: optional(listOf(address), "Nameservers that containers get"),
  dns_search: optional(textList, "Search domains that containers get"),
  metadata: optional(anyMap, "Free data, shown by the metadata API"),
  mac_prefix: optional(
    optionalText,
    "First three octets of containers' MAC addresses, such as 02:00:01",
  ),
  default_policy_action: optional(action, "What happens to traffic without a rule; default allow"),
  policy: optional(list(policyRule), "Rules between services, in order"),
})

/** A network device holds a VNI of 24 bits (RFC 7348 §5). */
const MAX_VNI = 2 ** 24 - 1

const driverKeys = {
  name: optional(optionalText, "Display name; default the service's"),
  driver: optional(
    oneOf(DRIVER_KINDS),
    "Data path between hosts; default told from the names, else none",
  ),
  cipher: optional(oneOf(CIPHERS), "Of the ipsec driver; default aes256gcm16"),
  udp_encapsulation: optional(
    oneOf(["none", "udp", "auto"]),
    "Whether the ipsec driver's ESP travels in UDP; auto where a NAT is found; default none",
  ),
  port: optional(
    wholeNumber(1, 65_535),
    "UDP port between hosts; default 4789 for vxlan, 51820 for wireguard, 4500 for ESP in UDP",
  ),
  vni: optional(wholeNumber(1, MAX_VNI), "Of the vxlan driver; default 1042"),
  block_size: optional(
    wholeNumber(8, 30),
    "Prefix length of the blocks of IPv4 addresses that hosts lease; default 24 in a /16",
  ),
  default_network: optional(defaultNetwork, "The network to make"),
  network_metadata: optional(anyMap, "Laid over default_network.metadata"),
}

/** One map per file; what is in it is checked by `parseNetconf`. */
const cniConfig = z.record(z.string(), anyMap, "must be a map from file name to configuration")

/** `network_driver`. */
export const driverSchema = section({ ...driverKeys, cni_config: optional(cniConfig) })

export type DriverInput = z.output<typeof driverSchema>
export type DefaultNetworkInput = NonNullable<DriverInput["default_network"]>
export type SubnetInput = z.output<typeof subnet>
