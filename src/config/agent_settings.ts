/** The agent's own settings: `agent:` of agent.yml. */

import * as z from "zod/mini"
import { parseAddress } from "../core/address.ts"
import { clusterKeys, defaultClusterSettings, overlayCluster } from "./cluster_settings.ts"
import type { Step } from "./diagnostic.ts"
import type { NetconfProblem } from "./netconf/netconf.ts"
import type { AgentSettings, LimitSettings } from "./network.ts"
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

const limits = section({
  connections: optional(bound, "TCP connections at once; default 1024, 0 bounds nothing"),
  connectionsInAll: optional(bound, "Those of all sources together; default 32768"),
  connectionsPerSecond: optional(bound, "New TCP connections; default 1000"),
  bytesPerSecond: optional(byteBound, "Bytes by TCP, heads of packets too; default 250000"),
  queriesPerSecond: optional(bound, "DNS queries by UDP; default 10000"),
})

/** `agent`. */
const agentSchema = section({
  stateDir: optional(absolutePath, "What must survive a restart; default /var/lib/lariat"),
  runDir: optional(absolutePath, "Sockets; default /run/lariat"),
  store: optional(store, "sqlite, or the URL of an etcd; default sqlite"),
  hostIp: optional(optionalAddress, "Address of this host that other hosts reach"),
  hostName: optional(optionalText, "Name of this host; default the kernel's"),
  hostLabels: optional(
    hostLabels,
    "Labels of this host, for __host_label__: values and the metadata API",
  ),
  metadataListen: optional(listen, `Default ${SERVICE_ADDRESS}:80`),
  dnsListen: optional(dnsListen, `Default ${SERVICE_ADDRESS}:53; none serves no DNS`),
  limits: optional(limits, "What one source may ask of metadata and DNS"),
  objects: optional(
    absolutePath,
    "File of objects, such as external services, that metadata and DNS know too; default none",
  ),
  createBridge: optional(
    oneOf(["auto", "always", "never"]),
    "Whether to make a missing bridge; auto makes docker0 only where no Docker is",
  ),
  quarantine: optional(
    duration(),
    "How long a released address rests, such as 60s or 5m; default 60s",
  ),
  quarantineMs: optional(duration(), "The same; a bare number is milliseconds in both"),
  logLevel: optional(oneOf(["debug", "info", "warning", "error"]), "Default info"),
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
): { settings: AgentSettings; problems: readonly NetconfProblem[] } {
  const whole = validate(agentSchema, raw, { what: "agent" })
  const bad = new Set<Step | undefined>(whole.problems.map((problem) => problem.path[0]))
  const value = whole.value ?? validate(agentSchema, withoutKeys(raw, bad)).value ?? {}
  const settings: AgentSettings = {
    stateDir: value.stateDir ?? base.stateDir,
    runDir: value.runDir ?? base.runDir,
    store: value.store ?? base.store,
    cluster: overlayCluster(value, base.cluster),
    hostIp: value.hostIp ?? base.hostIp,
    hostName: value.hostName ?? base.hostName,
    hostLabels: { ...base.hostLabels, ...value.hostLabels },
    metadataListen: value.metadataListen ?? base.metadataListen,
    dnsListen: value.dnsListen ?? base.dnsListen,
    limits: overlayLimits(value.limits ?? {}, base.limits),
    objects: value.objects ?? base.objects,
    createBridge: value.createBridge ?? base.createBridge,
    quarantineMs: value.quarantine ?? value.quarantineMs ?? base.quarantineMs,
    logLevel: value.logLevel ?? base.logLevel,
  }
  return { settings, problems: whole.problems }
}

function overlayLimits(value: z.output<typeof limits>, base: LimitSettings): LimitSettings {
  return {
    connections: value.connections ?? base.connections,
    connectionsInAll: value.connectionsInAll ?? base.connectionsInAll,
    connectionsPerSecond: value.connectionsPerSecond ?? base.connectionsPerSecond,
    bytesPerSecond: value.bytesPerSecond ?? base.bytesPerSecond,
    queriesPerSecond: value.queriesPerSecond ?? base.queriesPerSecond,
  }
}

function withoutKeys(raw: unknown, keys: ReadonlySet<Step | undefined>): unknown {
  if (typeof raw !== "object" || raw === null) return {}
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !keys.has(key)))
}
