/** An agent under test with containers around it, in the namespace that the runner made. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { EndpointReport, StatusReport } from "../../src/agent/report.ts"
import { attempt, type Daemon, type ProgramResult, run, startDaemon } from "../clients/program.ts"

/** The seed's YAML as it stands. */
export const SEED = join(import.meta.dirname, "../fixtures/rancher-compose.yml")

/** The seed's plugin configuration, as the agent would install it. */
export const SEED_CONF: Conf = {
  cniVersion: "1.1.0",
  name: "rancher-cni-network",
  type: "rancher-bridge",
  bridge: "docker0",
  bridgeSubnet: "10.42.0.0/16",
  isDefaultGateway: true,
  hostNat: true,
  hairpinMode: true,
  linkMTUOverhead: 98,
  ipam: { type: "rancher-cni-ipam" },
}

/** A network configuration that goes to the plugin's standard input. */
export type Conf = Readonly<Record<string, unknown>>

/** The JSON that a plugin printed, whatever it is. */
export interface PluginAnswer extends ProgramResult {
  readonly json: PluginJson
}

/** The keys of results and errors that the tests look at. */
export interface PluginJson {
  readonly cniVersion?: string
  readonly code?: number
  readonly msg?: string
  readonly details?: string
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[]
  readonly interfaces?: readonly {
    readonly name: string
    readonly mac?: string
    readonly mtu?: number
    readonly sandbox?: string
  }[]
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[]
  readonly [key: string]: unknown
}

/** One call of the plugin. */
export interface PluginCall {
  /** Standard input: text goes as it is. */
  readonly conf?: Conf | string
  readonly id?: string
  readonly netns?: string
  readonly ifname?: string
  readonly args?: string
  readonly path?: string
  /** The name that the plugin is called by. Default `rancher-bridge`. */
  readonly name?: string
  /** More variables; they come before the ones above. */
  readonly env?: Readonly<Record<string, string>>
}

/** How {@link Lab.start} starts its agent. */
export interface LabOptions {
  /** Configuration files. Default: the seed. */
  readonly configs?: readonly string[]
  /** Lines below `agent:` of an agent.yml. Default: make docker0, short quarantine. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A running agent and the calls that tests make. */
export class Lab {
  readonly directory: string
  readonly #options: LabOptions
  readonly #namespaces = new Set<string>()
  #agent: Daemon | undefined

  private constructor(directory: string, options: LabOptions) {
    this.directory = directory
    this.#options = options
  }

  static async start(options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(mkdtempSync(join(tmpdir(), "lab-")), options)
    await lab.startAgent()
    return lab
  }

  get runDir(): string {
    return join(this.directory, "run")
  }

  get socket(): string {
    return join(this.runDir, "agent.sock")
  }

  get stateDir(): string {
    return join(this.directory, "state")
  }

  get pid(): number {
    if (this.#agent === undefined) throw new Error("no agent runs")
    return this.#agent.pid
  }

  /** What the agent wrote to its standard error so far. */
  get log(): string {
    return readFileSync(join(this.directory, "log"), "utf8")
  }

  /** Starts the agent, again after {@link kill} or {@link stopAgent}. */
  async startAgent(): Promise<void> {
    const { configs = [SEED], settings = { createBridge: "always", quarantine: "1s" } } =
      this.#options
    mkdirSync(this.directory, { recursive: true })
    const own = join(this.directory, "agent.yml")
    const lines = Object.entries(settings).map(([key, value]) => `  ${key}: ${value}`)
    writeFileSync(own, `agent:\n${lines.join("\n")}\n`)
    this.#agent = await startDaemon(
      [
        ...lariatCommand(),
        "agent",
        ...[...configs, own].flatMap((path) => ["--config", path]),
        ...["--state-dir", this.stateDir, "--run-dir", this.runDir],
      ],
      () => answers(this.socket),
      { log: join(this.directory, "log") },
    )
  }

  /** Ends the agent as systemd does. */
  async stopAgent(): Promise<void> {
    await this.#agent?.stop()
    this.#agent = undefined
  }

  /** Ends the agent as the OOM killer does. */
  async kill(): Promise<void> {
    process.kill(this.pid, "SIGKILL")
    await this.stopAgent()
  }

