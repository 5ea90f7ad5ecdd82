import type { DriverKind } from "../config/network.ts"
import { Datagrams } from "../sys/net/datagram.ts"
import { type Netns, withNetns } from "../sys/netns/netns.ts"
import { table } from "../table.ts"
import { type DemoContainer, type DemoHost, failed } from "./demo_host.ts"
import { checkDemoKernel, probeDemoKernel } from "./demo_kernel.ts"
import { DemoLab, type PlacedHost } from "./demo_lab.ts"
import { type DemoNetwork, readDemoNetwork } from "./demo_network.ts"
import { pingDuring, pingTimes } from "./ping_stream.ts"
import type { Printer } from "./printer.ts"
import { WireCapture, type WireTraffic } from "./wire_capture.ts"

/** What {@link demoHosts} shows. */
export interface DemoHostsOptions {
  readonly hosts: number
  /** The networks' file: its name and its text. */
  readonly file: string
  readonly text: string
  /** Undefined: what the file says. */
  readonly driver: DriverKind | undefined
}

/** Containers' names, one for each host. */
const NAMES: readonly string[] = ["web", "db", "cache", "queue"]
/** What a container says to another, for everybody on the wire to look for. */
const LETTER = "the key is under the mat"
const LETTER_PORT = 4242
const LETTER_MS = 2000
const PINGS = 6
const PINGS_MS = 300
/** Of the stream while keys change, milliseconds. */
const PING_EVERY_MS = 10
/** RFC 3948, RFC 7348, and WireGuard's own. */
const PORTS = { esp: 4500, vxlan: 4789, wireguard: 51_820 }

/** Drivers that carry packets as they are. */
const PLAIN: ReadonlySet<DriverKind> = new Set(["vxlan", "routed"])

/** A container on its host. */
interface Placed extends PlacedHost {
  readonly container: DemoContainer
}

/**
 * The overlay between hosts: agents that share state, containers that reach each other, what of
 * that is on the wire, and new keys under way. Touches nothing of the machine, leaves nothing.
 *
 * @throws LariatError kernel-unsupported before anything is made; else whatever did not work
 */
export async function demoHosts(options: DemoHostsOptions, say: Printer): Promise<void> {
  const { hosts, file } = options
  const network = networkOf(options)
  const { driver } = network.network
  const kernel = probeDemoKernel()
  checkDemoKernel(network.network, kernel, `lariat demo --hosts ${hosts}`)
  say.title(`Lariat demo: ${hosts} hosts and ${driver} between them, all in throw-away namespaces`)
  for (const remark of network.remarks) say.note(remark)
  if (PLAIN.has(driver)) say.note(`${driver} does not encrypt`)
  const ms = await DemoLab.during(hosts, (lab) => story(lab, network, file, say))
  say.done("agents and store ended, namespaces and files gone: the machine is as it was", ms)
}

function networkOf({ file, text, driver }: DemoHostsOptions): DemoNetwork {
  const network = readDemoNetwork(file, text, driver)
  // A file of one host says nothing of how hosts reach each other.
  return network.network.driver === "none" ? readDemoNetwork(file, text, "ipsec") : network
}

async function story(
  lab: DemoLab,
  network: DemoNetwork,
  file: string,
  say: Printer,
): Promise<void> {
  say.done(`a small store for this demo, spoken to as etcd: ${lab.storeUrl}`, lab.startStore())
  const ready = await lab.startAgents(network.yaml)
  for (const [index, { host, ip }] of lab.hosts.entries()) {
    say.done(`${host.name} at ${ip}: agent started with ${file}`, ready[index])
  }
  const all: Placed[] = []
  for (const [index, placed] of lab.hosts.entries()) {
    const id = NAMES[index] ?? `container${index + 1}`
    const container = await placed.host.attach(id, network.conf)
    all.push({ ...placed, container })
    say.done(`${id} on ${placed.host.name}: ${container.place}`, container.ms)
  }
  const [first, second] = all
  if (first === undefined || second === undefined) return
  say.done("every host reaches every other through the network", await lab.meet())
  await show(first.host, ["peers", "blocks"], say)

  const wire = new WireCapture(lab.listen(first), {
    overlay: network.network.subnets.map(({ cidr }) => cidr),
    ports: { ...PORTS, ...portOf(network) },
    words: LETTER,
  })
  try {
    await talk(all, say)
    tellWire(first, wire.take(), network, say)
    if (network.network.driver === "ipsec") await changeKeys(first, second, wire, say)
    else if (network.network.driver === "wireguard")
      say.note("wireguard makes new keys by itself every two minutes")
    else say.note(`${network.network.driver} has no keys to change`)
  } finally {
    wire.stop()
  }
  await takeDown(all, network, say)
}

/** A port of the file's instead of the driver's usual one. */
function portOf({ network }: DemoNetwork): Partial<typeof PORTS> {
  const { port } = network.encapsulation
  if (port === undefined) return {}
  const name = network.driver === "ipsec" ? "esp" : network.driver
  return name in PORTS ? { [name]: port } : {}
}

