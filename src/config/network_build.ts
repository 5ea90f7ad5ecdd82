/** From the `network_driver` of one service to a network. */

import { type CniConfigFile, readCniConfig } from "./cni_config.ts"
import type { Problem, Step } from "./diagnostic.ts"
import { driverKindOf } from "./driver_kind.ts"
import {
  type DefaultNetworkInput,
  type DriverInput,
  driverSchema,
  subnet as subnetSchema,
} from "./driver_schema.ts"
import { BRIDGE_TYPES, isOurIpam, type Netconf } from "./netconf/netconf.ts"
import { subnetsOfNetconf } from "./netconf/subnets.ts"
import type { Network, Position, Subnet } from "./network.ts"
import {
  checkBlockSize,
  checkConf,
  checkMacPrefix,
  checkNumbers,
  checkPolicy,
} from "./network_check.ts"
import { resolveSubnet } from "./subnet.ts"
import { validate } from "./validate.ts"
import { isMap } from "./value_schema.ts"
import { windowsSign } from "./windows.ts"
import type { Located } from "./yaml/file.ts"

/** The VNI of Rancher's vxlan driver. */
const DEFAULT_VNI = 1042

/** A `network_driver` that was found in a file. */
export interface DriverSource {
  readonly service: string
  readonly located: Located
}

/** A network, its netconfs, and the way to their places in the YAML. */
export interface BuiltNetwork {
  readonly network: Network
  /** What says that it is one of Windows hosts; undefined for one that can be here. */
  readonly windows: string | undefined
  readonly confs: readonly { readonly file: string; readonly conf: Netconf }[]
  /** Tells of a problem; its path begins below `network_driver`. */
  readonly tell: (problem: Problem) => void
  /** Where a key below `network_driver` stands. */
  readonly positionOf: (path: readonly Step[]) => Position
}

/**
 * Makes the network of a `network_driver`, and reports everything that is wrong with it.
 *
 * @returns undefined when there is none to be made, or an error is in it
 */
export function buildNetwork(
  source: DriverSource,
  hostLabels: Readonly<Record<string, string>>,
): BuiltNetwork | undefined {
  let failed = false
  const tell = (problem: Problem): void => {
    if (problem.severity === "error") failed = true
    source.located.tell(problem)
  }
  const checked = validate(driverSchema, source.located.value, { what: "network_driver" })
  checked.problems.forEach(tell)
  const tellConf = (problem: Problem): void => {
    tell({ ...problem, path: ["cni_config", ...problem.path] })
  }
  // Also when another key is wrong: errors never stop at the first.
  const files = readCniConfig(cniConfigOf(source.located.value), hostLabels, tellConf)
  const confs = files.flatMap(({ file, netconf }) => (netconf ? [{ file, conf: netconf }] : []))
  const own = subnetsOf(source.located.value)
  own.problems.forEach(tell)
  const subnets = own.count > 0 ? own.subnets : subnetsOfConfs(confs, tellConf)
  const driver = checked.value ?? wellFormed(source.located.value, checked.problems)
  if (driver === undefined) return undefined
  const input = driver.default_network
  if (input === undefined) {
    const message = "network_driver has no default_network, so no network is made"
    const hint = "add default_network with a name"
    tell({ severity: "warning", path: [], message, hint, atKey: true })
    return undefined
  }
  checkMacPrefix(input.mac_prefix).forEach(tell)
  checkPolicy(input.policy ?? []).forEach(tell)
  const positionOf = (path: readonly Step[]): Position => source.located.position(path, "value")
  const windows = windowsSign({
    name: input.name,
    kind: input.kind,
    hasSubnets: own.count > 0,
    plugins: files.map(({ conf }) => conf.type),
  })
  if (windows !== undefined) {
    const message = `network ${input.name} is for Windows hosts, since ${windows}; Lariat runs on Linux only, so no container is attached to it here`
    const path = ["default_network", ...(input.kind === undefined ? [] : ["kind"])]
    tell({ severity: "warning", path, message, atKey: true, elsewhere: true })
    const network = assemble(source, driver, input, [], files)
    return failed ? undefined : { network, windows, confs, tell, positionOf }
  }
  const network = assemble(source, driver, input, subnets, files)
  checkNumbers(driver, network.driver).forEach(tell)
  checkBlockSize(driver.block_size, subnets).forEach(tell)
  for (const { file, conf } of confs) {
    for (const problem of checkConf(conf, network)) {
      tellConf({ ...problem, path: [file, ...problem.path] })
    }
  }
  if (files.length === 0) {
    const message = `network ${network.name} has no cni_config, so no runtime can attach to it`
    tell({ severity: "warning", path: ["default_network"], message, atKey: true })
  } else if (subnets.length === 0 && files.some(lacksSubnet)) {
    const message = `network ${network.name} has no subnet: neither subnets nor its cni_config names one`
    tell({
      severity: "warning",
      path: ["default_network"],
      message,
      hint: "add subnets",
      atKey: true,
    })
  }
  return failed ? undefined : { network, windows, confs, tell, positionOf }
}

