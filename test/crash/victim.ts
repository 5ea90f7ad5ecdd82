/** An agent that is killed and started again and again, over the same state. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { askOperation } from "../netns/control_call.ts"
import { lariatCommand } from "../netns/lab.ts"

const READY_TIMEOUT_MS = 15_000
const PROBE_MS = 5

export class Victim {
  readonly #directory: string
  #child: ChildProcess | undefined
  #gone: Promise<void> = Promise.resolve()

  /** @param settings lines below `agent:` of the agent.yml */
  constructor(directory: string, settings: Readonly<Record<string, string>>) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true })
    const lines = Object.entries(settings).map(([key, value]) => `  ${key}: ${value}\n`)
    writeFileSync(join(directory, "agent.yml"), `agent:\n${lines.join("")}`)
  }

  get socket(): string {
    return join(this.#directory, "run/agent.sock")
  }

  /** The end of what the agents wrote. */
  get log(): string {
    return readFileSync(join(this.#directory, "log"), "utf8").split("\n").slice(-40).join("\n")
  }

  /** Starts the agent and does not wait for it. */
  start(): void {
    const [program = "", ...args] = lariatCommand()
    const log = openSync(join(this.#directory, "log"), "a")
    const child = spawn(
      program,
      [
        ...[...args, "agent", "--config", join(this.#directory, "agent.yml")],
        ...["--state-dir", join(this.#directory, "state")],
        ...["--run-dir", join(this.#directory, "run")],
      ],
      { stdio: ["ignore", log, log] },
    )
    this.#child = child
    this.#gone = new Promise((resolve) => child.once("exit", () => resolve()))
  }

  /** Waits until the agent serves. @throws Error when it ends or takes too long */
  async ready(): Promise<void> {
    const until = performance.now() + READY_TIMEOUT_MS
    for (;;) {
      try {
        await askOperation(this.socket, "version")
        return
      } catch (error) {
        const code = this.#child?.exitCode ?? null
        if (code !== null) throw new Error(`the agent ended with ${code}`, { cause: error })
        if (performance.now() > until) throw new Error("the agent is not ready", { cause: error })
      }
      await new Promise((resolve) => setTimeout(resolve, PROBE_MS))
    }
  }

  /** kill -9; returns when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL")
    await this.#gone
  }

  /** Ends the agent as systemd does. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), 5000)
    this.#child?.kill("SIGTERM")
    await this.#gone
    clearTimeout(timer)
  }
}
