import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LariatError, messageOf } from "../errors.ts"
import { NETLINK_ROUTE } from "../netlink/constants.ts"
import { listLinks } from "../netlink/route/link.ts"
import { NetlinkSocket } from "../netlink/socket.ts"
import { createNetns, type Netns, withNetns } from "../sys/netns/netns.ts"
import { boundToParent } from "../sys/parent_death.ts"
import { selfCommand, spawnIn } from "../sys/process.ts"

/** How long the agent may take to be ready, milliseconds: an emulated machine is slow. */
const READY_MS = 60_000
/** How long the agent may take to end, milliseconds. */
const STOP_MS = 20_000
/** How long a command may take: changing keys waits for as long as old ones are accepted. */
const COMMAND_MS = 80_000
/** What is kept of an agent's words, characters: the end of them. */
const MAX_LOG = 20_000

/** What a child said. */
export interface ChildAnswer {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

/** A container: a namespace, and what its attachment gave it. */
export interface DemoContainer {
  readonly id: string
  readonly netns: Netns
  /** Without prefix length. */
  readonly address: string
  /** "10.42.0.2/16 on eth0, gateway 10.42.0.1, MTU 1446". */
  readonly place: string
  /** How long it took to attach it. */
  readonly ms: number
}

/**
 * A host that exists only as an open file of this process: a network namespace, an agent in it,
 * and containers around.
 */
export class DemoHost {
  readonly name: string
  readonly directory: string
  readonly netns: Netns = createNetns()
  readonly #containers: DemoContainer[] = []
  #agent:
    | { readonly signal: (name: NodeJS.Signals) => void; readonly ended: Promise<number> }
    | undefined
  #ready = false
  #log = ""

