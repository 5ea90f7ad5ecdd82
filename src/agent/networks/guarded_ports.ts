import type { GuardedPort } from "../../firewall/guarded_port.ts"
import type { EndpointRow } from "../state/rows.ts"
import { addressesOf } from "./endpoint_index.ts"
import { specOf } from "./endpoint_spec.ts"

/** A row whose port is guarded. */
type GuardedRow = EndpointRow & { readonly hostIndex: number; readonly mac: string }

/**
 * What each port may send under: the addresses of its whole container. An answer of one network's
 * address leaves by the default route, which is another's.
 */
export class GuardedPorts {
  /** By container, and by number of the host's end. */
  readonly #containers = new Map<string, Map<number, GuardedRow>>()
  readonly #containerOf = new Map<number, string>()

  get size(): number {
    return this.#containerOf.size
  }

  /** Takes an attached port in, if it is to be guarded. @returns its container's, as they are now */
  add(row: EndpointRow): GuardedPort[] {
    if (!isGuarded(row)) return []
    this.delete(row.hostIndex)
    const container = containerOf(row)
    this.#containerOf.set(row.hostIndex, container)
    const rows = this.#containers.get(container) ?? new Map<number, GuardedRow>()
    this.#containers.set(container, rows.set(row.hostIndex, row))
    return portsOf(rows)
  }

  /** Forgets a port. @returns those that its container has left; undefined where it was not known */
  delete(index: number): GuardedPort[] | undefined {
    const container = this.#containerOf.get(index)
    if (container === undefined) return undefined
    this.#containerOf.delete(index)
    const rows = this.#containers.get(container) ?? new Map()
    rows.delete(index)
    if (rows.size === 0) this.#containers.delete(container)
    return portsOf(rows)
  }

  clear(): void {
    this.#containers.clear()
    this.#containerOf.clear()
  }

  all(): GuardedPort[] {
    return [...this.#containers.values()].flatMap(portsOf)
  }
}

function isGuarded(row: EndpointRow): row is GuardedRow {
  const { kind, hostIndex, mac } = row
  const isKnown = hostIndex !== undefined && mac !== undefined
  return kind !== "ipam" && isKnown && specOf(row).antiSpoofing === true
}

function containerOf({ netns, containerId }: EndpointRow): string {
  return netns === undefined ? containerId : `${netns.dev}:${netns.ino}`
}

function portsOf(rows: ReadonlyMap<number, GuardedRow>): GuardedPort[] {
  const all = [...rows.values()]
  const addresses = all.flatMap(addressesOf)
  return all.map(({ hostIndex, mac }) => ({ index: hostIndex, mac, addresses }))
}
