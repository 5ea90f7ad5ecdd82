import { parseAddress } from "../core/address.ts"
import { encodeName } from "./name.ts"
import { ZONE } from "./names.ts"

/** Where another server is. */
export interface ServerAddress {
  readonly address: string
  readonly port: number
}

/** What a resolv.conf(5) says of a host's resolver. */
export interface HostResolver {
  readonly servers: readonly ServerAddress[]
  /** Domains that its own programs try behind a short name, in lower case, without an end dot. */
  readonly search: readonly string[]
}

/** A host without such a file. */
export const NO_RESOLVER: HostResolver = { servers: [], search: [] }

/** RFC 1035 §4.2. */
export const DNS_PORT = 53
/** resolv.conf(5) takes three; more help when the first are down, but each is asked. */
const MAX_SERVERS = 8
/** As older resolvers take: each may cost a question of its own. */
const MAX_DOMAINS = 6

/**
 * The nameservers of a resolv.conf(5), in its order, each once, and the domains of its last `search`
 * or `domain`. Lines that say neither are passed over. A link-local server has the interface behind
 * it (`fe80::1%eth0`), as home routers announce it.
 */
export function parseResolvConf(text: string): HostResolver {
  const addresses: string[] = []
  let domains: readonly string[] = []
  for (const line of text.split(/\r?\n/)) {
    const [key = "", ...words] = line.trim().split(/\s+/)
    if (key === "nameserver") addresses.push(words[0] ?? "")
    else if (key === "search") domains = words
    else if (key === "domain") domains = words.slice(0, 1)
  }
  return {
    servers: listed(addresses.filter((address) => isAddress(withoutZone(address)))),
    search: searched(domains),
  }
}

/** What no other server is to be asked for is left out: the root, and what is below our own zone. */
function searched(domains: readonly string[]): readonly string[] {
  const plain = domains.map((domain) => domain.toLowerCase().replace(/\.$/, ""))
  const theirs = plain.filter(
    (domain) => encodeName(domain) !== undefined && domain !== ZONE && !domain.endsWith(`.${ZONE}`),
  )
  return [...new Set(theirs)].slice(0, MAX_DOMAINS)
}

/** Addresses as servers; what is no address, or has a zone that only its owner knows, is left out. */
export function serversOf(addresses: readonly string[]): readonly ServerAddress[] {
  return listed(addresses.filter(isAddress))
}

function listed(addresses: readonly string[]): readonly ServerAddress[] {
  return [...new Set(addresses)]
    .slice(0, MAX_SERVERS)
    .map((address) => ({ address, port: DNS_PORT }))
}

/** RFC 4007 §11: a zone stands behind a link-local address alone, and is an interface here. */
function withoutZone(address: string): string {
  return /^(fe[89ab][0-9a-f]:.*)%[^\s/%]{1,15}$/i.exec(address)?.[1] ?? address
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text)
    return true
  } catch {
    return false
  }
}