  /**
   * @param directory for the agent's files; made with the host
   * @throws SystemError permission
   */
  constructor(name: string, directory: string) {
    this.name = name
    this.directory = directory
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  get socket(): string {
    return join(this.directory, "run", "agent.sock")
  }

  /**
   * Starts the agent and waits until it is ready.
   *
   * @param yaml its networks
   * @param settings keys and values below `agent:`
   * @returns how long it took, milliseconds
   * @throws LariatError io with the agent's own words
   */
  async startAgent(yaml: string, settings: Readonly<Record<string, string>>): Promise<number> {
    const started = performance.now()
    const networks = join(this.directory, "network.yml")
    const own = join(this.directory, "agent.yml")
    writeFileSync(networks, yaml)
    const lines = Object.entries({ hostName: this.name, createBridge: "always", ...settings })
    writeFileSync(own, `agent:\n${lines.map(([key, text]) => `  ${key}: ${text}\n`).join("")}`)
    const [state, run] = ["state", "run"].map((name) => join(this.directory, name))
    const child = spawnIn(
      this.netns,
      [
        ...[...selfCommand(), "agent", "--config", networks, "--config", own],
        ...["--state-dir", state ?? "", "--run-dir", run ?? ""],
      ],
      { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...boundToParent() } },
    )
    child.stderr?.on("data", (text) => {
      this.#log = (this.#log + text).slice(-MAX_LOG)
    })
    let exited = false
    const ended = new Promise<number>((resolve) => {
      child.on("exit", (code) => {
        exited = true
        resolve(code ?? -1)
      })
      child.on("error", (error) => {
        exited = true
        this.#log += messageOf(error)
        resolve(-1)
      })
    })
    // Under Deno, child.kill() would give the signal as the child's end, whatever its exit code.
    const signal = (name: NodeJS.Signals) => {
      if (child.pid !== undefined && !exited) process.kill(child.pid, name)
    }
    this.#agent = { signal, ended }
    while (!existsSync(this.socket)) {
      if (exited || performance.now() - started > READY_MS) {
        throw new LariatError(
          `Cannot start the agent of ${this.name}: ${this.#log.trim() || "it says nothing"}`,
          { code: "io", hint: "run lariat agent by hand to see more" },
        )
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    this.#ready = true
    return performance.now() - started
  }

  /** Makes a container and attaches it as a container runtime does. @throws LariatError io */
  async attach(id: string, conf: object): Promise<DemoContainer> {
    // With nothing but an unconfigured loopback.
    const netns = createNetns()
    const bare = { id, netns, address: "", place: "", ms: 0 }
    this.#containers.push(bare)
    const { exit, stdout, stderr, ms } = await this.#cni("ADD", bare, conf)
    if (exit !== 0) throw this.failed(`attach ${id}`, stderr || stdout)
    const result = JSON.parse(stdout) as {
      ips: { address: string; gateway?: string }[]
      interfaces: { name: string; mtu?: number; sandbox?: string }[]
    }
    const ip = result.ips[0]
    const link = result.interfaces.find((one) => one.sandbox !== undefined)
    const place = `${ip?.address} on ${link?.name}, gateway ${ip?.gateway}, MTU ${link?.mtu}`
    return { id, netns, address: ip?.address.split("/")[0] ?? "", place, ms }
  }

  /** Detaches it. @returns how long it took, milliseconds @throws LariatError io */
  async detach(container: DemoContainer, conf: object): Promise<number> {
    const { exit, stdout, stderr, ms } = await this.#cni("DEL", container, conf)
    if (exit !== 0) throw this.failed(`detach ${container.id}`, stderr || stdout)
    return ms
  }

  /** Runs a command of this program on this host. @throws LariatError io when it fails */
  async command(...args: string[]): Promise<ChildAnswer> {
    const answer = await this.#run(args, "", { LARIAT_SOCKET: this.socket })
    if (answer.exit !== 0) throw this.failed(`run lariat ${args.join(" ")}`, answer.stderr)
    return answer
  }

  /** Nothing that the agent made for containers is left. @throws LariatError io */
  expectClean(): void {
    const socket = withNetns(this.netns, () => NetlinkSocket.open(NETLINK_ROUTE))
    try {
      const left = listLinks(socket).filter(({ name }) => name.startsWith("lrt"))
      if (left.length > 0) throw this.failed("clean up", `${left[0]?.name} is left`)
    } finally {
      socket.close()
    }
  }

  /** An error with the end of the agent's words. */
  failed(what: string, why: string): LariatError {
    const said = this.#log.trim().split("\n").slice(-3).join("\n  ")
    const agent = said === "" ? "" : `\n  its agent says: ${said}`
    return failed(`${what} on ${this.name}`, why.trim() + agent)
  }

  /** Ends the agent in good order. @throws LariatError io when it ended in another */
  async stopAgent(): Promise<void> {
    const agent = this.#agent
    if (agent === undefined) return
    this.#agent = undefined
    agent.signal("SIGTERM")
    const timer = setTimeout(() => agent.signal("SIGKILL"), STOP_MS)
    const code = await agent.ended
    clearTimeout(timer)
    // One that was not ready does not heed the signal yet: it just ends.
    if (code !== 0 && this.#ready) throw this.failed("end the agent", `it ended with ${code}`)
  }

  /** Gives the namespaces back; what runs in them is to be ended before. */
  close(): void {
    for (const { netns } of this.#containers) netns.close()
    this.netns.close()
  }

  #cni(command: "ADD" | "DEL", { id, netns }: DemoContainer, conf: object): Promise<ChildAnswer> {
    return this.#run([], JSON.stringify(conf), {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/proc/${process.pid}/fd/${netns.fd}`,
      CNI_IFNAME: "eth0",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAME=${id}`,
      CNI_PATH: "/opt/cni/bin",
      LARIAT_SOCKET: this.socket,
    })
  }

  #run(
    args: readonly string[],
    stdin: string,
    env: Readonly<Record<string, string>>,
  ): Promise<ChildAnswer> {
    const started = performance.now()
    const child = spawnIn(this.netns, [...selfCommand(), ...args], {
      stdio: "pipe",
      env: { PATH: process.env.PATH, ...env },
      timeout: COMMAND_MS,
    })
    let stdout = ""
    let stderr = ""
    child.stdout?.on("data", (text) => {
      stdout += text
    })
    child.stderr?.on("data", (text) => {
      stderr += text
    })
    child.stdin?.on("error", () => {})
    child.stdin?.end(stdin)
    return new Promise((resolve, reject) => {
      child.on("error", reject)
      child.on("close", (code) => {
        resolve({ exit: code ?? -1, stdout, stderr, ms: performance.now() - started })
      })
    })
  }
}

/** Something of the demo that should have worked and did not. */
export function failed(what: string, why: string): LariatError {
  return new LariatError(`Cannot ${what}: ${why.trim()}`, {
    code: "io",
    hint: "LARIAT_LOG=debug lariat agent shows what an agent does",
  })
}
