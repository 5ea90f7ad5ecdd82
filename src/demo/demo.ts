import { readFileSync } from "node:fs"
import type { DriverKind } from "../config/network.ts"
import { LariatError } from "../errors.ts"
import { httpGet } from "../sys/net/tcp.ts"
import { withNetns } from "../sys/netns/netns.ts"
import { boundToParent } from "../sys/parent_death.ts"
import { EchoProber } from "../sys/probes/echo.ts"
import { selfCommand, spawnHere } from "../sys/process.ts"
import { type DemoContainer, failed } from "./demo_host.ts"
import { demoHosts } from "./demo_hosts.ts"
import { DemoLab, OUTSIDE_IP, type PlacedHost } from "./demo_lab.ts"
import { readDemoNetwork, SEED_YAML } from "./demo_network.ts"
import { askForAddresses } from "./dns_question.ts"
import { Printer } from "./printer.ts"

/** The address of the metadata API and of DNS. */
const SERVICE_IP = "169.254.169.250"

/** What ping(8) sends, IP header included. */
const PING_BYTES = 84

/** The options of `lariat demo`. */
export interface DemoOptions {
  readonly config?: string
  /** 1 to 4. Default 1, or 2 where a driver is named. */
  readonly hosts?: number
  readonly driver?: DriverKind
}

/**
 * `lariat demo`: agents, containers and an outside in throw-away network namespaces. Shows what
 * happens on the way, touches nothing of the machine, leaves nothing behind.
 */
export async function demo(options: DemoOptions): Promise<number> {
  const { config, driver, hosts = driver === undefined ? 1 : 2 } = options
  if (hosts === 1 && driver !== undefined) {
    throw new LariatError(`Cannot show ${driver} on one host: it is for what is between hosts`, {
      code: "usage",
      hint: "say --hosts 2",
    })
  }
  if (process.geteuid?.() !== 0) return await withoutRoot(options)
  const file = config ?? "rancher-compose.yml"
  const text = config === undefined ? SEED_YAML : readFileSync(config, "utf8")
  const say = new Printer()
  if (hosts > 1) await demoHosts({ hosts, file, text, driver }, say)
  else await demoOneHost(file, text, say)
  return 0
}

async function demoOneHost(file: string, text: string, say: Printer): Promise<void> {
  say.title("Lariat demo: one host, two containers, all in throw-away namespaces")
  const { conf, remarks } = readDemoNetwork(file, text)
  for (const remark of remarks) say.note(remark)
  await DemoLab.during(1, async ({ hosts }) => {
    for (const placed of hosts) await story(placed, file, text, conf, say)
  })
  say.done("agent stopped, namespaces and files gone: the machine is as it was")
}

async function story(
  { host, ip }: PlacedHost,
  file: string,
  text: string,
  conf: object,
  say: Printer,
): Promise<void> {
  say.done(`agent started with ${file}`, await host.startAgent(text, { hostIp: ip }))
  const containers: DemoContainer[] = []
  for (const id of ["web", "db"]) {
    const container = await host.attach(id, conf)
    containers.push(container)
    say.done(`${id} attached: ${container.place}`, container.ms)
  }
  await talk(containers, say)
  for (const command of ["status", "endpoints"]) {
    const { stdout } = await host.command(command)
    say.block(`lariat ${command}`, stdout)
  }
  for (const container of containers) {
    say.done(`${container.id} detached`, await host.detach(container, conf))
  }
  host.expectClean()
  say.done("no link and no address left on the host")
}

/** What the containers can do: reach each other, the outside, and ask who they are. */
async function talk(containers: readonly DemoContainer[], say: Printer): Promise<void> {
  const [web, db] = containers
  if (web === undefined || db === undefined) return
  await probe(say, web, db.address, `web pings db at ${db.address}`)
  await probe(say, db, OUTSIDE_IP, `db pings the outside at ${OUTSIDE_IP}, masqueraded`)
  const wanted = `${db.id}.rancher.internal`
  const found = withNetns(web.netns, () => askForAddresses(SERVICE_IP, wanted, web.address))
  if (found?.[0] !== db.address) throw failed(`ask for ${wanted}`, found?.[0] ?? "no answer")
  say.done(`web asks for ${wanted}: ${found[0]}`)
  for (const { id, netns, address } of containers) {
    const path = "/latest/self/container/name"
    const answer = withNetns(netns, () => httpGet(SERVICE_IP, 80, path, { from: address }))
    const name = new TextDecoder().decode(answer.body)
    if (answer.status !== 200) throw failed(`ask the metadata API from ${id}`, `${answer.status}`)
    say.done(`${id} asks http://${SERVICE_IP}${path}: "${name}"`)
  }
}

async function probe(say: Printer, from: DemoContainer, to: string, what: string): Promise<void> {
  using prober = withNetns(from.netns, () => EchoProber.open())
  const [result] = await prober.probe([{ destination: to, packetBytes: PING_BYTES }])
  if (result?.kind !== "answered") throw failed(what, "no answer within a second")
  say.done(what, result.rttMs)
}

/** Network namespaces need root; a user namespace of one's own gives that where it is allowed. */
async function withoutRoot({ config, hosts, driver }: DemoOptions): Promise<number> {
  const own = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
  if ((await exitOf([...own, "true"])) !== 0) {
    throw new LariatError("Cannot make network namespaces: this user may not", {
      code: "permission",
      hint: "run it with sudo",
    })
  }
  return await exitOf([
    ...[...own, ...selfCommand(), "demo"],
    ...(config === undefined ? [] : ["--config", config]),
    ...(hosts === undefined ? [] : ["--hosts", String(hosts)]),
    ...(driver === undefined ? [] : ["--driver", driver]),
  ])
}

/** Runs a command on this terminal; -1 when there is no such. */
function exitOf(command: readonly string[]): Promise<number> {
  const child = spawnHere(command, {
    stdio: "inherit",
    env: { ...process.env, ...boundToParent() },
  })
  return new Promise((resolve) => {
    child.on("error", () => resolve(-1))
    child.on("exit", (code) => resolve(code ?? 1))
  })
}
