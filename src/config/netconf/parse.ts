/**
 * Reads and normalises the network configuration of a CNI call. The agent does this on every
 * call, so it is quick; it never throws, whatever JSON it is given.
 */

import type * as z from "zod/mini"
import {
  addressAdd,
  formatAddress,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../core/address.ts"
import { showValue } from "../diagnostic.ts"
import { validate } from "../validate.ts"
import { ipamOf, problemsOfRanges } from "./ipam.ts"
import {
  BRIDGE_TYPES,
  IPAM_TYPES,
  type Netconf,
  type NetconfDns,
  type NetconfIpam,
  type NetconfProblem,
} from "./netconf.ts"
import { runtimeConfigOf } from "./runtime.ts"
import { bridgeNetconfSchema, ipamSchema, otherNetconfSchema } from "./schema.ts"

/** What a configuration without `cniVersion` has (libcni does the same). */
const DEFAULT_CNI_VERSION = "0.1.0"
/** The original's bridge where the configuration names none. */
const DEFAULT_BRIDGE = "cni0"

const IPAM_KEYS: ReadonlySet<string> = new Set(Object.keys(ipamSchema.def.shape))

/** What {@link parseNetconf} found; `conf` is there when no problem is an error. */
export interface ParsedNetconf {
  readonly conf: Netconf | undefined
  readonly problems: NetconfProblem[]
}

type Bridge = z.output<typeof bridgeNetconfSchema>
type Other = z.output<typeof otherNetconfSchema>

/**
 * Reads a network configuration for one of {@link BRIDGE_TYPES}, or of another plugin that calls
 * us for its IPAM. Of the latter only the keys that concern IPAM are read, because the same names
 * can mean other things there.
 *
 * Flags come as booleans or text, numbers as numbers or text; null and the empty text mean "not
 * said". Unknown keys are warnings. `bridgeIPs` holds an address with prefix length for each of
 * `bridgeSubnets`, by default its first.
 *
 * @param raw any value that JSON can have
 */
export function parseNetconf(raw: unknown): ParsedNetconf {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    const message = `the network configuration must be a map, is ${showValue(raw)}`
    return { conf: undefined, problems: [{ severity: "error", path: [], message }] }
  }
  const type = Object.hasOwn(raw, "type") ? (raw as { type: unknown }).type : undefined
  const problems: NetconfProblem[] = []
  const isBridge = typeof type === "string" && BRIDGE_TYPES.includes(type)
  const bridge = isBridge ? validate(bridgeNetconfSchema, raw, { foldCase: true }) : undefined
  const other = isBridge ? undefined : validate(otherNetconfSchema, raw)
  problems.push(...((bridge ?? other)?.problems ?? []).map(placeInIpam))
  const checked: Bridge | Other | undefined = bridge?.value ?? other?.value
  const rawIpam = checked?.ipam ?? (raw as { ipam?: unknown }).ipam
  const ipam = parseIpam(rawIpam, problems)
  if (checked === undefined) return { conf: undefined, problems }
  const conf: Netconf = {
    cniVersion: checked.cniVersion ?? DEFAULT_CNI_VERSION,
    name: checked.name,
    type: checked.type,
    ...bridgeKeys(bridge?.value, problems),
    agentSocket: checked.agentSocket ?? undefined,
    ipam,
    runtimeConfig: runtimeConfigOf(checked),
    prevResult: checked.prevResult ?? undefined,
    validAttachments: attachmentsOf(checked),
  }
  return { conf: problems.some((p) => p.severity === "error") ? undefined : conf, problems }
}

/** A key of `ipam` that stands beside it is a common mistake. */
function placeInIpam(problem: NetconfProblem): NetconfProblem {
  const [key, more] = problem.path
  const isIpamKey = typeof key === "string" && IPAM_KEYS.has(key)
  if (problem.atKey !== true || more !== undefined || !isIpamKey) return problem
  return { ...problem, hint: `did you mean ipam.${key}` }
}

type BridgeKeys = Omit<
  Netconf,
  | "cniVersion"
  | "name"
  | "type"
  | "agentSocket"
  | "ipam"
  | "runtimeConfig"
  | "prevResult"
  | "validAttachments"
>

