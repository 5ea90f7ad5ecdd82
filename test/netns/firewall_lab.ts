/**
 * A host with two bridges, four containers and an outside, for the firewall's tests. The host is
 * the namespace that the runner made.
 *
 *     a 10.42.0.2   b 10.42.0.3        c 10.43.0.2   d 10.43.0.3
 *       └── docker0 10.42.0.1 ──┐ host ┌── br1 10.43.0.1 ──┘
 *                               up0 192.0.2.1
 *                                │
 *                          out 192.0.2.2, 10.99.0.7, 169.254.169.250, 169.254.169.254
 *
 * IPv6 likewise: fd00:42::/64, fd00:43::/64, 2001:db8::/64, fd00:99::7. The outside has routes to
 * the containers, so that what keeps its source is answered too.
 */
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { attempt, type Daemon, run, startDaemon, waitFor } from "../clients/program.ts"
import { inNetns, pings } from "./lab.ts"

const PEER = join(import.meta.dirname, "firewall_peer.ts")
const BRIDGE_NF = "/proc/sys/net/bridge"

/** Port of every peer. */
export const PORT = 7777
/** A group that b, d and the outside have joined. */
export const GROUP = "239.1.2.3"

/** By namespace: its bridge, if it is a container, and its addresses. */
const CONTAINERS = {
  a: { bridge: "docker0", v4: "10.42.0.2", v6: "fd00:42::2" },
  b: { bridge: "docker0", v4: "10.42.0.3", v6: "fd00:42::3" },
  c: { bridge: "br1", v4: "10.43.0.2", v6: "fd00:43::2" },
  d: { bridge: "br1", v4: "10.43.0.3", v6: "fd00:43::3" },
} as const

const gateway = (address: string): string => address.replace(/[0-9]+$/, "1")

function script(): string[] {
  const lines = [
    "set -e",
    "ip link add docker0 address 02:00:00:00:00:01 type bridge forward_delay 0",
    "ip link add br1 address 02:00:00:00:00:02 type bridge forward_delay 0",
    "ip addr add 10.42.0.1/16 dev docker0; ip addr add fd00:42::1/64 dev docker0 nodad",
    "ip addr add 10.43.0.1/16 dev br1; ip addr add fd00:43::1/64 dev br1 nodad",
    "ip link set docker0 up; ip link set br1 up",
    "ip netns add out",
    "ip link add up0 type veth peer name eth0 netns out",
    "ip addr add 192.0.2.1/24 dev up0; ip addr add 2001:db8::1/64 dev up0 nodad",
    "ip link set up0 up; ip -n out link set lo up; ip -n out link set eth0 up",
    "ip -n out addr add 192.0.2.2/24 dev eth0; ip -n out addr add 2001:db8::2/64 dev eth0 nodad",
    "for x in 10.99.0.7 169.254.169.250 169.254.169.254; do ip -n out addr add $x/32 dev lo; done",
    "ip -n out addr add fd00:99::7/128 dev lo nodad",
    "for x in 10.42.0.0/16 10.43.0.0/16; do ip -n out route add $x via 192.0.2.1; done",
    "for x in fd00:42::/64 fd00:43::/64; do ip -n out route add $x via 2001:db8::1; done",
    "for x in 10.99.0.0/16 169.254.169.250 169.254.169.254; do ip route add $x via 192.0.2.2; done",
    "ip route add fd00:99::/64 via 2001:db8::2",
    "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
  ]
  for (const [name, { bridge, v4, v6 }] of Object.entries(CONTAINERS)) {
    lines.push(
      `ip netns add ${name}; ip link add v${name} type veth peer name eth0 netns ${name}`,
      `ip link set v${name} master ${bridge} up`,
      `ip -n ${name} link set lo up; ip -n ${name} link set eth0 up`,
      `ip -n ${name} addr add ${v4}/16 dev eth0; ip -n ${name} addr add ${v6}/64 dev eth0 nodad`,
      `ip -n ${name} route add default via ${gateway(v4)}`,
      `ip -n ${name} route add default via ${gateway(v6)}`,
    )
  }
  return lines
}

/** A namespace of the lab; `host` is ours. */
export type Place = keyof typeof CONTAINERS | "out" | "host"

