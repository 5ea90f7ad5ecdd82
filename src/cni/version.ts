/**
 * CNI specification versions: which Lariat speaks, and what exists in which.
 *
 * Sources: the specification's tags and its documents `CONVENTIONS.md` and `spec-upgrades.md` at
 * github.com/containernetworking/cni.
 */

import { CniError } from "./error.ts"
import { shown } from "./text.ts"

/** Every version that Lariat speaks, oldest first. */
export const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const

export type CniVersion = (typeof CNI_VERSIONS)[number]

/** The version of errors about calls whose own version is unknown, and of the VERSION answer. */
export const NEWEST_VERSION: CniVersion = "1.1.0"

/** What a configuration without `cniVersion` means; the key came with 0.2.0. */
const UNSAID_VERSION: CniVersion = "0.1.0"

/** What a plugin can be called for. */
export const CNI_COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const

export type CniCommand = (typeof CNI_COMMANDS)[number]

/** The version that brought a command; the others are as old as the specification. */
const COMMAND_SINCE: Readonly<Partial<Record<CniCommand, CniVersion>>> = {
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
}

/** How a version writes a result. */
export interface ResultShape {
  /** `ip4` and `ip6` with one address each, and no interfaces (0.1.0 and 0.2.0). */
  readonly perFamily: boolean
  /** `ips[].version` says "4" or "6" (0.3.0 to 0.4.0). */
  readonly ipVersion: boolean
  /** Interfaces carry `mtu`, `socketPath`, `pciID`; routes carry more than `dst` and `gw`. */
  readonly extended: boolean
}

/** Whether the text names a version that Lariat speaks. */
export function isCniVersion(text: unknown): text is CniVersion {
  return CNI_VERSIONS.some((version) => version === text)
}

/** Whether `version` is `other` or a later one. */
export function atLeast(version: CniVersion, other: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(other)
}

/** Whether the text is a command of any version. */
export function isCniCommand(text: unknown): text is CniCommand {
  return CNI_COMMANDS.some((command) => command === text)
}

/** The first version in which the command may be called. */
function commandSince(command: CniCommand): CniVersion {
  return COMMAND_SINCE[command] ?? "0.1.0"
}

/** How results of this version are written. */
export function resultShape(version: CniVersion): ResultShape {
  return {
    perFamily: !atLeast(version, "0.3.0"),
    ipVersion: atLeast(version, "0.3.0") && !atLeast(version, "1.0.0"),
    extended: atLeast(version, "1.1.0"),
  }
}

/**
 * The version that a configuration or result names with its `cniVersion`.
 *
 * @param value the key's value; undefined and the empty text mean `unsaid`
 * @throws CniError version-unsupported (code 1)
 */
export function readVersion(value: unknown, unsaid: CniVersion = UNSAID_VERSION): CniVersion {
  if (value === undefined || value === "") return unsaid
  if (isCniVersion(value)) return value
  const why =
    typeof value === "string"
      ? "this plugin does not speak it"
      : "a version is a text such as 1.0.0"
  throw new CniError(`Cannot use cniVersion ${shown(value)}: ${why}`, {
    code: "version-unsupported",
    hint: `set cniVersion to one of ${CNI_VERSIONS.join(", ")}`,
  })
}

/**
 * Refuses a command that the configuration's version does not have.
 *
 * @throws CniError version-unsupported (code 1)
 */
export function requireCommand(command: CniCommand, version: CniVersion): void {
  const since = commandSince(command)
  if (atLeast(version, since)) return
  throw new CniError(`Cannot run ${command}: it does not exist in cniVersion ${version}`, {
    code: "version-unsupported",
    hint: `set cniVersion to ${since} or later`,
  })
}

/** The answer to VERSION. */
export function versionReply(): { cniVersion: CniVersion; supportedVersions: CniVersion[] } {
  return { cniVersion: NEWEST_VERSION, supportedVersions: [...CNI_VERSIONS] }
}
