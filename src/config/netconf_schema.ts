/**
 * The network configuration that a CNI runtime hands over, as a schema: every key of
 * `rancher-bridge` and `rancher-cni-ipam`, of the CNI specification 1.1.0 and of its conventions.
 */

import { z } from "zod"
import {
  address,
  addressOrPrefix,
  anyMap,
  flag,
  list,
  listOf,
  mac,
  optionalAddress,
  optionalText,
  prefix,
  section,
  someText,
  text,
  textList,
  wholeNumber,
} from "./value_schema.ts"

/** The longest interface name: IFNAMSIZ of linux/if.h less the final NUL. */
const MAX_IFNAME = 15
/** The largest MTU of an Ethernet device: ETH_MAX_MTU of linux/if_ether.h. */
const MAX_MTU = 65_535
const MAX_U32 = 0xffff_ffff

/** The form of network names and container ids (CNI SPEC, "Network configuration format"). */
const CNI_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

const u32 = wholeNumber(0, MAX_U32).nullish()

/** A network's name. */
export const networkName = someText.regex(
  CNI_NAME,
  "must begin with a letter or digit and go on with letters, digits, `_`, `.` and `-`",
)

const ifname = optionalText.refine(
  (name) =>
    name === undefined || (name.length <= MAX_IFNAME && /^(?!\.{1,2}$)[^\s/:]+$/.test(name)),
  `must be an interface name: at most ${MAX_IFNAME} characters, no space, slash or colon`,
)

const route = section({
  dst: prefix.describe("Destination, for instance 0.0.0.0/0"),
  gw: optionalAddress.nullish().describe("Next hop; none means on-link"),
  mtu: u32,
  advmss: u32,
  priority: u32,
  table: u32,
  scope: wholeNumber(0, 255).nullish(),
})

const dnsKeys = {
  nameservers: listOf(address).nullish(),
  domain: optionalText.nullish(),
  search: textList.nullish(),
  options: textList.nullish(),
}

const rangeKeys = {
  subnet: optionalText.pipe(prefix.optional()).nullish(),
  rangeStart: optionalAddress.nullish(),
  rangeEnd: optionalAddress.nullish(),
  gateway: optionalAddress.nullish(),
}

const ranges = list(list(section(rangeKeys)))

