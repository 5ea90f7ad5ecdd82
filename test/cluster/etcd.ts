/** A real etcd of one or more members on this namespace's loopback, whose members can be hurt. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { attempt, type Daemon, run, startDaemon, waitFor } from "../clients/program.ts"
import { requireTestNetns } from "../netns/guard.ts"
import { type Certificates, makeCertificates } from "./certificates.ts"

/** What an etcd of {@link EtcdCluster.start} is like. */
export interface EtcdClusterOptions {
  /** Default 1. */
  readonly members?: number
  /** Certificates for all connections, and clients must show theirs. Default false. */
  readonly tls?: boolean
  /** Switches authentication on, with this password of `root` (and of nobody else). */
  readonly rootPassword?: string
  /** Where it listens. Default 127.0.0.1. */
  readonly address?: string
  /** How often watches hear that they are alive; undefined: etcd's default, 10 minutes. */
  readonly progressInterval?: string | undefined
}

const LOOPBACK = "127.0.0.1"
const READY_MS = 30_000
/** A port that was just given up is not to be had again for a while: each cluster has new ones. */
let nextPort = 23_000

/** One member. */
export class EtcdMember {
  readonly name: string
  readonly clientPort = nextPort++
  readonly peerPort = nextPort++
  readonly dataDirectory: string
  readonly #origin: string
  readonly #directory: string
  #daemon: Daemon | undefined
  #paused = false

  /** @param origin scheme and address */
  constructor(name: string, directory: string, origin: string) {
    this.name = name
    this.#directory = directory
    this.#origin = origin
    this.dataDirectory = join(directory, `${name}.data`)
  }

  get url(): string {
    return `${this.#origin}:${this.clientPort}`
  }

  get peerUrl(): string {
    return `${this.#origin}:${this.peerPort}`
  }

  get running(): boolean {
    return this.#daemon !== undefined
  }

  get pid(): number {
    if (this.#daemon === undefined) throw new Error(`${this.name} does not run`)
    return this.#daemon.pid
  }

  /** @param ready says whether it serves */
  async start(argv: readonly string[], ready: () => Promise<boolean>): Promise<void> {
    const log = join(this.#directory, `${this.name}.log`)
    this.#daemon = await startDaemon(argv, ready, { log, timeoutMs: READY_MS })
  }

  /** Ends it as the OOM killer does. */
  async kill(): Promise<void> {
    process.kill(this.pid, "SIGKILL")
    await this.stop()
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    if (this.#daemon === undefined) return
    this.resume()
    await this.#daemon.stop()
    this.#daemon = undefined
  }

  /** It stays, and does nothing: its connections go silent. */
  async pause(): Promise<void> {
    process.kill(this.pid, "SIGSTOP")
    this.#paused = true
    // A thread that runs elsewhere stops a moment later, and may answer once more.
    await waitFor(`${this.name} to stand still`, () => isStopped(this.pid) || undefined, READY_MS)
  }

  resume(): void {
    if (this.#paused) process.kill(this.pid, "SIGCONT")
    this.#paused = false
  }
}

/** Whether each thread of a process is stopped (proc(5): state `T`, behind the name). */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).every((task) =>
    /\) T /.test(readFileSync(`${tasks}/${task}/stat`, "utf8")),
  )
}

export class EtcdCluster {
  readonly members: readonly EtcdMember[]
  readonly certificates: Certificates | undefined
  readonly #options: EtcdClusterOptions
  #authOn = false

  private constructor(
    directory: string,
    certificates: Certificates | undefined,
    options: EtcdClusterOptions,
  ) {
    this.#options = options
    this.certificates = certificates
    const scheme = certificates === undefined ? "http" : "https"
    const { address = LOOPBACK } = options
    const origin = `${scheme}://${address.includes(":") ? `[${address}]` : address}`
    this.members = Array.from(
      { length: options.members ?? 1 },
      (_, index) => new EtcdMember(`m${index + 1}`, directory, origin),
    )
  }

  /**
   * Starts all members and waits until each serves.
   *
   * @param directory for data, logs and certificates; made where it is missing
   */
  static async start(directory: string, options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    requireTestNetns()
    mkdirSync(directory, { recursive: true })
    const { tls = false, address = LOOPBACK } = options
    const certificates = tls ? await makeCertificates(directory, [address]) : undefined
    const cluster = new EtcdCluster(directory, certificates, options)
    await cluster.startMembers()
    if (options.rootPassword !== undefined) await cluster.#enableAuth(options.rootPassword)
    return cluster
  }

  /** What a store's setting names. */
  get urls(): string[] {
    return this.members.map(({ url }) => url)
  }

