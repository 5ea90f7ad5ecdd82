/** A network namespace of the lab: a host, a store, a router or a container. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { NETLINK_ROUTE } from "../../src/netlink/constants.ts"
import { newAddress } from "../../src/netlink/route/addr.ts"
import { changeLink, getLink, type LinkInfo, listLinks } from "../../src/netlink/route/link.ts"
import { newRoute, type RouteRequest } from "../../src/netlink/route/route.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import {
  createNetns,
  type Netns,
  pinNetns,
  unpinNetns,
  withNetns,
} from "../../src/sys/netns/netns.ts"
import { attempt, type ProgramResult, run } from "../clients/program.ts"
import { requireTestNetns } from "../netns/guard.ts"

/** Where `ip netns` looks for namespaces, too. */
const DIRECTORY = "/run/netns"

export class LabNetns {
  readonly name: string
  /** Under which it is pinned, as container runtimes do. */
  readonly path: string
  readonly handle: Netns
  /** Speaks to the kernel about this namespace, from wherever it is used. */
  readonly route: NetlinkSocket
  #open = true

  /** Makes a namespace with lo up. @throws SystemError, also when there is one of that name */
  constructor(name: string) {
    requireTestNetns()
    this.name = name
    this.path = `${DIRECTORY}/${name}`
    mkdirSync(DIRECTORY, { recursive: true })
    writeFileSync(this.path, "", { flag: "wx" })
    this.handle = createNetns()
    pinNetns(this.handle, this.path)
    this.route = this.inside(() => NetlinkSocket.open(NETLINK_ROUTE))
    this.route.request(changeLink("lo", { up: true }))
  }

  /** Runs a synchronous function in the namespace; sockets that it opens stay there. */
  inside<T>(fn: () => T): T {
    return withNetns(this.handle, fn)
  }

  link(name: string): LinkInfo {
    const link = getLink(this.route, name)
    if (link === undefined) throw new Error(`there is no link ${name} in ${this.name}`)
    return link
  }

  links(): LinkInfo[] {
    return listLinks(this.route)
  }

  /** Gives a link addresses (with prefix length) and brings it up. */
  configure(link: string, addresses: readonly string[]): void {
    const { index } = this.link(link)
    for (const address of addresses) this.route.request(newAddress(index, address))
    this.route.request(changeLink(index, { up: true }))
  }

  /** Adds routes by a link, or puts them in the place of others to the same destination. */
  addRoutes(link: string, routes: readonly RouteRequest[]): void {
    const { index } = this.link(link)
    for (const route of routes) {
      this.route.request(newRoute({ index, ...route }, { replace: true }))
    }
  }

  /** Sets keys of /proc/sys/net, such as "ipv4/ip_forward". */
  sysctl(values: Readonly<Record<string, string>>): void {
    this.inside(() => {
      for (const [key, value] of Object.entries(values)) {
        writeFileSync(`/proc/sys/net/${key}`, value)
      }
    })
  }

  /** The words that run a program in here; `ip netns exec` would hide the cgroups. */
  command(...argv: string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...argv]
  }

  /** Runs a program to its end, whatever its exit status. */
  attempt(...argv: string[]): Promise<ProgramResult> {
    return attempt(this.command(...argv))
  }

  /** Runs a program that must succeed, and returns its output. */
  run(...argv: string[]): Promise<string> {
    return run(this.command(...argv))
  }

  /**
   * /proc/net/xfrm_stat: counters by name, those that are not 0. Kernels without
   * CONFIG_XFRM_STATISTICS have none.
   */
  xfrmStatistics(): Record<string, number> {
    const text = this.inside(() => readFileSync("/proc/thread-self/net/xfrm_stat", "utf8"))
    const counters = [...text.matchAll(/^(\w+)\s+(\d+)$/gm)].map(
      ([, name = "", value]) => [name, Number(value)] as const,
    )
    return Object.fromEntries(counters.filter(([, value]) => value > 0))
  }

  /** Takes the namespace away; its links go when nothing uses it any more. Idempotent. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.route.close()
    unpinNetns(this.path)
    rmSync(this.path)
    this.handle.close()
  }
}