async function show(host: DemoHost, commands: readonly string[], say: Printer): Promise<void> {
  for (const command of commands) {
    const { stdout } = await host.command(command)
    say.block(`lariat ${command}`, stdout)
  }
}

/** Every container pings those of later hosts; the first one writes a letter to the second. */
async function talk(all: readonly Placed[], say: Printer): Promise<void> {
  for (const [index, from] of all.entries()) {
    for (const to of all.slice(index + 1)) {
      const { address } = to.container
      const pings = await pingTimes(from.container.netns, address, PINGS, PINGS_MS)
      const what = `${nameOf(from)} pings ${nameOf(to)} at ${address}`
      if (pings.answered < PINGS) throw failed(what, `${pings.answered} of ${PINGS} answered`)
      say.done(`${what}: ${pings.answered} of ${pings.sent} answered`, pings.medianMs)
    }
  }
  const [from, to] = all
  if (from === undefined || to === undefined) return
  const read = deliver(from.container.netns, to.container)
  const what = `${nameOf(from)} writes to ${nameOf(to)}`
  if (read !== LETTER) throw failed(what, read === undefined ? "nothing came" : `"${read}" came`)
  say.done(`${what}, which reads: "${read}"`)
}

/** Sends the letter. @returns what came */
function deliver(from: Netns, to: DemoContainer): string | undefined {
  const inbox = withNetns(to.netns, () => Datagrams.open(to.address, LETTER_PORT))
  try {
    const sender = withNetns(from, () => Datagrams.open("0.0.0.0", 0))
    try {
      sender.send(new TextEncoder().encode(LETTER), to.address, LETTER_PORT)
    } finally {
      sender.close()
    }
    const came = inbox.receive(LETTER_MS)
    return came === undefined ? undefined : new TextDecoder().decode(came)
  } finally {
    inbox.close()
  }
}

/** What somebody on the first host's cable saw meanwhile. */
function tellWire(at: PlacedHost, traffic: WireTraffic, network: DemoNetwork, say: Printer): void {
  const { encrypted, clear, others, flows, lost } = traffic
  if (lost > 0) throw failed("look at the cable", `${lost} frames were not seen`)
  if (flows.length === 0) throw failed("look at the cable", "no packet of the network passed")
  const rows = flows.map(({ route, what, packets, readable }) => [
    ...[route, readable ? `${what}, "${LETTER}"` : what, String(packets)],
  ])
  if (others > 0) rows.push(["between hosts and store", "", String(others)])
  const head = ["ON THE CABLE", "WHAT ANYBODY THERE CAN READ", "PACKETS"]
  const lines = table([head, ...rows], { right: [2] }).split("\n")
  say.section(`Meanwhile on the cable of ${at.host.name}`, lines)
  const { driver } = network.network
  const carrier = nameOfCarrier(driver)
  const readable = flows.some((flow) => flow.readable)
  if (PLAIN.has(driver)) {
    say.note(`${clear} ${carrier} packets, all in clear: the letter can be read on the way`)
    return
  }
  if (clear > 0 || readable) throw failed("keep secrets", `${clear} packets were in clear`)
  say.done(`${encrypted} ${carrier} packets, none in clear: the letter cannot be read on the way`)
}

function nameOfCarrier(driver: DriverKind): string {
  const names: Partial<Record<DriverKind, string>> = {
    ipsec: "ESP",
    vxlan: "VXLAN",
    wireguard: "WireGuard",
  }
  return names[driver] ?? "plain IP"
}

/** New keys while a container pings another: no packet may be lost, none go out in clear. */
async function changeKeys(
  first: Placed,
  second: Placed,
  wire: WireCapture,
  say: Printer,
): Promise<void> {
  say.done(
    `${nameOf(first)} pings ${nameOf(second)} every ${PING_EVERY_MS} ms, and ${first.host.name} makes new keys; old ones are accepted for some seconds more`,
  )
  const { pings, value } = await pingDuring(
    first.container.netns,
    second.container.address,
    PING_EVERY_MS,
    () => first.host.command("rotate", "--wait"),
  )
  say.block("lariat rotate --wait", value.stdout.trimEnd())
  const traffic = wire.take()
  const what = `${nameOf(first)} pings ${nameOf(second)} while keys change`
  if (pings.answered < pings.sent) throw failed(what, `${pings.sent - pings.answered} were lost`)
  if (traffic.clear > 0) throw failed(what, `${traffic.clear} packets were in clear`)
  say.done(`${what}: ${pings.answered} of ${pings.sent} answered, none lost`, value.ms)
  const route = traffic.flows[0]?.route
  const keys = traffic.flows
    .filter((flow) => flow.route === route)
    .map(({ what }) => what.replace("ESP, ", ""))
    .join(", then ")
  say.done(`${traffic.encrypted} ESP packets meanwhile, none in clear; ${route}: ${keys}`)
}

async function takeDown(all: readonly Placed[], network: DemoNetwork, say: Printer): Promise<void> {
  for (const { host, container } of all) {
    say.done(`${container.id} detached`, await host.detach(container, network.conf))
  }
  for (const { host } of all) host.expectClean()
  say.done("no container's link left on any host")
}

function nameOf({ container, host }: Placed): string {
  return `${container.id} (${host.name})`
}
