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
 * over, and those with a zone id: other resolvers ask such servers, this one cannot.
 */
export function parseResolvConf(text: string): readonly ServerAddress[] {
  const addresses = text.split(/\r?\n/).flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1]
    return address === undefined ? [] : [address]
  })
  return serversOf(addresses)
}

/** Addresses as servers; what is no address is left out. */
export function serversOf(addresses: readonly string[]): readonly ServerAddress[] {
  return [...new Set(addresses.filter(isAddress))]
    .slice(0, MAX_SERVERS)
    .map((address) => ({ address, port: DNS_PORT }))
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text)
    return true
  } catch {
    return false
  }
}
