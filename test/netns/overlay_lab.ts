/**
 * Hosts a, b and c as namespaces on one switch, which is in the namespace that the runner made;
 * each with a bridge and a container behind it.
 *
 *     ca 10.42.1.2        cb 10.42.2.2        cc 10.42.3.2
 *      └─ br0 10.42.0.1    └─ br0 10.42.0.1    └─ br0 10.42.0.1
 *     a  192.0.2.1        b  192.0.2.2        c  192.0.2.3
 *      └──────────── switch (ports pa, pb, pc) ───┘
 *
 * IPv6 likewise: 2001:db8::1, fd00:42:0:1::2. A container has its network on-link in IPv4 and its
 * host's block in IPv6. Own addresses on the network end in .254 and ::fe.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import type { OverlayNetwork, OverlayPeer, OverlaySelf } from "../../src/drivers/driver.ts"
import { answerForOthers } from "../../src/endpoint/proxy_arp.ts"
import { type Netns, openNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { attempt, run, startDaemon } from "../clients/program.ts"
import { ip, requireTestNetns } from "./guard.ts"
import { inNetns } from "./lab.ts"

/** Lines of `ip monitor` about devices and routes of drivers. */
const OURS = /\blr[vwr]0\b|proto 76\b/

export const HOSTS = ["a", "b", "c"] as const
export type Host = (typeof HOSTS)[number]

export const NETWORK: OverlayNetwork = {
  name: "managed",
  number: 0,
  subnets: ["10.42.0.0/16", "fd00:42::/48"],
  underlayMtu: 1500,
}

const numberOf = (host: Host): number => HOSTS.indexOf(host) + 1

/** A host's part of the network. */
export function selfOf(host: Host): OverlaySelf {
  const n = numberOf(host)
  return {
    hostId: `host-${host}`,
    underlay: [`192.0.2.${n}`, `2001:db8::${n}`],
    overlay: [`10.42.${n}.254`, `fd00:42:0:${n}::fe`],
    blocks: [`10.42.${n}.0/24`, `fd00:42:0:${n}::/64`],
  }
}

/** A host as others see it, with what its driver says. */
export function peerOf(
  host: Host,
  parameters: Readonly<Record<string, string>>,
  more: Partial<OverlayPeer> = {},
): OverlayPeer {
  return {
    ...selfOf(host),
    name: host,
    number: numberOf(host),
    mtu: undefined,
    parameters,
    ...more,
  }
}

/** Starting a program is dear in a virtual machine: `ip` takes many commands at a time. */
function batch(netns: string | undefined, commands: readonly string[]): string {
  const where = netns === undefined ? "" : `-n ${netns} `
  return `ip ${where}-batch - <<'END'\n${commands.join("\n")}\nEND`
}

function setInside(netns: string, settings: Readonly<Record<string, string>>): string {
  const writes = Object.entries(settings).map(
    ([path, value]) => `echo ${value} > /proc/sys/net/${path}`,
  )
  return `nsenter --net=/run/netns/${netns} sh -c '${writes.join("; ")}'`
}

/** Without link-local addresses, which a search for duplicates holds back, nobody is solicited. */
const NO_DAD = { "ipv6/conf/default/accept_dad": "0", "ipv6/conf/all/accept_dad": "0" }
const FORWARD = { "ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1" }

function script(): string[] {
  const spaces = HOSTS.flatMap((host) => [host, `c${host}`])
  const lines = [
    "set -e",
    batch(undefined, [
      "link add switch type bridge forward_delay 0 mcast_snooping 0",
      "link set switch up",
      ...spaces.map((name) => `netns add ${name}`),
    ]),
    "echo 1 > /proc/sys/net/ipv6/conf/switch/disable_ipv6",
  ]
  for (const host of HOSTS) {
    const n = numberOf(host)
    lines.push(
      setInside(host, { ...NO_DAD, ...FORWARD }),
      setInside(`c${host}`, NO_DAD),
      batch(undefined, [
        `link add p${host} type veth peer name up0 netns ${host}`,
        `link set p${host} master switch up`,
      ]),
      batch(host, [
        "link set lo up",
        "link set up0 up",
        `addr add 192.0.2.${n}/24 dev up0`,
        `addr add 2001:db8::${n}/64 dev up0 nodad`,
        `link add br0 address 02:00:00:00:00:0${n} type bridge forward_delay 0`,
        "link set br0 up",
        "addr add 10.42.0.1/16 dev br0",
        `addr add fd00:42:0:${n}::1/64 dev br0 nodad`,
        `link add v0 type veth peer name eth0 netns c${host}`,
        "link set v0 master br0 up",
      ]),
      batch(`c${host}`, [
        "link set lo up",
        "link set eth0 up",
        `addr add 10.42.${n}.2/16 dev eth0`,
        `addr add fd00:42:0:${n}::2/64 dev eth0 nodad`,
        "route add default via 10.42.0.1",
        `route add default via fd00:42:0:${n}::1`,
      ]),
    )
  }
  return lines
}

