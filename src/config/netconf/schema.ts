/**
 * The network configuration that a CNI runtime hands over, as a schema: every key of
 * `rancher-bridge` and `rancher-cni-ipam`, of the CNI specification 1.1.0 and of its conventions.
 */

import * as z from "zod/mini"
import {
  address,
  addressOrPrefix,
  anyMap,
  flag,
  list,
  listOf,
  looseSection,
  mac,
  optional,
  optionalAddress,
  optionalPrefix,
  optionalText,
  prefix,
  read,
  refuse,
  section,
  someText,
  text,
  textList,
  wholeNumber,
} from "../value_schema.ts"

/** The longest interface name: IFNAMSIZ of linux/if.h less the final NUL. */
const MAX_IFNAME = 15
/** The largest MTU of an Ethernet device: ETH_MAX_MTU of linux/if_ether.h. */
const MAX_MTU = 65_535
const MAX_U32 = 0xffff_ffff

/** The form of network names and container ids (CNI SPEC, "Network configuration format"). */
const CNI_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** A network's name. */
export const networkName = someText.check(
  z.regex(
    CNI_NAME,
    "must begin with a letter or digit and go on with letters, digits, `_`, `.` and `-`",
  ),
)

const ifname = read(text, (name, context): string | undefined => {
  if (name === "") return undefined
  if (name.length <= MAX_IFNAME && /^(?!\.{1,2}$)[^\s/:]+$/.test(name)) return name
  const rule = `at most ${MAX_IFNAME} characters, no space, slash or colon`
  return refuse(context, `must be an interface name: ${rule}`)
})

const u32 = wholeNumber(0, MAX_U32)

const route = section({
  dst: prefix,
  gw: optional(optionalAddress, "Next hop; none means on-link"),
  mtu: optional(u32),
  advmss: optional(u32),
  priority: optional(u32),
  table: optional(u32),
  scope: optional(wholeNumber(0, 255)),
})

const dnsKeys = {
  nameservers: optional(listOf(address)),
  domain: optional(optionalText),
  search: optional(textList),
  options: optional(textList),
}

const rangeKeys = {
  subnet: optional(optionalPrefix),
  rangeStart: optional(optionalAddress),
  rangeEnd: optional(optionalAddress),
  gateway: optional(optionalAddress),
}

const ranges = list(list(section(rangeKeys)))

