/** Where everything stands in the store. */

import { HOST_ID } from "./envelope.ts"

const NUMBER = /^[1-9][0-9]{0,4}$/
const ADDRESS = /^[0-9a-f.:]{1,45}$/
const BLOCK = /^[0-9a-f.:]{1,45}_[0-9]{1,3}$/

/** What a key is about. */
export type ParsedKey =
  | { readonly kind: "identity" | "host" | "alive" | "keys" | "ack"; readonly hostId: string }
  | { readonly kind: "number"; readonly number: number }
  | { readonly kind: "block"; readonly network: string; readonly block: string }
  | { readonly kind: "endpoint"; readonly network: string; readonly address: string }

const OF_HOST = {
  identities: "identity",
  hosts: "host",
  alive: "alive",
  keys: "keys",
  acks: "ack",
} as const

/** The keys of one cluster. */
export class Keyspace {
  /** Everything of the cluster begins so. */
  readonly prefix: string

  /** @param cluster name of the cluster, without `/` */
  constructor(cluster: string) {
    this.prefix = `/lariat/${cluster}/`
  }

  /** The host's public key and number: written once. */
  identity(hostId: string): string {
    return `${this.prefix}identities/${hostId}`
  }

  /** Whose a host number is: written once. */
  number(number: number): string {
    return `${this.prefix}numbers/${number}`
  }

  /** What a host says of itself. */
  host(hostId: string): string {
    return `${this.prefix}hosts/${hostId}`
  }

  /** There while the host is. */
  alive(hostId: string): string {
    return `${this.prefix}alive/${hostId}`
  }

  /** The host's key announcement. */
  keys(hostId: string): string {
    return `${this.prefix}keys/${hostId}`
  }

  /** What the host has acknowledged. */
  ack(hostId: string): string {
    return `${this.prefix}acks/${hostId}`
  }

  /** Who holds a block of a network's addresses. */
  block(network: string, block: string): string {
    return `${this.prefix}blocks/${encodeURIComponent(network)}/${block.replace("/", "_")}`
  }

  /** All blocks of a network. */
  blocks(network: string): string {
    return `${this.prefix}blocks/${encodeURIComponent(network)}/`
  }

  /** The container that has an address. */
  endpoint(network: string, address: string): string {
    return `${this.prefix}endpoints/${encodeURIComponent(network)}/${address}`
  }

  /** Small numbers of networks, for `networkNumber`. */
  get networks(): string {
    return `${this.prefix}networks/`
  }

  /** What a key of the cluster is about; undefined for one that nobody of us wrote. */
  parse(key: string): ParsedKey | undefined {
    if (!key.startsWith(this.prefix)) return undefined
    const [folder = "", first = "", second, ...more] = key.slice(this.prefix.length).split("/")
    if (more.length > 0) return undefined
    if (second === undefined) {
      if (folder === "numbers") {
        return NUMBER.test(first) ? { kind: "number", number: Number(first) } : undefined
      }
      if (!Object.hasOwn(OF_HOST, folder) || !HOST_ID.test(first)) return undefined
      return { kind: OF_HOST[folder as keyof typeof OF_HOST], hostId: first }
    }
    const network = decoded(first)
    if (network === undefined) return undefined
    if (folder === "blocks" && BLOCK.test(second)) {
      return { kind: "block", network, block: second.replace("_", "/") }
    }
    if (folder === "endpoints" && ADDRESS.test(second)) {
      return { kind: "endpoint", network, address: second }
    }
    return undefined
  }
}

/** A network's name; undefined where it is not written in the one way: two keys are never one. */
function decoded(text: string): string | undefined {
  try {
    const name = decodeURIComponent(text)
    return text !== "" && encodeURIComponent(name) === text ? name : undefined
  } catch {
    return undefined
  }
}
