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
  network,
  optional,
  optionalAddress,
  optionalNetwork,
  optionalText,
  orElse,
  read,
  refuse,
  section,
  someText,
  text,
  textAs,
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

const ifname = textAs((name, context) => {
  if (name.length <= MAX_IFNAME && /^(?!\.{1,2}$)[^\s/:]+$/.test(name)) return name
  const rule = `at most ${MAX_IFNAME} characters, no space, slash or colon`
  return refuse(context, `must be an interface name: ${rule}`)
})

const u32 = wholeNumber(0, MAX_U32)

export const route = section({
  dst: network,
  /** None means on-link. */
  gw: optional(optionalAddress),
  mtu: optional(u32),
  advmss: optional(u32),
  priority: optional(u32),
  table: optional(u32),
  scope: optional(wholeNumber(0, 255)),
})

const dnsKeys = {
  nameservers: orElse(listOf(address), []),
  domain: optional(optionalText),
  search: orElse(textList, []),
  options: orElse(textList, []),
}

const dns = section(dnsKeys)

/** A range of addresses as host-local writes it. */
const rangeKeys = {
  subnet: optional(optionalNetwork),
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

/** Read, so that a mistake in it is found, and not used. */
function unused(schema: z.ZodMiniType) {
  return optional(read(schema, () => undefined))
}

/** `ipam` where the agent serves it. */
export const ipamSchema = section({
  type: someText,
  /** Prefix length that addresses are given with; default that of the pool. */
  subnetPrefixSize: optional(prefixSize),
  /** Routes to add in the container. */
  routes: orElse(list(route), []),
  ...rangeKeys,
  ranges: orElse(ranges, []),
  logToFile: unused(text),
  isDebugLevel: unused(flag),
  dataDir: unused(text),
  resolvConf: unused(text),
})

/** `ipam` of another plugin: what is in it is that plugin's own. */
const foreignIpam = z.looseObject({ type: optional(text) }, "must be a map")

const port = wholeNumber(0, 65_535)

const PROTOCOLS = ["tcp", "udp", "sctp"] as const
type Protocol = (typeof PROTOCOLS)[number]

/** One protocol in any case, or several with commas between them; none is TCP. */
const protocols = read(text, (value, context): Protocol[] => {
  const words = value === "" ? ["tcp"] : value.toLowerCase().split(",")
  const known = PROTOCOLS.filter((protocol) => words.includes(protocol))
  return known.length === words.length ? known : refuse(context, "must be tcp, udp or sctp")
})

/** One mapping for each protocol. One without a host port publishes nothing (as with portmap). */
const portMapping = read(
  looseSection({
    hostPort: port,
    containerPort: port,
    protocol: orElse(protocols, ["tcp"] as const),
    hostIP: optional(optionalAddress),
  }),
  ({ hostPort, containerPort, protocol, hostIP }) =>
    hostPort && containerPort
      ? protocol.map((one) => ({ hostPort, containerPort, protocol: one, hostIP }))
      : [],
)

/** The bits per second, and bits, of a traffic shaper. */
const bandwidth = read(
  z.record(z.string(), optional(wholeNumber(0, Number.MAX_SAFE_INTEGER)), "must be a map"),
  (said): Record<string, number> =>
    Object.fromEntries(
      Object.entries(said).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    ),
)

const aliases = z.union(
  // A list by convention; Podman gives a map from network name to list.
  [z.array(text), z.record(z.string(), z.array(text))],
  "must be a list of texts",
)

/** The convention for `dns` says `servers` and `searches` where results say otherwise. */
const runtimeDns = read(
  looseSection({
    ...dnsKeys,
    servers: optional(listOf(address)),
    searches: optional(textList),
  }),
  ({ servers, searches, nameservers, search, domain, options }) => ({
    nameservers: servers ?? nameservers,
    domain,
    search: searches ?? search,
    options,
  }),
)

/** Filled in by runtimes, which may put in more than anyone here knows. */
const runtimeConfig = looseSection({
  ips: orElse(listOf(addressOrPrefix), []),
  mac: optional(mac),
  dns: optional(runtimeDns),
  aliases: orElse(aliases, []),
  portMappings: orElse(
    read(list(portMapping), (mappings) => mappings.flat()),
    [],
  ),
  bandwidth: optional(bandwidth),
  ipRanges: unused(ranges),
})

const labels = read(list(looseSection({ key: text, value: text })), (entries) =>
  Object.fromEntries(entries.map(({ key, value }): [string, string] => [key, value])),
)

const args = looseSection({
  cni: optional(looseSection({ ips: optional(listOf(addressOrPrefix)), labels: optional(labels) })),
})

// A runtime that has none left marshals Go's nil slice: null is the empty list, not "unknown".
const attachments = z.optional(
  read(
    z.nullable(list(looseSection({ containerID: someText, ifname: someText }))),
    (value) => value ?? [],
  ),
)

/** The keys that every configuration has, whatever its type. */
const commonKeys = {
  /** What libcni takes where it is missing. */
  cniVersion: orElse(optionalText, "0.1.0"),
  name: networkName,
  type: someText,
  /** Where the agent listens: the plugin reads it. */
  agentSocket: unused(text),
  /** The raw previous result of a chain, or of this plugin's own ADD on CHECK and DEL. */
  prevResult: optional(anyMap),
  runtimeConfig: orElse(runtimeConfig, runtimeConfig.parse({})),
  args: optional(args),
  ipam: optional(foreignIpam),
  "cni.dev/valid-attachments": attachments,
  "cni.dev/attachments": attachments,
}

const overhead = z.pipe(
  read(z.union([z.number(), z.string()], "must be a number of bytes, or auto"), (value) =>
    value === "auto" ? "" : value,
  ),
  wholeNumber(0, MAX_MTU),
)

/** A flag that is off where nothing is said. */
const off = orElse(flag, false)
const on = orElse(flag, true)

/** The keys that only our own types have. */
const bridgeKeys = {
  /** Linux bridge; the original's where none is named. */
  bridge: orElse(ifname, "cni0"),
  /** One text or a list. */
  bridgeSubnet: orElse(listOf(network), []),
  bridgeIP: orElse(listOf(addressOrPrefix), []),
  /** The gateway is the bridge's first address. */
  useBridgeIPAsGateway: off,
  /** The bridge carries the gateway's address. */
  isGateway: off,
  /** `isGateway`, and a default route in the container. */
  isDefaultGateway: off,
  /** Masquerade what this network sends elsewhere, per container. */
  ipMasq: off,
  /** The same, per subnet. */
  hostNat: off,
  /** MTU of the veth pair and of a new bridge; 0 means: not said. */
  mtu: orElse(wholeNumber(0, MAX_MTU), 0),
  /** Bytes that the container's MTU is smaller; auto: what the driver needs. */
  linkMTUOverhead: orElse(overhead, "auto"),
  /** What the container sends under other addresses than its own is dropped. */
  antiSpoofing: on,
  /** Packets may leave by the port they came from. */
  hairpinMode: off,
  /** The bridge is promiscuous; not together with `hairpinMode`. */
  promiscMode: off,
  /** Leave the bridge's addresses alone. */
  skipBridgeConfigureIP: off,
  dns: optional(dns),
  skipFastPath: unused(flag),
  logToFile: unused(text),
  isDebugLevel: unused(flag),
  cniVersions: unused(textList),
  forceAddress: unused(flag),
  capabilities: unused(anyMap),
  disableCheck: unused(flag),
  disableGC: unused(flag),
  loadOnlyInlinedPlugins: unused(flag),
}

/** A configuration for `rancher-bridge` or `lariat-cni`; what is in `ipam` is checked apart. */
export const bridgeNetconfSchema = section({ ...commonKeys, ...bridgeKeys })

const NOTHING_SAID = section(bridgeKeys).parse({})

/** A configuration of another plugin, which calls us for its IPAM. */
export const otherNetconfSchema = read(looseSection(commonKeys), (said) => ({
  ...NOTHING_SAID,
  ...said,
}))
