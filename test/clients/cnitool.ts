/** cnitool, the command over libcni, with namespaces that `ip netns` makes. */
import { attempt, type ProgramResult, run } from "./program.ts"

/** cnitool bound to plugins and networks. */
export interface Cnitool {
  /** Calls `cnitool VERB NETWORK NETNS`, whatever its exit status. */
  call(verb: string, network: string, namespace: string): Promise<ProgramResult>
}

/** Path of the cnitool that the runner built. */
export function cnitoolPath(): string {
  const path = process.env.LARIAT_CNITOOL
  if (path === undefined) throw new Error("Cannot run here: use node test/run.mjs test")
  return path
}

/** Whether this cnitool knows GC and STATUS, which came with version 1.1.0 of the specification. */
export async function knowsGc(): Promise<boolean> {
  const usage = await attempt([cnitoolPath()])
  return `${usage.stdout}${usage.stderr}`.includes("cnitool gc")
}

/** Sets cnitool up. */
export function setUpCnitool(pluginDirectory: string, networkDirectory: string): Cnitool {
  const env = { CNI_PATH: pluginDirectory, NETCONFPATH: networkDirectory }
  return {
    call: (verb, network, namespace) =>
      attempt([cnitoolPath(), verb, network, `/run/netns/${namespace}`], { env }),
  }
}

/** Makes a network namespace for as long as `body` runs. */
export async function withNamespace(name: string, body: () => Promise<void>): Promise<void> {
  await run(["ip", "netns", "add", name])
  try {
    await body()
  } finally {
    await run(["ip", "netns", "delete", name])
  }
}