/** The subnets that are well formed, and what is wrong with them, whatever else is wrong. */
function subnetsOf(driver: unknown) {
  const network = isMap(driver) ? driver.default_network : undefined
  const entries = isMap(network) && Array.isArray(network.subnets) ? network.subnets : []
  const subnets: Subnet[] = []
  const problems = entries.flatMap((entry, index) => {
    const { value } = validate(subnetSchema, entry)
    if (value === undefined) return []
    const resolved = resolveSubnet(value)
    if (resolved.subnet !== undefined) subnets.push(resolved.subnet)
    const path = ["default_network", "subnets", index]
    return resolved.problems.map((problem) => ({ ...problem, path: [...path, ...problem.path] }))
  })
  return { subnets, problems, count: entries.length }
}

/**
 * The pools of the first configuration that names any: drivers of one subnet a host say them there
 * alone, by labels of the host.
 */
function subnetsOfConfs(
  confs: BuiltNetwork["confs"],
  tell: (problem: Problem) => void,
): readonly Subnet[] {
  for (const { file, conf } of confs) {
    if (!BRIDGE_TYPES.includes(conf.type)) continue
    const found = subnetsOfNetconf(conf)
    if (found.length === 0) continue
    for (const { problems } of found) {
      for (const problem of problems) tell({ ...problem, path: [file, ...problem.path] })
    }
    return found.flatMap(({ subnet }) => subnet ?? [])
  }
  return []
}

/** Whether containers are to have addresses of us, and no key says which: labels may, elsewhere. */
function lacksSubnet({ conf, netconf }: CniConfigFile): boolean {
  if (netconf === undefined || !BRIDGE_TYPES.includes(netconf.type)) return false
  if (!isOurIpam(netconf) || !isMap(conf.ipam)) return false
  return (conf.bridgeSubnet ?? conf.ipam.subnet ?? conf.ipam.ranges) === undefined
}

/** The driver without the keys that have an error, so that the rest of it is looked at too. */
function wellFormed(raw: unknown, problems: readonly Problem[]): DriverInput | undefined {
  if (!isMap(raw)) return undefined
  const inner: Record<string, unknown> | undefined = isMap(raw.default_network)
    ? { ...raw.default_network }
    : undefined
  const driver: Record<string, unknown> = { ...raw, default_network: inner }
  for (const { severity, path } of problems) {
    if (severity !== "error") continue
    const [key = "", below] = path
    if (key === "default_network" && inner !== undefined && below !== undefined) delete inner[below]
    else delete driver[key]
  }
  return validate(driverSchema, driver).value
}

function cniConfigOf(driver: unknown): Readonly<Record<string, unknown>> {
  return isMap(driver) && isMap(driver.cni_config) ? driver.cni_config : {}
}

function assemble(
  { service, located }: DriverSource,
  driver: DriverInput,
  input: DefaultNetworkInput,
  subnets: readonly Subnet[],
  files: readonly CniConfigFile[],
): Network {
  return {
    name: input.name,
    driverName: driver.name ?? service,
    service,
    driver: driver.driver ?? driverKindOf([driver.name, service, input.name]),
    encapsulation: {
      cipher: driver.cipher ?? "aes256gcm16",
      udp: driver.udp_encapsulation ?? "none",
      port: driver.port,
      vni: driver.vni ?? DEFAULT_VNI,
      blockSize: driver.block_size,
    },
    subnets,
    hostPorts: input.host_ports ?? false,
    dns: input.dns ?? [],
    dnsSearch: input.dns_search ?? [],
    metadata: { ...input.metadata, ...driver.network_metadata },
    macPrefix: input.mac_prefix?.toLowerCase().replaceAll("-", ":"),
    defaultPolicyAction: input.default_policy_action ?? "allow",
    policy: input.policy ?? [],
    cni: files.map(({ file, conf }) => ({ file, conf })),
    position: located.position([], "key"),
  }
}
