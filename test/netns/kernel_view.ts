/** What the kernel says about links, addresses, routes and neighbours, read with iproute2. */
import { attempt, run } from "../clients/program.ts"

/** The keys of `ip -json -details link show` that the tests look at. */
export interface LinkView {
  readonly ifindex: number
  readonly ifname: string
  readonly flags: readonly string[]
  readonly mtu: number
  readonly address: string
  readonly operstate: string
  readonly master?: string
  readonly link_index?: number
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_slave_kind?: string
    readonly info_slave_data?: Readonly<Record<string, unknown>>
  }
}

/** One address of `ip -json address show`. */
export interface AddressView {
  readonly family: string
  readonly local: string
  readonly prefixlen: number
  readonly scope: string
  readonly tentative?: boolean
  readonly dadfailed?: boolean
}

/** One route of `ip -json route show`. */
export interface RouteView {
  readonly dst: string
  readonly gateway?: string
  readonly dev: string
  readonly flags: readonly string[]
}

/** One entry of `ip -json neighbour show`. */
export interface NeighbourView {
  readonly dst: string
  readonly dev: string
  readonly lladdr?: string
  readonly state: readonly string[]
}

/** A link of the host, or of a namespace; undefined when there is none of that name. */
export async function linkOf(name: string, netns?: string): Promise<LinkView | undefined> {
  const result = await attempt([...ip(netns), "-details", "link", "show", "dev", name])
  return result.status === 0 ? JSON.parse(result.stdout)[0] : undefined
}

/** A link that must be there. */
export async function mustLink(name: string, netns?: string): Promise<LinkView> {
  const link = await linkOf(name, netns)
  if (link === undefined) throw new Error(`there is no link ${name} in ${netns ?? "the host"}`)
  return link
}

/** All links of the host, or of a namespace, by name. */
export async function linkNames(netns?: string): Promise<string[]> {
  const links: LinkView[] = JSON.parse(await run([...ip(netns), "link", "show"]))
  return links.map(({ ifname }) => ifname).sort()
}

/** The addresses of a link, all scopes. */
export async function addressViews(name: string, netns?: string): Promise<AddressView[]> {
  const links = JSON.parse(await run([...ip(netns), "address", "show", "dev", name]))
  return links[0]?.addr_info ?? []
}

/** The global addresses of a link with prefix length, in the kernel's order. */
export async function addressesOf(name: string, netns?: string): Promise<string[]> {
  const views = await addressViews(name, netns)
  return views
    .filter(({ scope }) => scope === "global")
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}

/** The main table of a namespace. */
export async function routesOf(netns: string, family: 4 | 6 = 4): Promise<RouteView[]> {
  return JSON.parse(await run([...ip(netns), `-${family}`, "route", "show"]))
}

/** What a namespace believes about a neighbour; undefined when it has no entry. */
export async function neighbourOf(
  address: string,
  netns: string,
): Promise<NeighbourView | undefined> {
  const all: NeighbourView[] = JSON.parse(await run([...ip(netns), "neighbour", "show"]))
  return all.find(({ dst }) => dst === address)
}

function ip(netns: string | undefined): string[] {
  return netns === undefined ? ["ip", "-json"] : ["ip", "-n", netns, "-json"]
}
