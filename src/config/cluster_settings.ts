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

/** The keys; they stand beside the agent's others. */
export const clusterKeys = {
  cluster: optional(clusterName, "Name of the cluster in the store; default default"),
  pskFile: optional(absolutePath, "File of the pre-shared key, mode 0600; the same on all hosts"),
  allowHosts: optional(hosts, "Names or ids of the hosts to let in; default whoever has the key"),
  storeCa: optional(absolutePath, "CA certificate of the etcd"),
  storeCert: optional(absolutePath, "Client certificate for the etcd"),
  storeKey: optional(absolutePath, "Key of the client certificate"),
  storeUser: optional(optionalText, "User of the etcd"),
  storePasswordFile: optional(absolutePath, "File of that user's password, mode 0600"),
  hostTimeout: optional(
    duration({ least: LEAST_HOST_TIMEOUT_MS }),
    "How long a host may be silent before it is off the mesh; default 30s, at least 5s",
  ),
  blockReuse: optional(
    duration(),
    "How long a host must be gone before its blocks are used by others; default 24h",
  ),
  rekeyEvery: optional(
    duration({ least: LEAST_REKEY_MS }),
    "How often new keys are made; default 8h, at least 10s",
  ),
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
  return {
    name: input.cluster ?? base.name,
    pskFile: input.pskFile ?? base.pskFile,
    allowHosts: input.allowHosts ?? base.allowHosts,
    storeCa: input.storeCa ?? base.storeCa,
    storeCert: input.storeCert ?? base.storeCert,
    storeKey: input.storeKey ?? base.storeKey,
    storeUser: input.storeUser ?? base.storeUser,
    storePasswordFile: input.storePasswordFile ?? base.storePasswordFile,
    hostTimeoutMs: input.hostTimeout ?? base.hostTimeoutMs,
    blockReuseMs: input.blockReuse ?? base.blockReuseMs,
    rekeyMs: input.rekeyEvery ?? base.rekeyMs,
  }
}