/** The keys that only our own types have; all at their defaults for another plugin. */
function bridgeKeys(conf: Bridge | undefined, problems: NetconfProblem[]): BridgeKeys {
  const subnets = (conf?.bridgeSubnet ?? []).map(parsePrefix)
  const hairpinMode = conf?.hairpinMode ?? false
  const promiscMode = conf?.promiscMode ?? false
  if (hairpinMode && promiscMode) {
    problems.push({
      severity: "error",
      path: ["promiscMode"],
      message: "cannot set both hairpinMode and promiscMode: each packet would come back twice",
      hint: "leave hairpinMode on and remove promiscMode",
    })
  }
  return {
    bridge: conf?.bridge ?? DEFAULT_BRIDGE,
    bridgeSubnets: subnets.map((subnet) => formatPrefix(networkOf(subnet))),
    bridgeIPs: bridgeAddresses(subnets, conf?.bridgeIP ?? [], problems),
    useBridgeIPAsGateway: conf?.useBridgeIPAsGateway ?? false,
    isGateway: (conf?.isGateway ?? false) || (conf?.isDefaultGateway ?? false),
    isDefaultGateway: conf?.isDefaultGateway ?? false,
    ipMasq: conf?.ipMasq ?? false,
    hostNat: conf?.hostNat ?? false,
    mtu: conf?.mtu ?? 0,
    linkMTUOverhead: conf?.linkMTUOverhead ?? "auto",
    hairpinMode,
    promiscMode,
    skipBridgeConfigureIP: conf?.skipBridgeConfigureIP ?? false,
    skipFastPath: conf?.skipFastPath ?? false,
    logToFile: conf?.logToFile ?? undefined,
    isDebugLevel: conf?.isDebugLevel ?? false,
    dns: conf?.dns ? dnsOf(conf.dns) : undefined,
  }
}

/** Each said address with the prefix length of its subnet, then the first of the other subnets. */
function bridgeAddresses(
  subnets: readonly Prefix[],
  said: readonly string[],
  problems: NetconfProblem[],
): string[] {
  const refuse = (message: string, hint?: string) => {
    problems.push({ severity: "error", path: ["bridgeIP"], message, hint })
  }
  const served = new Set<Prefix>()
  const addresses: string[] = []
  for (const text of said) {
    const [bare = ""] = text.split("/")
    const subnet = subnets.find((candidate) => prefixContains(candidate, parseAddress(bare)))
    if (subnet !== undefined) {
      served.add(subnet)
      addresses.push(`${bare}/${subnet.length}`)
    } else if (subnets.length > 0) {
      refuse(`bridgeIP ${text} is not inside bridgeSubnet`, "give an address of bridgeSubnet")
    } else if (text.includes("/")) {
      addresses.push(text)
    } else {
      refuse(`bridgeIP ${text} has no prefix length and there is no bridgeSubnet`)
    }
  }
  for (const subnet of subnets) {
    if (served.has(subnet)) continue
    const network = networkOf(subnet)
    const single = subnet.length === subnet.bytes.length * 8
    const first = single ? network : addressAdd(network, 1)
    addresses.push(`${formatAddress(first)}/${subnet.length}`)
  }
  return addresses
}

function parseIpam(raw: unknown, problems: NetconfProblem[]): NetconfIpam | undefined {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return undefined
  const type = Object.hasOwn(raw, "type") ? (raw as { type: unknown }).type : undefined
  // The reference plugins take an empty `ipam` for "no addresses".
  if (typeof type !== "string" || type === "") return undefined
  if (!IPAM_TYPES.includes(type)) return ipamOf({ type })
  const checked = validate(ipamSchema, raw, { foldCase: true, under: ["ipam"] })
  problems.push(...checked.problems)
  if (checked.value === undefined) return undefined
  problems.push(...problemsOfRanges(checked.value))
  return ipamOf(checked.value)
}

function attachmentsOf(conf: Bridge | Other): Netconf["validAttachments"] {
  // A runtime that has none left marshals Go's nil slice: null is the empty list, not "unknown".
  for (const key of ["cni.dev/valid-attachments", "cni.dev/attachments"] as const) {
    if (conf[key] === undefined) continue
    return (conf[key] ?? []).map(({ containerID, ifname }) => ({ containerID, ifname }))
  }
  return undefined
}

function dnsOf(dns: NonNullable<Bridge["dns"]>): NetconfDns {
  return {
    nameservers: dns.nameservers ?? [],
    domain: dns.domain ?? undefined,
    search: dns.search ?? [],
    options: dns.options ?? [],
  }
}
