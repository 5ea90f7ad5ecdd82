/** The agent that the benchmarks talk to. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { CallReport, StatusReport } from "../../src/agent/report.ts"
import type { CniResponse } from "../../src/cni/protocol.ts"
import { callUnix } from "../../src/sys/net/unix_client.ts"
import type { Attachment, Ours } from "./contender.ts"
import { settle } from "./plugin_process.ts"

const START_TIMEOUT_MS = 15_000
const CALL_TIMEOUT_MS = 30_000

/** An agent with state and socket in a directory of its own. */
export class AgentProcess {
  readonly directory: string
  readonly #command: readonly string[]
  #child: ChildProcess | undefined

  /** @param command the words that start the program under test */
  constructor(command: readonly string[], directory: string) {
    this.#command = command
    this.directory = directory
  }

  get socket(): string {
    return join(this.directory, "run/agent.sock")
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error("no agent runs")
    return pid
  }

  /**
   * Starts the agent.
   *
   * @param more lines for `agent:` of its configuration
   * @returns milliseconds from before fork to the first answer of the socket
   */
  start(more = ""): number {
    mkdirSync(this.directory, { recursive: true })
    const config = join(this.directory, "agent.yml")
    writeFileSync(config, `agent:\n  createBridge: always\n  quarantine: 1s\n${more}`)
    const log = openSync(join(this.directory, "log"), "a")
    const [program = "", ...args] = this.#command
    const directories = ["--state-dir", join(this.directory, "state")]
    directories.push("--run-dir", join(this.directory, "run"))
    const started = performance.now()
    const child = spawn(program, [...args, "agent", "--config", config, ...directories], {
      stdio: ["ignore", log, log],
    })
    this.#child = child
    while (!this.#answers()) {
      if (performance.now() - started > START_TIMEOUT_MS) throw new Error(this.#complaint())
      settle(0.5)
    }
    return performance.now() - started
  }

  /** Ends the agent, as systemd does. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGTERM")
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
    await ended
    clearTimeout(timer)
  }

  /** Megabytes (10^6) of `VmRSS` in /proc/PID/status, or of another line of it. */
  memory(key = "VmRSS"): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8")
    const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1]
    return (Number(kibibytes) * 1024) / 1e6
  }

  /** Asks the agent as the plugin does, without starting one. @throws Error when it refuses */
  cni(command: "ADD" | "DEL", ours: Ours, attachment: Attachment): CniResponse {
    const { containerId, netns, ifname } = attachment
    const env = { command, containerId, netns, ifname, args: "", path: "", netnsOverride: false }
    const answer = this.#ask({ op: "cni", role: "bridge", env, config: ours.conf }) as CniResponse
    if (answer.exit !== 0) throw new Error(`${command} ${containerId}: ${answer.stdout}`)
    return answer
  }

  /** What the agent says of the calls that it served. */
  calls(): readonly CallReport[] {
    return (this.#ask({ op: "status" }) as { value: StatusReport }).value.calls
  }

  /** Waits until as many endpoints are attached, and no other is on its way. @throws Error */
  async untilAttached(count: number): Promise<void> {
    const until = performance.now() + CALL_TIMEOUT_MS
    for (;;) {
      const answer = this.#ask({ op: "endpoints" }) as { value: readonly unknown[] }
      if (answer.value.length === count) return
      if (performance.now() > until) {
        throw new Error(`the agent has ${answer.value.length} endpoints and not ${count}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  #ask(request: object): unknown {
    const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`)
    const answer = callUnix(this.socket, bytes, { timeoutMs: CALL_TIMEOUT_MS })
    return JSON.parse(new TextDecoder().decode(answer))
  }

  #answers(): boolean {
    try {
      this.#ask({ op: "version" })
      return true
    } catch {
      return false
    }
  }

  #complaint(): string {
    return `the agent does not start: ${readFileSync(join(this.directory, "log"), "utf8")}`
  }
}
