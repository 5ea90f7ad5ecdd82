/** The CNI_* variables of a call: which a command needs, and what they may say. */

import { malformedArgs } from "./args.ts"
import { CniError } from "./error.ts"
import type { CniEnvironment } from "./protocol.ts"
import { shown } from "./text.ts"
import { CNI_COMMANDS, type CniCommand, isCniCommand } from "./version.ts"

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** {@link CniEnvironment} whose command is known to be one. */
export interface CheckedEnvironment extends CniEnvironment {
  readonly command: CniCommand
}

/** IFNAMSIZ of linux/if.h without the terminating NUL, bytes. */
const MAX_IFNAME_BYTES = 15

/** CNI SPEC, Parameters: form of a container id, and of a network's name. */
const IDENTIFIER = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/**
 * The variables that each command cannot do without. CNI_PATH is in none of them: the specification
 * lets runtimes leave it out, and only a delegated call needs it.
 */
const NEEDED: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  GC: [],
  STATUS: [],
  VERSION: [],
}

/** Whether the text has the form of a container id or of a network's name. */
export function isIdentifier(text: string): boolean {
  return IDENTIFIER.test(text)
}

/**
 * Why the text cannot name an interface, or undefined if it can: CNI's rules, and dev_valid_name()
 * of net/core/dev.c. The kernel counts bytes, takes the byte 0xa0 for a space, and replaces `%d` by
 * a number, so that the interface would not have the name that the runtime asked for.
 */
export function ifnameFault(name: string): string | undefined {
  const bytes = new TextEncoder().encode(name)
  if (bytes.length === 0) return "it is empty"
  if (bytes.length > MAX_IFNAME_BYTES) return `it is longer than ${MAX_IFNAME_BYTES} bytes`
  if (name === "." || name === "..") return "it names a directory"
  if (/[/:%]/.test(name)) return "it has one of / : %"
  // Go's idea of white space, which runtimes check with, has U+0085 as well.
  if (/[\s\u0085]/.test(name) || bytes.includes(0xa0)) return "it has white space"
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) return "it has control characters"
  return undefined
}

/**
 * Reads and checks the variables of one call.
 *
 * @throws CniError environment (code 4), naming every missing and wrong variable at once
 */
export function readEnvironment(env: Environment): CheckedEnvironment {
  const command = env.CNI_COMMAND ?? ""
  if (!isCniCommand(command)) {
    throw new CniError(`Cannot run CNI_COMMAND ${shown(command)}: there is no such command`, {
      code: "environment",
      hint: `set CNI_COMMAND to one of ${CNI_COMMANDS.join(", ")}`,
    })
  }
  const faults = environmentFaults(command, env)
  if (faults.length > 0) {
    throw new CniError(`Cannot run ${command}: ${faults.join("; ")}`, {
      code: "environment",
      hint: "the container runtime must set these variables before it calls the plugin",
    })
  }
  return {
    command,
    containerId: env.CNI_CONTAINERID ?? "",
    netns: env.CNI_NETNS ?? "",
    ifname: env.CNI_IFNAME ?? "",
    args: env.CNI_ARGS ?? "",
    path: env.CNI_PATH ?? "",
    netnsOverride: isTrue(env.CNI_NETNS_OVERRIDE),
  }
}

function environmentFaults(command: CniCommand, env: Environment): string[] {
  const needed = NEEDED[command]
  const missing = needed.filter((name) => (env[name] ?? "") === "")
  const faults = missing.map((name) => `${name} is missing`)
  const id = env.CNI_CONTAINERID ?? ""
  if (needed.includes("CNI_CONTAINERID") && id !== "" && !isIdentifier(id)) {
    faults.push(
      `CNI_CONTAINERID ${shown(id)} is not letters, digits, "_", "." and "-" after a letter or digit`,
    )
  }
  const ifname = env.CNI_IFNAME ?? ""
  const why = ifname === "" ? undefined : ifnameFault(ifname)
  if (needed.includes("CNI_IFNAME") && why !== undefined) {
    faults.push(`CNI_IFNAME ${shown(ifname)} cannot name an interface: ${why}`)
  }
  // DEL must succeed as often as it is called; arguments that it does not use cannot stop it.
  if (command === "ADD" || command === "CHECK") {
    for (const pair of malformedArgs(env.CNI_ARGS ?? "").slice(0, 1)) {
      faults.push(`CNI_ARGS has ${shown(pair)}, which is not KEY=value`)
    }
  }
  return faults
}

/** As CNI's own library reads CNI_NETNS_OVERRIDE. */
function isTrue(value: string | undefined): boolean {
  return value === "1" || value?.toUpperCase() === "TRUE"
}
