/** `CNI_ARGS`: what a runtime says about one container, `KEY=value;KEY=value`. */

import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../../core/address.ts"
import { interfaceMac } from "../../core/mac.ts"
import { messageOf } from "../../errors.ts"
import type { Problem } from "../diagnostic.ts"
import { closest } from "../edit_distance.ts"

/** Reads a value into canonical text; throws when it cannot be one. */
type Read = (value: string) => string

const asIs: Read = (value) => value

/** One address, or several with commas between them, with a prefix length or without. */
const addresses: Read = (value) =>
  value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) =>
      part.includes("/") ? formatPrefix(parsePrefix(part)) : formatAddress(parseAddress(part)),
    )
    .join(",")

const mac: Read = (value) => (value === "" ? "" : interfaceMac(value))

/** The arguments that are known: CNI's own, Rancher's, Kubernetes'. */
const KNOWN: ReadonlyMap<string, Read> = new Map([
  ["IgnoreUnknown", asIs],
  ["IP", addresses],
  ["IPAddress", addresses],
  ["MAC", mac],
  ["MACAddress", mac],
  ["LinkMTUOverhead", asIs],
  ["RancherContainerUUID", asIs],
  ["K8S_POD_NAME", asIs],
  ["K8S_POD_NAMESPACE", asIs],
  ["K8S_POD_UID", asIs],
  ["K8S_POD_INFRA_CONTAINER_ID", asIs],
  ["DOCKER", asIs],
])

/** The longest text that is read, characters. */
const MAX_LENGTH = 65_536

/** What {@link parseCniArgs} found. Keys with an error are left out of `args`. */
export interface CniArgs {
  /** Addresses and MACs in canonical form; unknown keys too, when they are to be ignored. */
  readonly args: Record<string, string>
  readonly problems: Problem[]
}

/**
 * Reads `CNI_ARGS`. A key that is not known is an error unless `IgnoreUnknown` is `1` or `true`,
 * wherever it stands. Never throws.
 */
export function parseCniArgs(text: string): CniArgs {
  const problems: Problem[] = []
  const refuse = (key: string, message: string, hint?: string): void => {
    problems.push({ severity: "error", path: ["CNI_ARGS", key], message, hint })
  }
  if (text.length > MAX_LENGTH) {
    refuse("", `CNI_ARGS is longer than ${MAX_LENGTH} characters`)
    return { args: {}, problems }
  }
  const said = new Map<string, string>()
  for (const pair of text.split(";")) {
    if (pair.trim() === "") continue
    const equals = pair.indexOf("=")
    if (equals > 0) said.set(pair.slice(0, equals).trim(), pair.slice(equals + 1).trim())
    else refuse(pair, `CNI_ARGS has ${JSON.stringify(pair.slice(0, 64))}, which is no KEY=value`)
  }
  const ignoreUnknown = /^(?:1|t|true)$/i.test(said.get("IgnoreUnknown") ?? "")
  const entries: [string, string][] = []
  for (const [key, value] of said) {
    const read = KNOWN.get(key)
    if (read === undefined && !ignoreUnknown) {
      const near = closest(key, [...KNOWN.keys()])
      const hint = near === undefined ? "set IgnoreUnknown=1" : `did you mean ${near}`
      refuse(key, `CNI_ARGS has the unknown key ${JSON.stringify(key.slice(0, 64))}`, hint)
      continue
    }
    try {
      entries.push([key, (read ?? asIs)(value)])
    } catch (error) {
      refuse(key, `CNI_ARGS has ${key}=${JSON.stringify(value.slice(0, 64))}: ${messageOf(error)}`)
    }
  }
  return { args: Object.fromEntries(entries), problems }
}
