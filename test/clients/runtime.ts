/** What the tests ask of a container runtime, whichever it is. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** A container that sleeps until it is removed. */
export interface RunningContainer {
  /** Runs a program inside; gives its standard output, throws when it fails. */
  exec(argv: readonly string[]): Promise<string>
  /** Ends and removes the container; resolves after the runtime's DEL. */
  remove(): Promise<void>
}

/** A container runtime that attaches containers to the network it was set up with. */
export interface Runtime {
  start(name: string): Promise<RunningContainer>
  /** Starts a container whose program does not exist; the runtime must report a failure. */
  startBroken(name: string): Promise<void>
  /** The name by which a container of that name is known to the plugin. */
  knownAs(name: string): string
  /** Whether a container's resolv.conf has what the plugin's result says. Default false. */
  readonly writesResolvConf?: boolean
  stop(): Promise<void>
}

/** Runs `body` with a container and removes the container afterwards, also when `body` fails. */
export async function withContainer<T>(
  runtime: Runtime,
  name: string,
  body: (container: RunningContainer) => Promise<T>,
): Promise<T> {
  const container = await runtime.start(name)
  try {
    return await body(container)
  } finally {
    await container.remove()
  }
}

/** A CNI network configuration list. */
export interface NetworkList {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly Readonly<Record<string, unknown>>[]
}

/** Where a runtime under test finds its image, plugins and networks, and keeps its state. */
export interface Dependencies {
  readonly directory: string
  /** Path of the image's archive. */
  readonly image: string
  readonly pluginDirectory: string
  readonly networkDirectory: string
  /** The one network in `networkDirectory`. */
  readonly network: NetworkList
}

/** Makes `network` the one network of a configuration folder. */
export function writeNetwork(networkDirectory: string, network: NetworkList): void {
  mkdirSync(networkDirectory, { recursive: true })
  writeFileSync(join(networkDirectory, "10-test.conflist"), JSON.stringify(network))
}
