/** The agent's own settings: `agent:` of agent.yml. */

import * as z from "zod/mini"
import { parseAddress } from "../core/address.ts"
import { clusterKeys, defaultClusterSettings, overlay, overlayCluster } from "./cluster_settings.ts"
import type { Problem, Step } from "./diagnostic.ts"
import type { AgentSettings } from "./network.ts"
import { validate } from "./validate.ts"
import {
  absolutePath,
  duration,
  oneOf,
  optional,
  optionalAddress,
  optionalText,
  read,
  section,
  textThat,
  wholeNumber,
} from "./value_schema.ts"

/** Where metadata and DNS are reached: the address that Rancher's containers know. */
const SERVICE_ADDRESS = "169.254.169.250"

const store = textThat(
  (value) => value === "sqlite" || value.split(",").every(isStoreUrl),
  "must be sqlite or the URL of an etcd, such as https://10.0.0.1:2379",
)

function isStoreUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

const listen = textThat(
  isListenAddress,
  "must be an address and a port, such as 169.254.169.250:80 or [fd00::1]:80",
)

const dnsListen = textThat(
  (value) => value === "none" || isListenAddress(value),
  "must be an address and a port, such as 169.254.169.250:53 or [fd00::1]:53, or none",
)

function isListenAddress(text: string): boolean {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text)
  if (match === null || Number(match[3]) > 65_535) return false
  try {
    parseAddress(match[1] ?? match[2] ?? "")
    return true
  } catch {
    return false
  }
}

const labelValue = read(z.union([z.string(), z.number(), z.boolean()], "must be text"), String)

const hostLabels = z.record(z.string(), labelValue, "must be a map from label to text")

const bound = wholeNumber(0, 1_000_000)
const byteBound = wholeNumber(0, 1_000_000_000)

/** `agent`. What each key means and its default: {@link AgentSettings}. */
const agentSchema = section({
  stateDir: optional(absolutePath),
  runDir: optional(absolutePath),
  store: optional(store),
  hostIp: optional(optionalAddress),
  hostName: optional(optionalText),
  hostLabels: optional(hostLabels),
  metadataListen: optional(listen),
  dnsListen: optional(dnsListen),
  limits: optional(
    section({
      connections: optional(bound),
      connectionsInAll: optional(bound),
      connectionsPerSecond: optional(bound),
      bytesPerSecond: optional(byteBound),
      queriesPerSecond: optional(bound),
    }),
  ),
  objects: optional(absolutePath),
  createBridge: optional(oneOf(["auto", "always", "never"])),
  /** A bare number is milliseconds in both. */
  quarantine: optional(duration()),
  quarantineMs: optional(duration()),
  logLevel: optional(oneOf(["debug", "info", "warning", "error"])),
  ...clusterKeys,
})

/** The settings of an agent that is told nothing. */
export function defaultAgentSettings(): AgentSettings {
  return {
    stateDir: "/var/lib/lariat",
    runDir: "/run/lariat",
    store: "sqlite",
    cluster: defaultClusterSettings(),
    hostIp: undefined,
    hostName: undefined,
    hostLabels: {},
    metadataListen: `${SERVICE_ADDRESS}:80`,
    dnsListen: `${SERVICE_ADDRESS}:53`,
    limits: {
      connections: 1024,
      connectionsInAll: 32_768,
      connectionsPerSecond: 1000,
      bytesPerSecond: 250_000,
      queriesPerSecond: 10_000,
    },
    objects: undefined,
    createBridge: "auto",
    quarantineMs: 60_000,
    logLevel: "info",
  }
}

/**
 * Checks settings as a file or the command line gives them, and lays them over others.
 *
 * @param raw a map with any of the keys of {@link agentSchema}
 * @param base what holds where `raw` says nothing; default {@link defaultAgentSettings}
 * @returns settings that can be used in any case: a key with an error leaves its base
 */
export function validateAgentSettings(
  raw: unknown,
  base: AgentSettings = defaultAgentSettings(),
): { settings: AgentSettings; problems: readonly Problem[] } {
  const whole = validate(agentSchema, raw, { what: "agent" })
  const bad = new Set<Step | undefined>(whole.problems.map((problem) => problem.path[0]))
  const value = whole.value ?? validate(agentSchema, withoutKeys(raw, bad)).value ?? {}
  const settings = overlay(base, {
    ...value,
    cluster: overlayCluster(value, base.cluster),
    hostLabels: { ...base.hostLabels, ...value.hostLabels },
    limits: overlay(base.limits, value.limits ?? {}),
    quarantineMs: value.quarantine ?? value.quarantineMs,
  })
  return { settings, problems: whole.problems }
}

function withoutKeys(raw: unknown, keys: ReadonlySet<Step | undefined>): unknown {
  if (typeof raw !== "object" || raw === null) return {}
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !keys.has(key)))
}
