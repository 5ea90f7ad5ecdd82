import { readFileSync } from "node:fs"
import { formatDiagnostic, hasErrors } from "../config/diagnostic.ts"
import { loadConfiguration } from "../config/load.ts"
import { LariatError } from "../errors.ts"
import { ping4 } from "../sys/icmp.ts"
import { type Netns, withNetns } from "../sys/netns.ts"
import { httpGet } from "../sys/tcp.ts"
import { asRootOfOwnNamespace, DemoLab, OUTSIDE_IP } from "./demo_lab.ts"
import { SEED_YAML } from "./demo_network.ts"

/** The address of the metadata API. */
const METADATA_IP = "169.254.169.250"

interface Container {
  readonly id: string
  readonly netns: Netns
  readonly address: string
}

/**
 * `lariat demo`: an agent, two containers, a host and an outside in throw-away network namespaces.
 * Shows what happens on the way, touches nothing of the machine, leaves nothing behind.
 */
export async function demo(options: { readonly config?: string }): Promise<number> {
  if (process.geteuid?.() !== 0) return withoutRoot(options)
  const file = options.config ?? "rancher-compose.yml"
  const yaml = options.config === undefined ? SEED_YAML : readFileSync(options.config, "utf8")
  const say = new Teller(process.stdout.isTTY === true && process.env.NO_COLOR === undefined)

  say.title("Lariat demo: one host, two containers, all in throw-away namespaces")
  const conf = readNetwork(file, yaml, say)
  const lab = new DemoLab()
  try {
    const ready = await lab.startAgent(yaml)
    say.done(`agent started with ${file}`, ready)
    const containers: Container[] = []
    for (const id of ["web", "db"]) containers.push(await attach(lab, id, conf, say))
    talk(containers, say)
    await show(lab, say)
    for (const { id, netns } of containers) {
      const { exit, stderr, ms } = await lab.cni("DEL", id, netns, conf)
      if (exit !== 0) throw failed(`detach ${id}`, stderr)
      say.done(`${id} detached`, ms)
    }
    const left = lab.links().filter((name) => name.startsWith("lrt"))
    if (left.length > 0) throw failed("clean up", `${left.join(", ")} left on the host`)
    say.done("no link and no address left on the host")
  } finally {
    await lab.close()
  }
  say.done("agent stopped, namespaces and files gone: the machine is as it was")
  return 0
}

/** The CNI configuration that the agent would install for the file's network. */
function readNetwork(path: string, text: string, say: Teller): Record<string, unknown> {
  const { networks, diagnostics } = loadConfiguration([{ path, text }], { env: process.env })
  for (const diagnostic of diagnostics) say.note(formatDiagnostic(diagnostic))
  const conf = networks[0]?.cni[0]?.conf
  if (conf === undefined || hasErrors(diagnostics)) {
    throw new LariatError(`Cannot use ${path} for the demo: it gives no network to attach to`, {
      code: "config-invalid",
      hint: "see lariat validate",
    })
  }
  return { cniVersion: "1.1.0", ...conf }
}

async function attach(lab: DemoLab, id: string, conf: object, say: Teller): Promise<Container> {
  const netns = lab.addContainer()
  const { exit, stdout, stderr, ms } = await lab.cni("ADD", id, netns, conf)
  if (exit !== 0) throw failed(`attach ${id}`, stderr)
  const result = JSON.parse(stdout) as {
    ips: { address: string; gateway?: string }[]
    interfaces: { name: string; mtu?: number; sandbox?: string }[]
  }
  const ip = result.ips[0]
  const link = result.interfaces.find((one) => one.sandbox !== undefined)
  say.done(
    `${id} attached: ${ip?.address} on ${link?.name}, gateway ${ip?.gateway}, MTU ${link?.mtu}`,
    ms,
  )
  return { id, netns, address: ip?.address.split("/")[0] ?? "" }
}

/** What the containers can do: reach each other, the outside, and ask who they are. */
function talk(containers: readonly Container[], say: Teller): void {
  const [web, db] = containers
  if (web === undefined || db === undefined) return
  probe(say, web, db.address, `web pings db at ${db.address}`)
  probe(say, db, OUTSIDE_IP, `db pings the outside at ${OUTSIDE_IP}, masqueraded`)
  for (const { id, netns, address } of containers) {
    const path = "/latest/self/container/name"
    const answer = withNetns(netns, () => httpGet(METADATA_IP, 80, path, { from: address }))
    const name = new TextDecoder().decode(answer.body)
    if (answer.status !== 200) throw failed(`ask the metadata API from ${id}`, `${answer.status}`)
    say.done(`${id} asks http://${METADATA_IP}${path}: "${name}"`)
  }
}

function probe(say: Teller, from: Container, to: string, what: string): void {
  const ms = withNetns(from.netns, () => ping4(to))
  if (ms === undefined) throw failed(what, "no answer within a second")
  say.done(what, ms)
}

async function show(lab: DemoLab, say: Teller): Promise<void> {
  for (const command of ["status", "endpoints"]) {
    const { exit, stdout, stderr } = await lab.command(command)
    if (exit !== 0) throw failed(`run lariat ${command}`, stderr)
    say.block(`lariat ${command}`, stdout)
  }
}

function failed(what: string, why: string): LariatError {
  return new LariatError(`Cannot ${what}: ${why.trim()}`, {
    code: "io",
    hint: "LARIAT_LOG=debug lariat agent shows what the agent does",
  })
}

/** Network namespaces need root; a user namespace of one's own gives that where it is allowed. */
async function withoutRoot(options: { readonly config?: string }): Promise<number> {
  const args = options.config === undefined ? ["demo"] : ["demo", "--config", options.config]
  const exit = await asRootOfOwnNamespace(args)
  if (exit >= 0 && exit !== 1) return exit
  throw new LariatError("Cannot make network namespaces: this user may not", {
    code: "permission",
    hint: "run it with sudo",
  })
}

/** Prints what happens, one step a line. */
class Teller {
  readonly #color: boolean

  constructor(color: boolean) {
    this.#color = color
  }

  title(text: string): void {
    console.log(`\n${this.#paint("1", text)}\n`)
  }

  done(text: string, ms?: number): void {
    const time = ms === undefined ? "" : this.#paint("2", `  ${ms.toFixed(ms < 10 ? 2 : 0)} ms`)
    console.log(`${this.#paint("32", "✓")} ${text}${time}`)
  }

  note(text: string): void {
    console.log(`${this.#paint("33", "!")} ${text}`)
  }

  block(command: string, text: string): void {
    console.log(`\n${this.#paint("36", `$ ${command}`)}`)
    for (const line of text.trimEnd().split("\n")) console.log(`  ${line}`)
    console.log()
  }

  #paint(code: string, text: string): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}