/** Length of a file that has not grown for a while: the kernel tells of IPv6 addresses late. */
async function quietLength(path: string): Promise<number> {
  let length = -1
  for (let round = 0; round < 20; round++) {
    const now = readFileSync(path, "utf8").length
    if (now === length) break
    length = now
    await setTimeout(250)
  }
  return length
}

/** The address of a host's container. */
export function containerOf(host: Host, family: 4 | 6 = 4): string {
  return family === 4 ? `10.42.${numberOf(host)}.2` : `fd00:42:0:${numberOf(host)}::2`
}

export class OverlayLab {
  readonly #spaces: ReadonlyMap<Host, Netns>
  #captures = 0
  readonly #directory = mkdtempSync(join(tmpdir(), "overlay-"))

  private constructor() {
    this.#spaces = new Map(HOSTS.map((host) => [host, openNetns(`/run/netns/${host}`)]))
  }

  static async build(): Promise<OverlayLab> {
    requireTestNetns()
    await run(["bash", "-c", script().join("\n")])
    const lab = new OverlayLab()
    for (const host of HOSTS) lab.within(host, () => answerForOthers("br0"))
    return lab
  }

  /** Runs something of ours on a host. */
  within<T>(host: Host, fn: () => T): T {
    const netns = this.#spaces.get(host)
    if (netns === undefined) throw new Error(`there is no host ${host}`)
    return withNetns(netns, fn)
  }

  /** Whether a container, or a host, gets an answer; `size` is that of the whole IP packet. */
  async ping(from: Host | `c${Host}`, to: string, size?: number): Promise<boolean> {
    const headers = to.includes(":") ? 48 : 28
    const exact = size === undefined ? [] : ["-M", "do", "-s", `${size - headers}`]
    const argv = ["ping", "-n", "-c", "1", "-W", "2", ...exact, to]
    return (await inNetns(from, ...argv)).status === 0
  }

  /** What `tcpdump` sees at a port of the switch, or at a link of a host, while `act` runs. */
  async capture(
    where: { readonly link: string; readonly host?: Host },
    filter: string,
    act: () => Promise<unknown>,
  ): Promise<string[]> {
    const log = join(this.#directory, `capture-${this.#captures++}`)
    const enter = where.host === undefined ? [] : ["nsenter", `--net=/run/netns/${where.host}`]
    const daemon = await startDaemon(
      [
        ...enter,
        "tcpdump",
        "-Z",
        "root",
        "-i",
        where.link,
        "-n",
        "-e",
        "-l",
        "--immediate-mode",
        filter,
      ],
      async () => readFileSync(log, "utf8").includes("listening on"),
      { log },
    )
    await act()
    // What is on its way to the program gets there; nothing is expected after that.
    await setTimeout(200)
    await daemon.stop()
    return readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => /^\d\d:\d\d:/.test(line))
  }

  /**
   * What the kernel tells of a host's overlay while `act` runs: links, addresses, routes,
   * neighbours, and forwardings, which it shows as neighbours without ARP.
   */
  async watch(host: Host, act: () => Promise<void>): Promise<string[]> {
    const log = join(this.#directory, `watch-${this.#captures++}`)
    // Readiness is seen by a change of our own.
    const mark = async () => {
      for (const verb of ["add", "del"]) {
        await run(["ip", "-n", host, "route", verb, "blackhole", "203.0.113.1"])
      }
      return readFileSync(log, "utf8").includes("203.0.113.1")
    }
    const argv = ["ip", "-n", host, "monitor", "route", "neigh", "address", "link"]
    const daemon = await startDaemon(argv, mark, { log })
    const before = await quietLength(log)
    await act()
    await setTimeout(200)
    await daemon.stop()
    return readFileSync(log, "utf8")
      .slice(before)
      .split("\n")
      .map((line) => line.trim().replace(/\s+/g, " "))
      .filter((line) => OURS.test(line) && !line.includes("203.0.113.1"))
  }

  async close(): Promise<void> {
    for (const netns of this.#spaces.values()) netns.close()
    // A namespace takes its time to end; what must be free at once goes first.
    for (const host of HOSTS) ip("link", "delete", `p${host}`)
    const names = HOSTS.flatMap((host) => [host, `c${host}`])
    await attempt(["bash", "-c", names.map((name) => `ip netns delete ${name}`).join("; ")])
    ip("link", "delete", "switch")
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
