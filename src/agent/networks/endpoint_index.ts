import type { EndpointRow } from "../state/rows.ts"
import type { EndpointKey } from "./attach_request.ts"

/** Hears of a row: as it was, undefined when it came; as it is, undefined when it went. */
export type EndpointListener = (
  before: EndpointRow | undefined,
  after: EndpointRow | undefined,
) => void

/**
 * The state database's rows in memory, by what one looks them up by: key, source address, host link. The
 * state database is the truth; this spares an attach its queries.
 */
export class EndpointIndex {
  readonly #byKey = new Map<string, EndpointRow>()
  readonly #byAddress = new Map<string, EndpointRow>()
  readonly #byHostIndex = new Map<number, EndpointRow>()
  /** Endpoints whose port could not be put right; they are looked at again when a link appears. */
  readonly unmended = new Set<EndpointRow>()
  readonly #pending = new Map<string, Promise<void>>()
  readonly #attaching = new Map<string, Promise<unknown>>()
  readonly #listeners: EndpointListener[] = []

  /** Hears of every row that comes, goes or becomes another. */
  onChange(listener: EndpointListener): void {
    this.#listeners.push(listener)
  }

  /** Every endpoint that is attached. */
  attached(): EndpointRow[] {
    return [...this.#byKey.values()].filter(({ state }) => state === "attached")
  }

  /** Endpoints that could not be taken down, or are about to be. */
  unfinished(): EndpointRow[] {
    return [...this.#byKey.values()].filter(({ state }) => state !== "attached")
  }

  /** The endpoint of this key in whatever state. */
  get(key: EndpointKey): EndpointRow | undefined {
    return this.#byKey.get(keyText(key))
  }

  /** The endpoint that has this address, ours or one that another engine gave it. */
  byAddress(address: string): EndpointRow | undefined {
    return this.#byAddress.get(address)
  }

  /** The endpoint whose host link has this interface index. */
  byHostIndex(index: number): EndpointRow | undefined {
    return this.#byHostIndex.get(index)
  }

  /** The endpoint whose addresses stand on this interface that another engine made. */
  adopter(netns: { readonly dev: bigint; readonly ino: bigint }, ifname: string) {
    return this.attached().find(
      (row) =>
        row.kind === "adopted" &&
        row.ifname === ifname &&
        row.netns?.dev === netns.dev &&
        row.netns.ino === netns.ino,
    )
  }

  /** Takes a row in, in place of an earlier one; only an attached one is found by address or link. */
  put(row: EndpointRow): void {
    const before = this.#forget(row)
    this.#byKey.set(keyText(row), row)
    if (row.state === "attached") {
      for (const address of addressesOf(row)) this.#byAddress.set(address, row)
      if (row.hostIndex !== undefined && row.kind === "port") {
        this.#byHostIndex.set(row.hostIndex, row)
      }
    }
    this.#tell(before, row)
  }

  /** Networks are called otherwise from now on. */
  rename(names: ReadonlyMap<string, string>): void {
    for (const row of [...this.#byKey.values()]) {
      const pool = names.get(row.pool)
      if (pool !== undefined) this.put({ ...row, pool })
    }
  }

  remove(key: EndpointKey): void {
    const row = this.#forget(key)
    if (row !== undefined) this.#tell(row, undefined)
  }

  #tell(before: EndpointRow | undefined, after: EndpointRow | undefined): void {
    for (const listener of this.#listeners) listener(before, after)
  }

  #forget(key: EndpointKey): EndpointRow | undefined {
    const row = this.#byKey.get(keyText(key))
    if (row === undefined) return undefined
    this.#byKey.delete(keyText(key))
    this.unmended.delete(row)
    for (const address of addressesOf(row)) {
      if (this.#byAddress.get(address) === row) this.#byAddress.delete(address)
    }
    if (row.hostIndex !== undefined && this.#byHostIndex.get(row.hostIndex) === row) {
      this.#byHostIndex.delete(row.hostIndex)
    }
    return row
  }

  /** The detach of this endpoint that is under way, if one is. */
  pending(key: EndpointKey): Promise<void> | undefined {
    return this.#pending.get(keyText(key))
  }

  /** Remembers work on an endpoint until it ends, so that nothing else touches it meanwhile. */
  track(key: EndpointKey, work: Promise<void>): Promise<void> {
    return remember(this.#pending, keyText(key), work)
  }

  /** The attach of this endpoint that is under way, if one is. */
  attaching(key: EndpointKey): Promise<unknown> | undefined {
    return this.#attaching.get(keyText(key))
  }

  /** Remembers an attach until it ends. */
  trackAttach<T>(key: EndpointKey, work: Promise<T>): Promise<T> {
    return remember(this.#attaching, keyText(key), work)
  }
}

/** Keeps work under a key until it ends, unless other work took its place. */
function remember<T>(
  all: Map<string, Promise<unknown>>,
  key: string,
  work: Promise<T>,
): Promise<T> {
  const tracked = work.finally(() => {
    if (all.get(key) === tracked) all.delete(key)
  })
  all.set(key, tracked)
  return tracked
}

function keyText({ network, containerId, ifname }: EndpointKey): string {
  return `${network}\n${containerId}\n${ifname}`
}

/** All addresses by which an endpoint may be seen, without prefix length. */
export function addressesOf(row: EndpointRow): string[] {
  const foreign = row.result?.foreignAddresses
  return [
    ...row.addresses.map(({ address }) => address),
    ...(Array.isArray(foreign) ? foreign.filter((one) => typeof one === "string") : []),
  ]
}