  /** Starts those that do not run, on the data that they have, and waits until each serves. */
  async startMembers(members: readonly EtcdMember[] = this.members): Promise<void> {
    // A member serves when there is a majority: none would be ready alone.
    await Promise.all(
      members
        .filter(({ running }) => !running)
        .map((member) => member.start(this.#argv(member), () => this.#healthy(member))),
    )
  }

  /** Ends all members in good order. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()))
  }

  /** Ends all members as a power failure would. */
  async kill(): Promise<void> {
    await Promise.all(this.members.filter(({ running }) => running).map((member) => member.kill()))
  }

  /** The member that leads, asked of all that run. */
  async leader(): Promise<EtcdMember> {
    for (const member of this.members.filter(({ running }) => running)) {
      const result = await this.#attemptCtl(member, "endpoint", "status", "--write-out=json")
      if (result.status !== 0) continue
      const [{ Status }] = JSON.parse(result.stdout)
      if (Status.leader === Status.header.member_id) return member
    }
    throw new Error("no member leads")
  }

  /** Runs etcdctl against one member, by default the first that runs. */
  async ctl(args: readonly string[], member?: EtcdMember): Promise<string> {
    const asked = member ?? this.members.find(({ running }) => running)
    if (asked === undefined) throw new Error("no member runs")
    const result = await this.#attemptCtl(asked, ...args)
    if (result.status === 0) return result.stdout
    throw new Error(`Cannot run etcdctl ${args.join(" ")}: ${result.stderr}`)
  }

  /** Writes a snapshot to a file. */
  async snapshot(path: string): Promise<void> {
    await this.ctl(["snapshot", "save", path])
  }

  /** Puts all members back to a snapshot; they must be stopped, and are started again. */
  async restore(path: string): Promise<void> {
    for (const member of this.members) {
      rmSync(member.dataDirectory, { recursive: true, force: true })
      await run(
        [
          ...["etcdctl", "snapshot", "restore", path, "--name", member.name],
          ...["--data-dir", member.dataDirectory, "--initial-cluster", this.#initialCluster],
          ...["--initial-advertise-peer-urls", member.peerUrl],
        ],
        { env: { ETCDCTL_API: "3" } },
      )
    }
    await this.startMembers()
  }

  get #initialCluster(): string {
    return this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",")
  }

  #argv(member: EtcdMember): string[] {
    const { progressInterval } = this.#options
    return [
      ...["etcd", "--name", member.name, "--data-dir", member.dataDirectory],
      ...["--listen-client-urls", member.url, "--advertise-client-urls", member.url],
      ...["--listen-peer-urls", member.peerUrl, "--initial-advertise-peer-urls", member.peerUrl],
      ...["--initial-cluster", this.#initialCluster, "--initial-cluster-state", "new"],
      ...["--logger", "zap", "--log-level", "warn"],
      ...(progressInterval === undefined
        ? []
        : [`--experimental-watch-progress-notify-interval=${progressInterval}`]),
      ...this.#tlsArguments(),
    ]
  }

  #tlsArguments(): string[] {
    if (this.certificates === undefined) return []
    const { ca, serverCert, serverKey } = this.certificates
    return [
      ...["--cert-file", serverCert, "--key-file", serverKey],
      ...["--trusted-ca-file", ca, "--client-cert-auth"],
      ...["--peer-cert-file", serverCert, "--peer-key-file", serverKey],
      ...["--peer-trusted-ca-file", ca, "--peer-client-cert-auth"],
    ]
  }

  async #healthy(member: EtcdMember): Promise<boolean> {
    const result = await this.#attemptCtl(member, "endpoint", "health")
    return result.status === 0
  }

  async #attemptCtl(member: EtcdMember, ...args: string[]) {
    const { certificates } = this
    const { rootPassword } = this.#options
    const tls =
      certificates === undefined
        ? []
        : [
            ...["--cacert", certificates.ca, "--cert", certificates.clientCert],
            ...["--key", certificates.clientKey],
          ]
    const user =
      rootPassword === undefined || !this.#authOn ? [] : ["--user", `root:${rootPassword}`]
    return await attempt(
      ["etcdctl", "--endpoints", member.url, "--command-timeout=2s", ...tls, ...user, ...args],
      { env: { ETCDCTL_API: "3" }, timeoutMs: 10_000 },
    )
  }

  async #enableAuth(password: string): Promise<void> {
    await this.ctl(["user", "add", `root:${password}`])
    await this.ctl(["user", "grant-role", "root", "root"])
    await this.ctl(["auth", "enable"])
    this.#authOn = true
  }
}