/** `"/16"`, `"16"` or 16. */
const prefixSize = z
  .union([z.string(), z.number()], "must be a prefix length such as /16")
  .transform((value) => (typeof value === "string" ? value.replace(/^\//, "") : value))
  .pipe(wholeNumber(0, 128))

/** `ipam` where the agent serves it. */
export const ipamSchema = section({
  type: someText.describe("rancher-cni-ipam, lariat-cni, or any other IPAM plugin"),
  subnetPrefixSize: prefixSize
    .nullish()
    .describe("Prefix length that addresses are given with; default that of the pool"),
  routes: list(route).nullish().describe("Routes to add in the container"),
  ...rangeKeys,
  ranges: ranges.nullish(),
  logToFile: optionalText.nullish(),
  isDebugLevel: flag.nullish(),
  dataDir: optionalText.nullish().describe("Taken and not used"),
  resolvConf: optionalText.nullish().describe("Taken and not used"),
})

/** `ipam` of another plugin: what is in it is that plugin's own. */
export const foreignIpamSchema = z.looseObject({ type: text.nullish() }, "must be a map")

const port = wholeNumber(0, 65_535)

const PROTOCOLS = ["tcp", "udp", "sctp"] as const
type Protocol = (typeof PROTOCOLS)[number]

/** One protocol in any case, or several with commas between them; none is TCP. */
const protocols = text.transform((value, context): Protocol[] => {
  const words = value === "" ? ["tcp"] : value.toLowerCase().split(",")
  const known = PROTOCOLS.filter((protocol) => words.includes(protocol))
  if (known.length !== words.length) {
    context.addIssue({ code: "custom", message: "must be tcp, udp or sctp" })
  }
  return known
})

const portMapping = z.looseObject(
  {
    hostPort: port,
    containerPort: port,
    protocol: protocols.nullish(),
    hostIP: optionalAddress.nullish(),
  },
  "must be a map",
)

/** The bits per second and bits of a traffic shaper. */
const bandwidth = z.record(
  z.string(),
  wholeNumber(0, Number.MAX_SAFE_INTEGER).nullish(),
  "must be a map",
)

/** Filled in by runtimes, which may put in more than anyone here knows. */
const runtimeConfig = z.looseObject(
  {
    ips: listOf(addressOrPrefix).nullish(),
    mac: mac.nullish(),
    dns: z
      .looseObject({ ...dnsKeys, servers: listOf(address).nullish(), searches: textList.nullish() })
      .nullish(),
    // A list by convention; Podman gives a map from network name to list.
    aliases: z
      .union([z.array(text), z.record(z.string(), z.array(text))], "must be a list of texts")
      .nullish(),
    portMappings: list(portMapping).nullish(),
    bandwidth: bandwidth.nullish(),
    ipRanges: ranges.nullish(),
  },
  "must be a map",
)

const args = z.looseObject(
  {
    cni: z
      .looseObject({
        ips: listOf(addressOrPrefix).nullish(),
        labels: list(z.looseObject({ key: text, value: text }, "must be a map")).nullish(),
      })
      .nullish(),
  },
  "must be a map",
)

const attachments = list(
  z.looseObject({ containerID: someText, ifname: someText }, "must be a map"),
).nullish()

/** The keys that every configuration has, whatever its type. */
const commonKeys = {
  cniVersion: optionalText.nullish(),
  name: networkName.describe("Name of the network"),
  type: someText.describe("rancher-bridge or lariat-cni"),
  agentSocket: optionalText.nullish().describe("Where the agent listens; default its own socket"),
  prevResult: anyMap.nullish(),
  runtimeConfig: runtimeConfig.nullish(),
  args: args.nullish(),
  "cni.dev/valid-attachments": attachments,
  "cni.dev/attachments": attachments,
}

const overhead = z
  .union([z.number(), z.string()], "must be a number of bytes or auto")
  .transform((value) => (value === "auto" ? "" : value))
  .pipe(wholeNumber(0, MAX_MTU))

/** A configuration for `rancher-bridge` or `lariat-cni`; `ipam` is checked apart. */
export const bridgeNetconfSchema = section({
  ...commonKeys,
  cniVersions: textList.nullish(),
  bridge: ifname.nullish().describe("Linux bridge; default cni0"),
  bridgeSubnet: listOf(prefix).nullish().describe("Subnets of the bridge: one, or a list"),
  bridgeIP: listOf(addressOrPrefix)
    .nullish()
    .describe("Addresses of the bridge; default the first of each bridgeSubnet"),
  useBridgeIPAsGateway: flag.nullish().describe("The gateway is the bridge's first address"),
  isGateway: flag.nullish().describe("The bridge carries the gateway's address"),
  isDefaultGateway: flag.nullish().describe("isGateway, and a default route in the container"),
  ipMasq: flag.nullish().describe("Masquerade what this network sends elsewhere, per container"),
  hostNat: flag.nullish().describe("Masquerade what this network sends elsewhere, per subnet"),
  mtu: wholeNumber(0, MAX_MTU).nullish().describe("MTU of the veth pair and of a new bridge"),
  linkMTUOverhead: overhead
    .nullish()
    .describe("Bytes that the container's MTU is smaller; auto or absent: what the driver needs"),
  hairpinMode: flag.nullish().describe("Packets may leave by the port they came from"),
  promiscMode: flag.nullish().describe("The bridge is promiscuous"),
  skipBridgeConfigureIP: flag.nullish().describe("Leave the bridge's addresses alone"),
  skipFastPath: flag.nullish().describe("Taken and not used"),
  forceAddress: flag.nullish().describe("Taken and not used"),
  logToFile: optionalText.nullish().describe("Also write the log to this file"),
  isDebugLevel: flag.nullish().describe("Log at level debug"),
  ipam: foreignIpamSchema.nullish(),
  dns: section(dnsKeys).nullish(),
  capabilities: anyMap.nullish(),
  disableCheck: flag.nullish(),
  disableGC: flag.nullish(),
  loadOnlyInlinedPlugins: flag.nullish(),
})

/** A configuration of another plugin, which calls us for its IPAM. */
export const otherNetconfSchema = z.looseObject(
  { ...commonKeys, ipam: foreignIpamSchema.nullish() },
  "must be a map",
)

/** What `cni_config` may hold, for editors: all keys of one of our own configurations. */
export const netconfForEditors = bridgeNetconfSchema.extend({
  ipam: ipamSchema.nullish(),
})
