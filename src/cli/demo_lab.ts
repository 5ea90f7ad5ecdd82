import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LariatError, messageOf, TeardownError } from "../errors.ts"
import { newAddress } from "../netlink/addr.ts"
import { NETLINK_ROUTE } from "../netlink/constants.ts"
import { changeLink, getLink, listLinks, newVeth } from "../netlink/link.ts"
import { newRoute } from "../netlink/route.ts"
import { NetlinkSocket } from "../netlink/socket.ts"
import { createNetns, type Netns, withNetns } from "../sys/netns.ts"
import { selfCommand, spawnHere, spawnIn } from "../sys/process.ts"

/** Addresses of the made-up network between the host and the outside (RFC 5737). */
export const OUTSIDE_IP = "203.0.113.1"
export const HOST_IP = "203.0.113.2"

/** How long the agent may take to be ready, and a child to end, milliseconds. */
const WAIT_MS = 10_000

/** What a child said. */
export interface ChildAnswer {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

/**
 * A host, an outside and containers, all of them network namespaces that exist only as open files
 * of this process, with an agent running on that host. Closing it leaves nothing behind.
 */
export class DemoLab {
  readonly directory = mkdtempSync(join(tmpdir(), "lariat-demo-"))
  readonly host: Netns
  readonly outside: Netns
  readonly #containers: Netns[] = []
  #agent: { kill(): void; ended: Promise<number> } | undefined
  #agentLog = ""

  constructor() {
    this.host = createNetns()
    this.outside = createNetns()
    wire(this.host, this.outside)
  }

  get socket(): string {
    return join(this.directory, "run", "agent.sock")
  }

  /** Starts the agent on the lab's host and waits until it is ready. */
  async startAgent(yaml: string): Promise<number> {
    const started = performance.now()
    const networks = join(this.directory, "network.yml")
    const settings = join(this.directory, "agent.yml")
    writeFileSync(networks, yaml)
    writeFileSync(settings, "agent:\n  createBridge: always\n  hostName: demo-host\n")
    const child = spawnIn(
      this.host,
      [
        ...selfCommand(),
        "agent",
        ...["--config", networks, "--config", settings],
        ...["--state-dir", join(this.directory, "state"), "--run-dir", join(this.directory, "run")],
        ...["--host-ip", HOST_IP],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    )
    child.stderr?.on("data", (text) => {
      this.#agentLog += text
    })
    let exited = false
    const ended = new Promise<number>((resolve) => {
      child.on("exit", (code) => {
        exited = true
        resolve(code ?? -1)
      })
      child.on("error", (error) => {
        exited = true
        this.#agentLog += messageOf(error)
        resolve(-1)
      })
    })
    // Under Deno, child.kill() would give the signal as the child's end, whatever its exit code.
    const kill = () => child.pid !== undefined && !exited && process.kill(child.pid, "SIGTERM")
    this.#agent = { kill, ended }
    while (!existsSync(this.socket)) {
      if (exited || performance.now() - started > WAIT_MS) {
        throw new LariatError(
          `Cannot start the agent: ${this.#agentLog.trim() || "it says nothing"}`,
          {
            code: "io",
            hint: "run lariat agent by hand to see more",
          },
        )
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return performance.now() - started
  }

  /** A new container: a namespace with nothing but an unconfigured loopback. */
  addContainer(): Netns {
    const netns = createNetns()
    this.#containers.push(netns)
    return netns
  }

  /** Calls the CNI plugin as a container runtime does. */
  cni(command: "ADD" | "DEL", id: string, netns: Netns, conf: object): Promise<ChildAnswer> {
    return run(this.host, [], JSON.stringify(conf), {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/proc/${process.pid}/fd/${netns.fd}`,
      CNI_IFNAME: "eth0",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAME=${id}`,
      CNI_PATH: "/opt/cni/bin",
      LARIAT_SOCKET: this.socket,
    })
  }

  /** Runs a command of this program on the lab's host. */
  command(...args: string[]): Promise<ChildAnswer> {
    return run(this.host, args, "", { LARIAT_SOCKET: this.socket })
  }

  /** Names of the links on the lab's host. */
  links(): string[] {
    return inside(this.host, (socket) => listLinks(socket).map(({ name }) => name))
  }

  /** Ends the agent, gives the namespaces back, deletes the files. */
  async close(): Promise<void> {
    const errors: unknown[] = []
    const agent = this.#agent
    const steps: (() => void | Promise<void>)[] = [
      async () => {
        if (agent === undefined) return
        agent.kill()
        const code = await agent.ended
        if (code !== 0) throw new Error(`the agent ended with ${code}: ${this.#agentLog.trim()}`)
      },
      ...[...this.#containers, this.outside, this.host].map((netns) => () => netns.close()),
      () => rmSync(this.directory, { recursive: true, force: true }),
    ]
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new TeardownError("the demo", errors)
  }
}

/** Joins host and outside by a cable, with addresses and routes. */
function wire(host: Netns, outside: Netns): void {
  inside(outside, (there) => {
    inside(host, (here) => {
      here.request(
        newVeth({ name: "uplink", up: true, peer: { name: "host", netnsFd: outside.fd } }),
      )
      configure(here, "uplink", `${HOST_IP}/24`)
      configure(there, "host", `${OUTSIDE_IP}/24`)
      here.request(newRoute({ dst: "0.0.0.0/0", gateway: OUTSIDE_IP }))
    })
  })
}

function configure(socket: NetlinkSocket, name: string, address: string): void {
  for (const link of ["lo", name]) socket.request(changeLink(link, { up: true }))
  const index = getLink(socket, name)?.index
  if (index !== undefined) socket.request(newAddress(index, address))
}

/** Runs `fn` with a netlink socket that was opened in the namespace. */
function inside<T>(netns: Netns, fn: (socket: NetlinkSocket) => T): T {
  const socket = withNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    return fn(socket)
  } finally {
    socket.close()
  }
}

function run(
  netns: Netns,
  args: readonly string[],
  stdin: string,
  env: Readonly<Record<string, string>>,
): Promise<ChildAnswer> {
  const started = performance.now()
  const child = spawnIn(netns, [...selfCommand(), ...args], {
    stdio: "pipe",
    env: { PATH: process.env.PATH, ...env },
    timeout: WAIT_MS,
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

/** Starts this program again as root of a user namespace of its own, where that is allowed. */
export function asRootOfOwnNamespace(args: readonly string[]): Promise<number> {
  const command = ["--user", "--map-root-user", "--net", "--mount", ...selfCommand(), ...args]
  const child = spawnHere(["unshare", ...command], { stdio: "inherit" })
  return new Promise((resolve) => {
    child.on("error", () => resolve(-1))
    child.on("exit", (code) => resolve(code ?? -1))
  })
}
