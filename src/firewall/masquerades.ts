/** The container addresses that are masqueraded (`ipMasq`), and the subnets they belong to. */

import {
  type Address,
  formatAddress,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../core/address.ts"

/** Reads `10.42.0.2/16`, or an address alone. @throws LariatError config-invalid */
export function parseMasquerade(text: string): Prefix {
  if (text.includes("/")) return parsePrefix(text)
  const { family, bytes } = parseAddress(text)
  return { family, bytes, length: bytes.length * 8 }
}

/** Takes a change back. */
export type Undo = () => void

/** Addresses, each once, with the number of addresses of each subnet. */
export class Masquerades {
  readonly #byAddress = new Map<string, Prefix>()
  readonly #subnets = new Map<string, { readonly prefix: Prefix; count: number }>()

  constructor(entries: readonly Prefix[] = []) {
    for (const entry of entries) this.add(entry)
  }

  get addresses(): Prefix[] {
    return [...this.#byAddress.values()]
  }

  /** Networks that have an address here, without those of an address alone. */
  get subnets(): Prefix[] {
    return [...this.#subnets.values()]
      .map(({ prefix }) => prefix)
      .filter(({ length, bytes }) => length < bytes.length * 8)
  }

  has(address: Address): boolean {
    return this.#byAddress.has(formatAddress(address))
  }

  /** Adds an address, or gives it another subnet. */
  add(entry: Prefix): Undo {
    const before = this.#byAddress.get(formatAddress(entry))
    if (before?.length === entry.length) return () => {}
    this.remove(entry)
    this.#byAddress.set(formatAddress(entry), entry)
    const subnet = this.#subnets.get(subnetKey(entry))
    if (subnet !== undefined) subnet.count++
    else this.#subnets.set(subnetKey(entry), { prefix: networkOf(entry), count: 1 })
    return () => (before === undefined ? this.remove(entry) : this.add(before))
  }

  /** Takes an address away, whatever its subnet. */
  remove(address: Address): Undo {
    const key = formatAddress(address)
    const entry = this.#byAddress.get(key)
    if (entry === undefined) return () => {}
    this.#byAddress.delete(key)
    const subnet = this.#subnets.get(subnetKey(entry))
    if (subnet !== undefined && --subnet.count === 0) this.#subnets.delete(subnetKey(entry))
    return () => this.add(entry)
  }
}

function subnetKey(entry: Prefix): string {
  return formatPrefix(networkOf(entry))
}
