import { parseAddress } from "../core/address.ts"

/** Where another server is. */
export interface ServerAddress {
  readonly address: string
  readonly port: number
}

/** RFC 1035 §4.2. */
export const DNS_PORT = 53
/** resolv.conf(5) takes three; more help when the first are down, but each is asked. */
const MAX_SERVERS = 8

/**
 * The nameservers of a resolv.conf(5), in its order, each once. Lines that name none are passed
 * over. A link-local one has the interface behind it (`fe80::1%eth0`), as home routers announce it.
 */
export function parseResolvConf(text: string): readonly ServerAddress[] {
  const addresses = text.split(/\r?\n/).flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1]
    return address === undefined ? [] : [address]
  })
  return listed(addresses.filter((address) => isAddress(withoutZone(address))))
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
