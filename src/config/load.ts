/** From the texts of configuration files to what they mean. Reading the files is the caller's. */

import { defaultAgentSettings, validateAgentSettings } from "./agent_settings.ts"
import { cniNames } from "./cni_config.ts"
import { Report } from "./diagnostic.ts"
import { closest } from "./edit_distance.ts"
import type { AgentSettings, Configuration, Diagnostic, ForeignNetwork } from "./network.ts"
import { checkBetween } from "./network_between.ts"
import { type BuiltNetwork, buildNetwork, type DriverSource } from "./network_build.ts"
import { checkKey } from "./network_check.ts"
import type { Entry, YamlFile } from "./yaml/file.ts"
import type { Environment } from "./yaml/interpolation.ts"
import { parseYamlFile } from "./yaml/parse.ts"

/** Root keys of a Compose file that are no service; also all that begin with `x-`. */
const NO_SERVICE = new Set([
  "version",
  "services",
  "volumes",
  "networks",
  "configs",
  "secrets",
  "catalog",
  ".catalog",
])

/** A file of the configuration, read and decoded as UTF-8. */
export interface SourceFile {
  /** Used in positions only. */
  readonly path: string
  readonly text: string
}

export interface LoadOptions {
  /** Variables for `${NAME}`. */
  readonly env: Environment
}

/**
 * Reads rancher-compose.yml, docker-compose.yml and agent.yml, in any number and combination. A
 * `network_driver` may stand in a service at the root or under `services`; settings of the agent
 * stand under the root key `agent`, and those of a later file are laid over an earlier one's.
 *
 * Never throws: what is wrong is in `diagnostics`, in the order of files and lines. A network with
 * an error in it is left out of `networks`. `hasErrors` tells whether to use the result.
 */
export function loadConfiguration(
  files: readonly SourceFile[],
  { env }: LoadOptions,
): Configuration {
  const report = new Report()
  let agent = defaultAgentSettings()
  const drivers: DriverSource[] = []
  for (const source of files) {
    const file = parseYamlFile(source, report, env)
    if (file === undefined) continue
    const found = readRoot(file)
    if (found.agent !== undefined) agent = readAgent(file, found.agent, agent)
    drivers.push(...found.drivers)
  }
  const networks = drivers.flatMap((driver) => buildNetwork(driver, agent.hostLabels) ?? [])
  checkBetween(networks)
  for (const { network, tell } of networks) checkKey(network, agent).forEach(tell)
  const diagnostics = inOrder(report.list(), files)
  return {
    networks: networks.flatMap(({ network, windows }) => (windows === undefined ? network : [])),
    foreign: networks.flatMap(foreignOf),
    agent,
    diagnostics,
  }
}

function foreignOf({ network, windows }: BuiltNetwork): ForeignNetwork | [] {
  if (windows === undefined) return []
  const { name } = network
  return { name, cniNames: cniNames(network), why: `is for Windows hosts: ${windows}` }
}

interface Found {
  readonly agent: Entry | undefined
  readonly drivers: readonly DriverSource[]
}

function readRoot(file: YamlFile): Found {
  const root = file.rootEntries() ?? []
  let agent: Entry | undefined
  let idle: Entry | undefined
  const drivers: DriverSource[] = []
  for (const entry of root) {
    const inside = file.entries(entry.node, [entry.key])
    const isService = inside?.some(({ key }) => key === "network_driver") === true
    if (entry.key === "agent" && !isService) {
      agent = entry
    } else if (entry.key === "services" && !isService) {
      for (const service of inside ?? []) {
        const keys = file.entries(service.node, [entry.key, service.key])
        drivers.push(...driversOf(file, service, keys, ["services", service.key]))
      }
    } else if (isService || !(NO_SERVICE.has(entry.key) || entry.key.startsWith("x-"))) {
      const found = driversOf(file, entry, inside, [entry.key])
      drivers.push(...found)
      if (found.length === 0) idle ??= entry
    }
  }
  if (agent === undefined && drivers.length === 0) {
    const near = root.map(({ key }) => key).find((key) => closest(key, ["agent"]) !== undefined)
    const hint = near === undefined ? undefined : `did you mean agent by ${near}`
    const message = "neither a network_driver nor agent settings are in this file"
    file.say("warning", 0, [], message, hint)
  } else if (drivers.length === 0 && idle !== undefined) {
    // Beside agent settings it is no service of a Compose file, but a network that went wrong.
    const message = `${idle.key} has no network_driver, so no network is made of it`
    const hint = `write its settings below ${idle.key}.network_driver`
    file.say("warning", idle.mark.key, [idle.key], message, hint)
  }
  return { agent, drivers }
}

function driversOf(
  file: YamlFile,
  service: Entry,
  keys: readonly Entry[] | undefined,
  path: readonly string[],
): DriverSource[] {
  const entry = keys?.find(({ key }) => key === "network_driver")
  if (entry !== undefined) {
    const located = file.evaluate(entry, [...path, "network_driver"])
    return [{ service: service.key, located }]
  }
  for (const { key, mark } of keys ?? []) {
    if (closest(key, ["network_driver"]) === undefined) continue
    const message = `service ${service.key} has ${key} and no network_driver`
    file.say("warning", mark.key, [...path, key], message, "did you mean network_driver")
  }
  return []
}

function readAgent(file: YamlFile, entry: Entry, base: AgentSettings): AgentSettings {
  const located = file.evaluate(entry, ["agent"])
  const { settings, problems } = validateAgentSettings(located.value ?? {}, base)
  problems.forEach(located.tell)
  return settings
}

/** By file, line and column; what stands at the same place stays in the order it was found. */
function inOrder(diagnostics: Diagnostic[], files: readonly SourceFile[]): Diagnostic[] {
  const rank = new Map(files.map(({ path }, index) => [path, index]))
  return diagnostics.sort(({ position: a }, { position: b }) => {
    const byFile = (rank.get(a.file) ?? 0) - (rank.get(b.file) ?? 0)
    return byFile || a.line - b.line || a.column - b.column
  })
}
