/** The agent and the plugin under test. */
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { type Daemon, run, startDaemon } from "./program.ts"

const COMPOSE = join(import.meta.dirname, "../fixtures/rancher-compose.yml")
const DEBIAN_PLUGINS = "/usr/lib/cni"
/** Where the agent listens unless told otherwise, and where the plugin looks for it. */
const RUN_DIRECTORY = "/run/lariat"
const NAMES = ["rancher-bridge", "rancher-cni-ipam", "lariat-cni"]

/** A running agent. */
export interface Agent extends Daemon {
  /** `lariat endpoints --json`. */
  endpoints(): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** `lariat status --json`. */
  status(): Promise<Readonly<Record<string, unknown>>>
}

/** Path of the compiled program, and the words that start it as a command. */
function commandOfLariat(): { binary: string; command: string[] } {
  const binary = process.env.LARIAT_BINARY
  const command = process.env.LARIAT_CMD
  if (binary === undefined || command === undefined || process.env.LARIAT_TEST_NETNS !== "1") {
    throw new Error("Cannot run here: use node test/run.mjs test --only clients")
  }
  return { binary, command: JSON.parse(command) as string[] }
}

/** Fills a plugin folder: Debian's plugins and ours, each by its name. */
export function linkPlugins(pluginDirectory: string): void {
  const { binary } = commandOfLariat()
  mkdirSync(pluginDirectory, { recursive: true })
  for (const name of readdirSync(DEBIAN_PLUGINS)) {
    symlinkSync(join(DEBIAN_PLUGINS, name), join(pluginDirectory, name))
  }
  for (const name of NAMES) symlinkSync(binary, join(pluginDirectory, name))
}

/** Starts the agent over the seed's YAML, its state in `directory`; it makes docker0 itself. */
export async function startAgent(directory: string): Promise<Agent> {
  const { command } = commandOfLariat()
  mkdirSync(directory, { recursive: true })
  const settings = join(directory, "agent.yml")
  writeFileSync(settings, "agent:\n  createBridge: always\n")
  const configs = ["--config", COMPOSE, "--config", settings]
  const directories = ["--state-dir", join(directory, "state"), "--run-dir", RUN_DIRECTORY]
  const daemon = await startDaemon(
    [...command, "agent", ...configs, ...directories],
    () => answers(join(RUN_DIRECTORY, "agent.sock")),
    { log: join(directory, "log") },
  )
  const json = async (name: string) => JSON.parse(await run([...command, name, "--json"]))
  return { ...daemon, endpoints: () => json("endpoints"), status: () => json("status") }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket)
    connection.on("error", () => resolve(false))
    connection.on("connect", () => {
      connection.destroy()
      resolve(true)
    })
  })
}
