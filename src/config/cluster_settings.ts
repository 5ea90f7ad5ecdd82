/** The keys of `agent:` that say how this host takes part in a cluster. */

import * as z from "zod/mini"
import type { ClusterSettings } from "./network.ts"
import { absolutePath, duration, optional, optionalText, textThat } from "./value_schema.ts"

const SECOND = 1000
const HOUR = 3600 * SECOND
/** A shorter silence than this is an ordinary hiccup of a busy edge host. */
const LEAST_HOST_TIMEOUT_MS = 5 * SECOND
/** More often, new keys would cost more than what they protect. */
const LEAST_REKEY_MS = 10 * SECOND

const clusterName = textThat(
  (value) => /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value),
  "must be up to 63 letters, digits, dots, hyphens and underscores",
)

const hosts = z.array(z.string("must be text"), "must be a list of host names or ids")

/** The keys, which stand beside the agent's others. What each means: {@link ClusterSettings}. */
export const clusterKeys = {
  cluster: optional(clusterName),
  pskFile: optional(absolutePath),
  allowHosts: optional(hosts),
  storeCa: optional(absolutePath),
  storeCert: optional(absolutePath),
  storeKey: optional(absolutePath),
  storeUser: optional(optionalText),
  storePasswordFile: optional(absolutePath),
  hostTimeout: optional(duration({ least: LEAST_HOST_TIMEOUT_MS })),
  blockReuse: optional(duration()),
  rekeyEvery: optional(duration({ least: LEAST_REKEY_MS })),
}

type ClusterInput = Partial<z.output<z.ZodMiniObject<typeof clusterKeys>>>

/** The settings of a host that is told nothing. */
export function defaultClusterSettings(): ClusterSettings {
  return {
    name: "default",
    pskFile: undefined,
    allowHosts: undefined,
    storeCa: undefined,
    storeCert: undefined,
    storeKey: undefined,
    storeUser: undefined,
    storePasswordFile: undefined,
    hostTimeoutMs: 30 * SECOND,
    blockReuseMs: 24 * HOUR,
    rekeyMs: 8 * HOUR,
  }
}

/** What was said, laid over others. */
export function overlayCluster(input: ClusterInput, base: ClusterSettings): ClusterSettings {
  return overlay(base, {
    ...input,
    name: input.cluster,
    hostTimeoutMs: input.hostTimeout,
    blockReuseMs: input.blockReuse,
    rekeyMs: input.rekeyEvery,
  })
}

/** Settings with what was said of them in the place of what they were. */
export function overlay<T extends object>(
  base: T,
  said: { readonly [K in keyof T]?: T[K] | undefined },
): T {
  const entries = Object.entries(base).map(([key, value]) => [key, said[key as keyof T] ?? value])
  return Object.fromEntries(entries) as T
}
