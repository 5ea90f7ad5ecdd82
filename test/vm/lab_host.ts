/** A host of the lab: a namespace with a cable, an agent of its own, and containers. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import {
  attempt,
  type Daemon,
  type ProgramResult,
  startDaemon,
  waitFor,
} from "../clients/program.ts"
import { askCni, askOperation } from "../netns/control_call.ts"
import { type Conf, lariatCommand } from "../netns/lab.ts"
import { LabContainer } from "./lab_container.ts"
import type { LabNetns } from "./lab_netns.ts"
import type { Router } from "./router.ts"
import type { Cable } from "./underlay.ts"

/** An emulated machine reads the program over 9p at its first start. */
const READY_MS = 60_000

/** What a host is made of. */
export interface HostDependencies {
  readonly netns: LabNetns
  /** Its own cable, or that of the router which it is behind. */
  readonly cable: Cable
  readonly router: Router | undefined
  /** Its own addresses, without prefix length. */
  readonly v4: string
  readonly v6: string
  readonly directory: string
}

/** What its agent is told. */
export interface AgentOptions {
  /** The networks' YAML. */
  readonly networks: string
  /** Lines below `agent:`; values are YAML. */
  readonly settings: Readonly<Record<string, string>>
  /** Configuration that containers are attached with, unless another is given. */
  readonly conf: Conf
  readonly env?: Readonly<Record<string, string>>
  /** What its descriptors from 3 on are to be, as systemd hands them over. */
  readonly descriptors?: readonly number[]
}

export class LabHost {
  readonly netns: LabNetns
  readonly cable: Cable
  readonly router: Router | undefined
  readonly v4: string
  readonly v6: string
  readonly directory: string
  /** The agent's settings; a change counts from the next start on. */
  options: AgentOptions
  readonly containers = new Map<string, LabContainer>()
  #agent: Daemon | undefined

  constructor(parts: HostDependencies, options: AgentOptions) {
    this.netns = parts.netns
    this.cable = parts.cable
    this.router = parts.router
    this.v4 = parts.v4
    this.v6 = parts.v6
    this.directory = parts.directory
    this.options = options
    mkdirSync(parts.directory, { recursive: true })
  }

  get name(): string {
    return this.netns.name
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

  get running(): boolean {
    return this.#agent !== undefined
  }

  get pid(): number {
    if (this.#agent === undefined) throw new Error(`no agent runs on ${this.name}`)
    return this.#agent.pid
  }

  /** What the agents of this host wrote so far. */
  get log(): string {
    return readFileSync(join(this.directory, "log"), "utf8")
  }

  /**
   * Starts the agent, again after it was ended, and waits until it answers.
   *
   * @param command the program, for an upgrade. Default: the one under test
   */
  async startAgent(command: readonly string[] = lariatCommand()): Promise<void> {
    const { networks, settings, env, descriptors = [] } = this.options
    const files = { networks: join(this.directory, "networks.yml"), own: this.#path("agent.yml") }
    writeFileSync(files.networks, networks)
    const all = { hostName: this.name, hostIp: this.v4, ...settings }
    const lines = Object.entries(all).map(([key, value]) => `  ${key}: ${value}\n`)
    writeFileSync(files.own, `agent:\n${lines.join("")}`)
    const agent = [
      ...[...command, "agent", "--config", files.networks, "--config", files.own],
      ...["--state-dir", this.stateDir, "--run-dir", this.runDir],
    ]
    const options = { log: this.#path("log"), timeoutMs: READY_MS, env: env ?? {}, descriptors }
    this.#agent = await startDaemon(
      this.netns.command(...agent),
      () => answers(this.socket),
      options,
    )
  }

  /** The program under test at another path, as an upgrade puts it there: what starts it. */
  otherProgram(): string[] {
    const [binary = "", ...args] = lariatCommand()
    const copy = this.#path("lariat-new")
    copyFileSync(binary, copy)
    return [copy, ...args]
  }

  /** Gives a running agent other networks, as YAML; it reads them a moment later. */
  reload(networks: string): void {
    this.options = { ...this.options, networks }
    writeFileSync(join(this.directory, "networks.yml"), networks)
    process.kill(this.pid, "SIGHUP")
  }

  /** Ends the agent as systemd does; the data path stays. */
  async stopAgent(): Promise<void> {
    await this.#agent?.stop()
    this.#agent = undefined
  }

  /** Ends the agent as the OOM killer does. */
  async killAgent(): Promise<void> {
    process.kill(this.pid, "SIGKILL")
    await this.stopAgent()
  }

  /** What the agent's control socket says: `status`, `endpoints`, `peers`, `blocks`. */
  ask<T>(operation: string): Promise<T> {
    return askOperation<T>(this.socket, operation)
  }

  /** Runs a command of the program under test on this host. */
  lariat(...args: string[]): Promise<ProgramResult> {
    return attempt(this.netns.command(...lariatCommand(), ...args), {
      env: { LARIAT_SOCKET: this.socket },
    })
  }

  /** Makes a container and attaches it through the agent. */
  async attach(
    id: string,
    options: { readonly conf?: Conf; readonly ifname?: string } = {},
  ): Promise<LabContainer> {
    const { conf = this.options.conf, ifname = "eth0" } = options
    const container = LabContainer.make(this, id, ifname, conf)
    this.containers.set(id, container)
    const answer = await askCni(this.socket, "ADD", container.attachment, conf)
    if (answer.exit !== 0) {
      throw new Error(`ADD ${id} on ${this.name}: ${answer.stdout}${answer.stderr}`)
    }
    container.attached(answer.json)
    return container
  }

  /** Waits until the agent says something, at most 30 s. */
  async until<T>(operation: string, holds: (value: T) => boolean, timeoutMs = 30_000): Promise<T> {
    let last: T | undefined
    const found = async () => {
      last = await this.ask<T>(operation)
      return holds(last) ? last : undefined
    }
    try {
      return await waitFor(`${operation} of ${this.name}`, found, timeoutMs)
    } catch (error) {
      throw new Error(`${this.name} said last: ${JSON.stringify(last)}`, { cause: error })
    }
  }

  /** Counters of the kernel's IPsec that are not 0. */
  xfrmStatistics(): Record<string, number> {
    return this.netns.xfrmStatistics()
  }

  /** Ends the agent and takes away the containers, then the host. */
  async close(): Promise<void> {
    await this.stopAgent()
    for (const container of this.containers.values()) container.netns.close()
    this.containers.clear()
    this.netns.close()
    this.router?.close()
  }

  #path(name: string): string {
    return join(this.directory, name)
  }
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