/** `"/16"`, `"16"` or 16. */
const prefixSize = z.pipe(
  read(z.union([z.string(), z.number()], "must be a prefix length such as /16"), (value) =>
    typeof value === "string" ? value.replace(/^\//, "") : value,
  ),
  wholeNumber(0, 128),
)

/** `ipam` where the agent serves it. */
export const ipamSchema = section({
  type: someText,
  subnetPrefixSize: optional(
    prefixSize,
    "Prefix length that addresses are given with, such as /16; default that of the pool",
  ),
  routes: optional(list(route), "Routes to add in the container"),
  ...rangeKeys,
  ranges: optional(ranges),
  logToFile: optional(optionalText),
  isDebugLevel: optional(flag),
  dataDir: optional(optionalText, "Taken and not used"),
  resolvConf: optional(optionalText, "Taken and not used"),
})

/** `ipam` of another plugin: what is in it is that plugin's own. */
const foreignIpam = looseSection({ type: optional(text) })

const port = wholeNumber(0, 65_535)

const PROTOCOLS = ["tcp", "udp", "sctp"] as const
type Protocol = (typeof PROTOCOLS)[number]

/** One protocol in any case, or several with commas between them; none is TCP. */
const protocols = read(text, (value, context): Protocol[] => {
  const words = value === "" ? ["tcp"] : value.toLowerCase().split(",")
  const known = PROTOCOLS.filter((protocol) => words.includes(protocol))
  return known.length === words.length ? known : refuse(context, "must be tcp, udp or sctp")
})

const portMapping = looseSection({
  hostPort: port,
  containerPort: port,
  protocol: optional(protocols),
  hostIP: optional(optionalAddress),
})

/** The bits per second, and bits, of a traffic shaper. */
const bandwidth = z.record(
  z.string(),
  optional(wholeNumber(0, Number.MAX_SAFE_INTEGER)),
  "must be a map",
)

const aliases = z.union(
  // A list by convention; Podman gives a map from network name to list.
  [z.array(text), z.record(z.string(), z.array(text))],
  "must be a list of texts",
)

/** Filled in by runtimes, which may put in more than anyone here knows. */
const runtimeConfig = looseSection({
  ips: optional(listOf(addressOrPrefix)),
  mac: optional(mac),
  dns: optional(
    looseSection({
      ...dnsKeys,
      servers: optional(listOf(address)),
      searches: optional(textList),
    }),
  ),
  aliases: optional(aliases),
  portMappings: optional(list(portMapping)),
  bandwidth: optional(bandwidth),
  ipRanges: optional(ranges),
})

const args = looseSection({
  cni: optional(
    looseSection({
      ips: optional(listOf(addressOrPrefix)),
      labels: optional(list(looseSection({ key: text, value: text }))),
    }),
  ),
})

const attachments = optional(list(looseSection({ containerID: someText, ifname: someText })))

/** The keys that every configuration has, whatever its type. */
const commonKeys = {
  cniVersion: optional(optionalText),
  name: networkName,
  type: someText,
  agentSocket: optional(optionalText, "Where the agent listens; default its own socket"),
  prevResult: optional(anyMap),
  runtimeConfig: optional(runtimeConfig),
  args: optional(args),
  "cni.dev/valid-attachments": attachments,
  "cni.dev/attachments": attachments,
}

const overhead = z.pipe(
  read(z.union([z.number(), z.string()], "must be a number of bytes, or auto"), (value) =>
    value === "auto" ? "" : value,
  ),
  wholeNumber(0, MAX_MTU),
)

const bridgeKeys = {
  ...commonKeys,
  cniVersions: optional(textList),
  bridge: optional(ifname, "Linux bridge; default cni0"),
  bridgeSubnet: optional(listOf(prefix), "Subnets of the bridge: one, or a list"),
  bridgeIP: optional(
    listOf(addressOrPrefix),
    "Addresses of the bridge; default the first of each bridgeSubnet",
  ),
  useBridgeIPAsGateway: optional(flag, "The gateway is the bridge's first address"),
  isGateway: optional(flag, "The bridge carries the gateway's address"),
  isDefaultGateway: optional(flag, "isGateway, and a default route in the container"),
  ipMasq: optional(flag, "Masquerade what this network sends elsewhere, per container"),
  hostNat: optional(flag, "Masquerade what this network sends elsewhere, per subnet"),
  mtu: optional(wholeNumber(0, MAX_MTU), "MTU of the veth pair and of a new bridge"),
  linkMTUOverhead: optional(
    overhead,
    "Bytes that the container's MTU is smaller; auto or absent: what the driver needs",
  ),
  hairpinMode: optional(flag, "Packets may leave by the port they came from"),
  promiscMode: optional(flag, "The bridge is promiscuous; not together with hairpinMode"),
  skipBridgeConfigureIP: optional(flag, "Leave the bridge's addresses alone"),
  skipFastPath: optional(flag, "Taken and not used"),
  forceAddress: optional(flag, "Taken and not used"),
  logToFile: optional(optionalText, "Also write the log to this file"),
  isDebugLevel: optional(flag, "Log at level debug"),
  dns: optional(section(dnsKeys)),
  capabilities: optional(anyMap),
  disableCheck: optional(flag),
  disableGC: optional(flag),
  loadOnlyInlinedPlugins: optional(flag),
}

/** A configuration for `rancher-bridge` or `lariat-cni`; what is in `ipam` is checked apart. */
export const bridgeNetconfSchema = section({ ...bridgeKeys, ipam: optional(foreignIpam) })

/** A configuration of another plugin, which calls us for its IPAM. */
export const otherNetconfSchema = looseSection({ ...commonKeys, ipam: optional(foreignIpam) })