/** How {@link FirewallLab.seen} asks. Default: as the kernel chooses. */
export interface AskOptions {
  readonly source?: string
  readonly port?: number
  /** Address of the interface by which multicast leaves. Default: the source. */
  readonly via?: string
}

export class FirewallLab {
  readonly #peers: Daemon[] = []

  static async build(): Promise<FirewallLab> {
    if (process.env.LARIAT_TEST_NETNS !== "1") {
      throw new Error("Cannot run here: use node test/run.mjs test --only netns/firewall")
    }
    await run(["bash", "-c", script().join("\n")])
    const lab = new FirewallLab()
    await lab.#serve("out", `${GROUP}@192.0.2.2`)
    await lab.#serve("b", `${GROUP}@${CONTAINERS.b.v4}`)
    await lab.#serve("d", `${GROUP}@${CONTAINERS.d.v4}`)
    await lab.#serve("host")
    return lab
  }

  /** Whether bridged frames go through iptables and nftables, if this kernel has that at all. */
  setBridgeNetfilter(on: boolean): void {
    for (const file of ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"]) {
      writeFileSync(join(BRIDGE_NF, file), on ? "1" : "0")
    }
  }

  /** The address and port under which `host` sees who asks it from a place. */
  async seen(from: Place, protocol: "udp" | "tcp", host: string, options: AskOptions = {}) {
    const { source = "", port = 0, via = "" } = options
    const argv = peer("ask", protocol, host, `${PORT}`, source, `${port}`, via)
    const result = await (from === "host" ? attempt(argv) : inNetns(from, ...argv))
    if (result.status !== 0) throw new Error(`${from} → ${host}: ${result.stderr}`)
    const [address = "", number] = result.stdout.trim().split(" ")
    return { address, port: Number(number) }
  }

  /** Only the address of {@link seen}. */
  async source(from: Place, protocol: "udp" | "tcp", host: string, options: AskOptions = {}) {
    return (await this.seen(from, protocol, host, options)).address
  }

  /** Every address under which many askings from one place were seen. */
  async sourcesSeen(from: Place, count: number, host: string, source: string): Promise<string[]> {
    const result = await inNetns(from, ...peer("many", `${count}`, host, `${PORT}`, source))
    if (result.status !== 0) throw new Error(`${from} → ${host}: ${result.stderr}`)
    return result.stdout.trim().split("\n")
  }

  /** One echo request from a place, which must be answered. */
  async ping(from: Exclude<Place, "host">, to: string): Promise<void> {
    if (!(await pings(from, to))) throw new Error(`${from} gets no answer from ${to}`)
  }

  async close(): Promise<void> {
    for (const daemon of this.#peers) await daemon.stop()
    const names = [...Object.keys(CONTAINERS), "out"]
    await run(["bash", "-c", names.map((name) => `ip netns delete ${name}`).join("; ")])
    await run(["bash", "-c", "ip link delete docker0; ip link delete br1; nft flush ruleset"])
  }

  async #serve(where: Place, ...groups: string[]): Promise<void> {
    const enter = where === "host" ? [] : ["nsenter", `--net=/run/netns/${where}`]
    const inside = (argv: readonly string[]) =>
      where === "host" ? attempt(argv) : inNetns(where, ...argv)
    const daemon = await startDaemon(
      [...enter, ...peer("serve", `${PORT}`, ...groups)],
      async () => (await inside(["ss", "-Hltn", `sport = :${PORT}`])).stdout !== "",
      { log: `/run/tmp/peer-${where}.log` },
    )
    this.#peers.push(daemon)
  }
}

/** The words that start a peer program. */
export function peer(...args: string[]): string[] {
  return [process.execPath, PEER, ...args]
}

export const hasBridgeNetfilter = existsSync(join(BRIDGE_NF, "bridge-nf-call-iptables"))

/** The whole of `nft list ruleset` or of another listing. */
export function nft(...args: string[]): Promise<string> {
  return run(["nft", ...args])
}

/** Runs a script of nft. */
export function nftScript(text: string): Promise<string> {
  return run(["nft", "-f", "-"], { input: text })
}

export { waitFor }
