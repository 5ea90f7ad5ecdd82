/**
 * Reads and normalises the network configuration of a CNI call. The agent does this on every
 * call, so it is quick; it never throws, whatever JSON it is given.
 */

import {
  addressAdd,
  formatAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../core/address.ts"
import { type Problem, showValue } from "../diagnostic.ts"
import { validate } from "../validate.ts"
import { isMap, type Output } from "../value_schema.ts"
import { ipamOf, problemsOfRanges } from "./ipam.ts"
import {
  BRIDGE_TYPES,
  IPAM_TYPES,
  type Netconf,
  type NetconfIpam,
  type RuntimeConfig,
} from "./netconf.ts"
import { bridgeNetconfSchema, ipamSchema, otherNetconfSchema } from "./schema.ts"

const IPAM_KEYS: ReadonlySet<string> = new Set(Object.keys(ipamSchema.def.shape))

/** What {@link parseNetconf} found; `conf` is there when no problem is an error. */
export interface ParsedNetconf {
  readonly conf: Netconf | undefined
  readonly problems: Problem[]
}

type Said = Output<typeof bridgeNetconfSchema>

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
  if (!isMap(raw)) {
    const message = `the network configuration must be a map, is ${showValue(raw)}`
    return { conf: undefined, problems: [{ severity: "error", path: [], message }] }
  }
  const problems: Problem[] = []
  const isBridge = typeof raw.type === "string" && BRIDGE_TYPES.includes(raw.type)
  const checked = isBridge
    ? validate(bridgeNetconfSchema, raw, { foldCase: true })
    : validate(otherNetconfSchema, raw)
  problems.push(...checked.problems.map(placeInIpam))
  const ipam = parseIpam(checked.value?.ipam ?? raw.ipam, problems)
  if (checked.value === undefined) return { conf: undefined, problems }
  const conf = assemble(checked.value, ipam, problems)
  return { conf: problems.some((p) => p.severity === "error") ? undefined : conf, problems }
}

function assemble(said: Said, ipam: NetconfIpam | undefined, problems: Problem[]): Netconf {
  const {
    bridgeSubnet,
    bridgeIP,
    runtimeConfig: _,
    args: __,
    "cni.dev/valid-attachments": validAttachments,
    "cni.dev/attachments": attachments,
    ...keys
  } = said
  if (keys.hairpinMode && keys.promiscMode) {
    problems.push({
      severity: "error",
      path: ["promiscMode"],
      message: "cannot set both hairpinMode and promiscMode: each packet would come back twice",
      hint: "leave hairpinMode on and remove promiscMode",
    })
  }
  return {
    ...keys,
    isGateway: keys.isGateway || keys.isDefaultGateway,
    bridgeSubnets: bridgeSubnet,
    bridgeIPs: bridgeAddresses(bridgeSubnet.map(parsePrefix), bridgeIP, problems),
    ipam,
    runtimeConfig: runtimeConfigOf(said),
    validAttachments: validAttachments ?? attachments,
  }
}

/** A key of `ipam` that stands beside it is a common mistake. */
function placeInIpam(problem: Problem): Problem {
  const [key, more] = problem.path
  const isIpamKey = typeof key === "string" && IPAM_KEYS.has(key)
  if (problem.atKey !== true || more !== undefined || !isIpamKey) return problem
  return { ...problem, hint: `did you mean ipam.${key}` }
}

/** Each said address with the prefix length of its subnet, then the first of the other subnets. */
function bridgeAddresses(
  subnets: readonly Prefix[],
  said: readonly string[],
  problems: Problem[],
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
    const single = subnet.length === subnet.bytes.length * 8
    const first = single ? subnet : addressAdd(subnet, 1)
    addresses.push(`${formatAddress(first)}/${subnet.length}`)
  }
  return addresses
}

function parseIpam(raw: unknown, problems: Problem[]): NetconfIpam | undefined {
  if (!isMap(raw)) return undefined
  const { type } = raw
  // The reference plugins take an empty `ipam` for "no addresses".
  if (typeof type !== "string" || type === "") return undefined
  if (!IPAM_TYPES.includes(type)) return ipamOf({ type, routes: [], ranges: [] })
  const checked = validate(ipamSchema, raw, { foldCase: true, under: ["ipam"] })
  problems.push(...checked.problems)
  if (checked.value === undefined) return undefined
  problems.push(...problemsOfRanges(checked.value))
  return ipamOf(checked.value)
}

/** `runtimeConfig` with `args.cni` merged into it. */
function runtimeConfigOf({ name, runtimeConfig, args }: Said): RuntimeConfig {
  const { ips, aliases } = runtimeConfig
  return {
    ...runtimeConfig,
    ips: [...new Set([...ips, ...(args?.cni?.ips ?? [])])],
    aliases: aliasesOf(aliases, name),
    labels: args?.cni?.labels,
  }
}

/** Podman gives the aliases of all networks, by network. */
function aliasesOf(aliases: Said["runtimeConfig"]["aliases"], network: string): readonly string[] {
  if (!isMap(aliases)) return aliases
  return Object.hasOwn(aliases, network) ? (aliases[network] ?? []) : []
}
