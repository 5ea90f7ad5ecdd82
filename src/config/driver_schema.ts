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
  type Output,
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
  /** With a prefix length, IPv4 or IPv6. */
  network_address: optional(optionalText),
  /** Prefix length where `network_address` has none. */
  cidr_size: optional(wholeNumber(8, 126)),
  gateway: optional(optionalAddress),
  /** First and last address for containers. */
  start_address: optional(optionalAddress),
  end_address: optional(optionalAddress),
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
  /** Of Rancher's server; here it only tells networks of Windows hosts. */
  kind: z.optional(z.unknown()),
  host_ports: optional(flag),
  /** Pools of addresses, tried in this order. */
  subnets: optional(subnets),
  dns: optional(listOf(address)),
  dns_search: optional(textList),
  metadata: optional(anyMap),
  /** First three octets of containers' MAC addresses, such as 02:00:01. */
  mac_prefix: optional(optionalText),
  default_policy_action: optional(action),
  policy: optional(list(policyRule)),
})

/** A network device holds a VNI of 24 bits (RFC 7348 §5). */
export const MAX_VNI = 2 ** 24 - 1

/** `network_driver`. */
export const driverSchema = section({
  /** Default the service's. */
  name: optional(optionalText),
  /** Data path between hosts; default told from the names. */
  driver: optional(oneOf(DRIVER_KINDS)),
  cipher: optional(oneOf(CIPHERS)),
  udp_encapsulation: optional(oneOf(["none", "udp", "auto"])),
  /** UDP port between hosts. */
  port: optional(wholeNumber(1, 65_535)),
  vni: optional(wholeNumber(1, MAX_VNI)),
  /** Prefix length of the blocks of IPv4 addresses that hosts lease; default 24 in a /16. */
  block_size: optional(wholeNumber(8, 30)),
  default_network: optional(defaultNetwork),
  /** Laid over `default_network.metadata`. */
  network_metadata: optional(anyMap),
  /** One map per file; what is in it is checked by `parseNetconf`. */
  cni_config: optional(
    z.record(z.string(), anyMap, "must be a map from file name to configuration"),
  ),
})

export type DriverInput = Output<typeof driverSchema>
export type DefaultNetworkInput = NonNullable<DriverInput["default_network"]>
export type SubnetInput = Output<typeof subnet>