  /** A namespace for a container; returns its path. */
  async netns(name: string): Promise<string> {
    await run(["ip", "netns", "add", name])
    this.#namespaces.add(name)
    return `/run/netns/${name}`
  }

  async deleteNetns(name: string): Promise<void> {
    this.#namespaces.delete(name)
    await run(["ip", "netns", "delete", name])
  }

  /** Calls the plugin. */
  async plugin(command: string, call: PluginCall = {}): Promise<PluginAnswer> {
    const { conf = SEED_CONF, id = "c1", netns = `/run/netns/${id}`, ifname = "eth0" } = call
    const env: Record<string, string> = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: netns,
      CNI_IFNAME: ifname,
      CNI_ARGS: call.args ?? "",
      CNI_PATH: call.path ?? "/usr/lib/cni",
      LARIAT_SOCKET: this.socket,
      ...call.env,
    }
    const result = await attempt(pluginCommand(call.name ?? "rancher-bridge"), {
      env,
      input: typeof conf === "string" ? conf : JSON.stringify(conf),
    })
    return { ...result, json: parse(result.stdout) }
  }

  /** ADD that must succeed. */
  async add(id: string, call: PluginCall = {}): Promise<PluginJson> {
    const answer = await this.plugin("ADD", { ...call, id })
    if (answer.status !== 0) throw new Error(`ADD ${id}: ${answer.stdout}${answer.stderr}`)
    return answer.json
  }

  /** DEL that must succeed. */
  async del(id: string, call: PluginCall = {}): Promise<void> {
    const answer = await this.plugin("DEL", { ...call, id })
    if (answer.status !== 0) throw new Error(`DEL ${id}: ${answer.stdout}${answer.stderr}`)
  }

  /** Runs a command of the program under test. */
  lariat(...args: string[]): Promise<ProgramResult> {
    return attempt([...lariatCommand(), ...args], { env: { LARIAT_SOCKET: this.socket } })
  }

  async endpoints(): Promise<readonly EndpointReport[]> {
    return JSON.parse((await this.lariat("endpoints", "--json")).stdout)
  }

  async status(): Promise<StatusReport> {
    return JSON.parse((await this.lariat("status", "--json")).stdout)
  }

  /** Ends everything and takes away what the lab made. */
  async close(): Promise<void> {
    await this.stopAgent()
    for (const name of [...this.#namespaces]) await this.deleteNetns(name)
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** The words that start the program under test. */
export function lariatCommand(): string[] {
  const command = process.env.LARIAT_CMD
  if (command === undefined || process.env.LARIAT_TEST_NETNS !== "1") {
    throw new Error("Cannot run here: use node test/run.mjs test --only netns")
  }
  return JSON.parse(command)
}

/**
 * The words that call the program under test as a plugin. bash sets the name; Deno, whose own name
 * cannot be changed so, takes the plugin's part by CNI_COMMAND and knows one role alone.
 */
export function pluginCommand(name: string): string[] {
  const [program = "", ...args] = lariatCommand()
  if (args.length > 0 && name === "rancher-bridge") return [program, ...args]
  return ["bash", "-c", 'exec -a "$0" "$@"', name, program, ...args]
}

/** Runs `ip` inside a named namespace. */
export function ipIn(name: string, ...args: string[]): Promise<string> {
  return run(["ip", "-n", name, ...args])
}

/** Runs a program inside a named namespace; `ip netns exec` would hide the cgroups. */
export function inNetns(name: string, ...argv: string[]): Promise<ProgramResult> {
  return attempt(["nsenter", `--net=/run/netns/${name}`, ...argv])
}

/** Sends one echo request from a namespace. */
export async function pings(from: string, to: string): Promise<boolean> {
  return (await inNetns(from, "ping", "-c", "1", "-W", "2", to)).status === 0
}

/** Names of the host's links that Lariat made. */
export async function ownLinks(): Promise<string[]> {
  const links: { ifname: string }[] = JSON.parse(await run(["ip", "-json", "link", "show"]))
  return links.map(({ ifname }) => ifname).filter((name) => name.startsWith("lrt"))
}

function parse(text: string): PluginJson {
  if (text === "") return {}
  return JSON.parse(text)
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
