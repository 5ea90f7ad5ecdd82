/** `network_driver` of a Compose file, as a schema: every key, its type and what it means. */

import { z } from "zod"
import { netconfForEditors, networkName } from "./netconf_schema.ts"
import {
  address,
  anyMap,
  flag,
  list,
  listOf,
  optionalAddress,
  optionalText,
  section,
  text,
  textList,
  wholeNumber,
} from "./value_schema.ts"

/** The data paths that `driver` may name. */
export const DRIVER_KINDS = ["ipsec", "vxlan", "routed", "wireguard", "none"] as const

const driver = z.enum(DRIVER_KINDS, `must be one of ${DRIVER_KINDS.join(", ")}`)

/** Pools of one network; each is compared with every other. */
const MAX_SUBNETS = 64

const subnet = section({
  network_address: optionalText
    .nullish()
    .describe("Network address with prefix length, IPv4 or IPv6; default 10.44.0.0/16"),
  cidr_size: wholeNumber(8, 126)
    .nullish()
    .describe("Prefix length where network_address has none; default 24, for IPv6 64"),
  gateway: optionalAddress.nullish().describe("Default the first address after the network's"),
  start_address: optionalAddress
    .nullish()
    .describe("First address for containers; default the second after the network's"),
  end_address: optionalAddress
    .nullish()
    .describe("Last address for containers; default near the end. At most 2^24 from the first"),
})

const action = z.enum(["allow", "deny"], "must be allow or deny")

const policySide = section({ selector: text.nullish(), groupBy: text.nullish() })

const policyRule = section({
  within: z.enum(["stack", "service", "linked"], "must be stack, service or linked").nullish(),
  between: policySide.nullish(),
  from: policySide.nullish(),
  to: policySide.nullish(),
  ports: list(z.union([z.string(), z.number()], "must be a port")).nullish(),
  action,
})

const defaultNetwork = section({
  name: networkName.describe("Name of the network, also for a service's network_mode"),
  host_ports: flag.nullish().describe("Containers may publish ports; default false"),
  subnets: list(subnet)
    .max(MAX_SUBNETS, `must have at most ${MAX_SUBNETS} entries`)
    .nullish()
    .describe("Pools of addresses, tried in this order"),
  dns: listOf(address).nullish().describe("Nameservers that containers get"),
  dns_search: textList.nullish().describe("Search domains that containers get"),
  metadata: anyMap.nullish().describe("Free data, shown by the metadata API"),
  mac_prefix: optionalText
    .nullish()
    .describe("First three octets of containers' MAC addresses, such as 02:00:01"),
  default_policy_action: action.nullish().describe("What happens to traffic without a rule"),
  policy: list(policyRule).nullish().describe("Rules between services, in order"),
})

/** One map per file; what is in it is checked by `parseNetconf`. */
const cniConfig = z.record(z.string(), anyMap, "must be a map from file name to configuration")

/** `network_driver`. */
export const driverSchema = section({
  name: optionalText.nullish().describe("Display name; default the service's"),
  driver: driver
    .nullish()
    .describe("Data path between hosts; default told from the names, else none"),
  default_network: defaultNetwork.nullish().describe("The network to make"),
  network_metadata: anyMap.nullish().describe("Laid over default_network.metadata"),
  cni_config: cniConfig.nullish().describe("CNI configurations by file name, run in name order"),
})

export type DriverInput = z.output<typeof driverSchema>
export type DefaultNetworkInput = NonNullable<DriverInput["default_network"]>
export type SubnetInput = z.output<typeof subnet>

/** {@link driverSchema} with the keys of `cni_config` spelt out, for editors. */
export const driverForEditors = driverSchema.extend({
  cni_config: z.record(z.string(), netconfForEditors).nullish(),
})
