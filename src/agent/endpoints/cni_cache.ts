import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as z from "zod/mini"
import { parseNetconf } from "../../config/netconf/parse.ts"
import type { EndpointKey } from "../networks/attach_request.ts"
import type { EndpointNames } from "../state/rows.ts"
import { endpointNames } from "./netconf_request.ts"

/** Where libcni keeps what it called a plugin with (`CacheDir` of its api.go, and `results` below). */
const DIRECTORY = "/var/lib/cni/results"
/** More than a configuration with all labels of a container has. */
const MAX_BYTES = 1_048_576

/** `cachedInfo` of libcni's api.go, what is read of it. */
const cached = z.object({
  kind: z.literal("cniCacheV1"),
  /** The configuration in base64. */
  config: z.string(),
  cniArgs: z.optional(z.nullable(z.array(z.tuple([z.string(), z.string()])))),
  capabilityArgs: z.optional(z.nullable(z.record(z.string(), z.unknown()))),
})

/**
 * The names and labels that a container was attached with, as its runtime keeps them until it is
 * detached; undefined where it keeps none, or nothing that can be read.
 *
 * @param directory default libcni's
 */
export function cachedNames(
  { network, containerId, ifname }: EndpointKey,
  directory: string = DIRECTORY,
): EndpointNames | undefined {
  try {
    const path = join(directory, `${network}-${containerId}-${ifname}`)
    const text = readFileSync(path, "utf8").slice(0, MAX_BYTES)
    const { config, cniArgs, capabilityArgs } = z.parse(cached, JSON.parse(text))
    const netconf: unknown = JSON.parse(Buffer.from(config, "base64").toString("utf8"))
    const runtimeConfig = capabilityArgs ?? {}
    const { conf } = parseNetconf({ ...(netconf as object), runtimeConfig })
    return conf && endpointNames(conf, Object.fromEntries(cniArgs ?? []))
  } catch {
    return undefined
  }
}
