import { Agent } from "../agent/agent.ts"
import { formatDiagnostic, hasErrors } from "../config/diagnostic.ts"
import type { AgentSettings, Configuration } from "../config/network.ts"
import { LariatError, messageOf } from "../errors.ts"
import type { PageSnapshot } from "../sys/ffi/touched_pages.ts"
import { logLevel, startLogging } from "./logging.ts"
import { until } from "./objects.ts"
import { loadFiles } from "./validate.ts"

/** The options of `lariat agent`; each comes before what agent.yml says. */
export interface AgentOptions {
  readonly config: readonly string[]
  readonly stateDir?: string
  readonly runDir?: string
  readonly store?: string
  readonly hostIp?: string
  readonly metadataListen?: string
  readonly dnsListen?: string
}

/**
 * `lariat agent`: runs the daemon until SIGTERM or SIGINT; SIGHUP reads the files again. A file
 * with errors keeps a starting agent from starting, and a running one on what it had.
 *
 * @param startPages what a start of this program reads; undefined when it is not compiled
 */
export async function runAgent(
  options: AgentOptions,
  startPages: PageSnapshot | undefined,
): Promise<number> {
  const configuration = read(options)
  await startLogging(configuration.agent.logLevel)
  for (const diagnostic of configuration.diagnostics) console.error(formatDiagnostic(diagnostic))
  if (hasErrors(configuration.diagnostics)) {
    throw new LariatError("Cannot start the agent: its configuration has errors", {
      code: "config-invalid",
      hint: "correct what is listed above; lariat validate FILE checks a file without starting",
    })
  }
  const agent = await Agent.start(configuration, { startPages })
  process.on("SIGHUP", () => reload(agent, options))
  await until(["SIGTERM", "SIGINT"])
  await agent.stop()
  return 0
}

function reload(agent: Agent, options: AgentOptions): void {
  try {
    const configuration = read(options)
    for (const diagnostic of configuration.diagnostics) console.error(formatDiagnostic(diagnostic))
    if (hasErrors(configuration.diagnostics))
      console.error("lariat: the files have errors; keeping the configuration as it was")
    else agent.reload(configuration)
  } catch (error) {
    console.error(`lariat: cannot reload: ${messageOf(error)}`)
  }
}

function read(options: AgentOptions): Configuration {
  const configuration = loadFiles(options.config)
  return { ...configuration, agent: { ...configuration.agent, ...overrides(options) } }
}

function overrides({ config: _, ...said }: AgentOptions): Partial<AgentSettings> {
  const level = process.env.LARIAT_LOG
  return level === undefined ? said : { ...said, logLevel: logLevel(level) }
}
