/**
 * The network configuration as a runtime sends it on standard input: bytes to a JSON object, and
 * the rules that hold for every plugin and command. What the plugin's own keys say is read later,
 * by the agent.
 */

import { messageOf } from "../errors.ts"
import { isIdentifier } from "./environment.ts"
import { CniError } from "./error.ts"
import { deeperThan, isObject, type JsonObject, MAX_DEPTH } from "./json.ts"
import { shown } from "./text.ts"
import { type CniCommand, type CniVersion, readVersion, requireCommand } from "./version.ts"

/**
 * Reads a configuration.
 *
 * @throws CniError decode (code 6) where the bytes are no JSON object, or it is nested too deep
 */
export function decodeNetconf(bytes: Uint8Array): JsonObject {
  const refuse = (why: string, cause?: unknown): CniError =>
    new CniError(`Cannot read the network configuration: ${why}`, {
      code: "decode",
      hint: "send one JSON object on standard input",
      cause,
    })
  if (bytes.length === 0) throw refuse("standard input is empty")
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    // The runtimes' decoders disagree about the class; TypeError is TextDecoder's on all.
    throw refuse(
      error instanceof TypeError ? "it is not UTF-8" : `it is not JSON (${messageOf(error)})`,
      error,
    )
  }
  if (!isObject(value)) throw refuse(`it is ${shown(value)}, not an object`)
  if (deeperThan(value, MAX_DEPTH)) throw refuse(`it is nested more than ${MAX_DEPTH} levels deep`)
  return value
}

/**
 * Checks what every call must satisfy, whatever the plugin: a version that we speak and that has
 * the command, a network name, and the result of ADD for CHECK.
 *
 * @returns the configuration's version
 * @throws CniError version-unsupported (code 1), config-invalid (code 7)
 */
export function checkNetconf(command: CniCommand, config: JsonObject): CniVersion {
  const version = readVersion(config.cniVersion)
  requireCommand(command, version)
  const { name } = config
  if (typeof name !== "string" || !isIdentifier(name)) {
    const why =
      name === undefined || name === ""
        ? "its name is missing"
        : `its name ${shown(name)} is not letters, digits, "_", "." and "-" after a letter or digit`
    throw new CniError(`Cannot use the network configuration: ${why}`, {
      code: "config-invalid",
      hint: "give the network a name such as rancher-cni-network",
    })
  }
  // The key itself, not its use: CHECK without it has nothing to compare with.
  if (command === "CHECK" && !isObject(config.prevResult)) {
    throw new CniError(`Cannot run CHECK for network ${name}: prevResult is missing`, {
      code: "config-invalid",
      hint: "the container runtime must pass the result of ADD as prevResult",
    })
  }
  return version
}
