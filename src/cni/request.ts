/** The agent's reading of a {@link CniRequest}: its socket takes whatever anyone writes to it. */

import { type CheckedEnvironment, readEnvironment } from "./environment.ts"
import { CniError } from "./error.ts"
import { deeperThan, isObject, type JsonObject, MAX_DEPTH } from "./json.ts"
import { checkNetconf } from "./netconf_json.ts"
import type { CniRequest } from "./protocol.ts"
import { shown } from "./text.ts"
import { type CniVersion, isCniVersion, NEWEST_VERSION } from "./version.ts"

/** A request whose form, variables and common configuration keys are as the protocol has them. */
export interface CheckedRequest extends CniRequest {
  readonly env: CheckedEnvironment
  /** The configuration's version. */
  readonly version: CniVersion
}

/**
 * Checks a request as the plugin did before it sent it: the agent may be asked by another version
 * of the plugin, or by something else.
 *
 * @throws CniError decode (code 6) where the form is wrong; as readEnvironment and checkNetconf do
 */
export function readRequest(value: unknown): CheckedRequest {
  if (!isObject(value)) throw refuse("it", value)
  const { role, env, config, ipamResult } = value
  if (role !== "bridge" && role !== "ipam") throw refuse("role", role)
  if (!isObject(env)) throw refuse("env", env)
  if (!isObject(config)) throw refuse("config", config)
  if (ipamResult !== undefined && !isObject(ipamResult)) throw refuse("ipamResult", ipamResult)
  if (deeperThan(config, MAX_DEPTH) || deeperThan(ipamResult, MAX_DEPTH)) {
    throw new CniError(`Cannot read the request: it is nested more than ${MAX_DEPTH} levels deep`, {
      code: "decode",
    })
  }
  const checked = readEnvironment({
    CNI_COMMAND: text(env, "command"),
    CNI_CONTAINERID: text(env, "containerId"),
    CNI_NETNS: text(env, "netns"),
    CNI_IFNAME: text(env, "ifname"),
    CNI_ARGS: text(env, "args"),
    CNI_PATH: text(env, "path"),
    CNI_NETNS_OVERRIDE: env.netnsOverride === true ? "1" : "",
  })
  const version = checkNetconf(checked.command, config)
  const request = { op: "cni", role, env: checked, config, version } as const
  return ipamResult === undefined ? request : { ...request, ipamResult }
}

/** The version to answer a request in that {@link readRequest} may refuse. */
export function answerVersion(value: unknown): CniVersion {
  const config = isObject(value) ? value.config : undefined
  const version = isObject(config) ? config.cniVersion : undefined
  return isCniVersion(version) ? version : NEWEST_VERSION
}

function text(env: JsonObject, key: string): string {
  const value = env[key] ?? ""
  if (typeof value !== "string" || value.includes("\0")) throw refuse(`env.${key}`, value)
  return value
}

function refuse(what: string, value: unknown): CniError {
  return new CniError(`Cannot read the request: ${what} is ${shown(value)}`, {
    code: "decode",
    hint: "plugin and agent may be of different versions; restart the agent",
  })
}
