import type { FedContainer } from "./feed.ts"

/** Where whole containers go. */
export interface ContainerSink {
  put(container: FedContainer): void
  remove(uuid: string): void
}

/** What one host says of one container: an endpoint for each of its interfaces. */
interface Group {
  readonly uuid: string
  readonly hostUuid: string
  readonly endpoints: Map<string, FedContainer>
  /** The uuid that it is shown under; undefined while it is not. */
  shownAs: string | undefined
}

/** Settings of {@link ContainerEndpoints}. */
export interface ContainerEndpointsOptions {
  readonly sink: ContainerSink
  /** The host whose containers nobody else's record can stand for. */
  readonly selfHost: string
  /** Always makes the same uuid of the same text. */
  readonly uuidFrom: (text: string) => string
}

/**
 * Makes containers of endpoints: one that has several interfaces is one container with all of their
 * addresses, those of its first interface first, for as long as one is left. A container is its
 * host's: where two hosts say that they have the same, each has its own, and only this host's, or
 * else the first, has the uuid.
 */
export class ContainerEndpoints {
  readonly #sink: ContainerSink
  readonly #selfHost: string
  readonly #uuidFrom: (text: string) => string
  readonly #groupOf = new Map<string, Group>()
  /** By uuid; the first one is shown under it. */
  readonly #claims = new Map<string, Group[]>()

  constructor({ sink, selfHost, uuidFrom }: ContainerEndpointsOptions) {
    this.#sink = sink
    this.#selfHost = selfHost
    this.#uuidFrom = uuidFrom
  }

  /**
   * Adds an endpoint, or what changed of it.
   *
   * @param key is the endpoint's own among all
   * @param endpoint the container as this endpoint knows it, with its own addresses alone
   */
  put(key: string, endpoint: FedContainer): void {
    const { uuid, hostUuid } = this.#groupOf.get(key) ?? endpoint
    if (uuid !== endpoint.uuid || hostUuid !== endpoint.hostUuid) this.remove(key)
    const group = this.#group(endpoint)
    group.endpoints.set(key, endpoint)
    this.#groupOf.set(key, group)
    this.#show(group.uuid)
  }

  /** Removes an endpoint, and its container where that was the last one. */
  remove(key: string): void {
    const group = this.#groupOf.get(key)
    if (group === undefined) return
    this.#groupOf.delete(key)
    group.endpoints.delete(key)
    if (group.endpoints.size === 0) this.#drop(group)
    this.#show(group.uuid)
  }

  #group({ uuid, hostUuid }: FedContainer): Group {
    const claims = this.#claims.get(uuid) ?? []
    const known = claims.find((group) => group.hostUuid === hostUuid)
    if (known !== undefined) return known
    const group: Group = { uuid, hostUuid, endpoints: new Map(), shownAs: undefined }
    if (hostUuid === this.#selfHost) claims.unshift(group)
    else claims.push(group)
    this.#claims.set(uuid, claims)
    return group
  }

  #drop(group: Group): void {
    const left = (this.#claims.get(group.uuid) ?? []).filter((one) => one !== group)
    if (left.length === 0) this.#claims.delete(group.uuid)
    else this.#claims.set(group.uuid, left)
    this.#hide(group)
  }

  #hide(group: Group): void {
    if (group.shownAs !== undefined) this.#sink.remove(group.shownAs)
    group.shownAs = undefined
  }

  #show(uuid: string): void {
    const shown = (this.#claims.get(uuid) ?? []).map((group, at) => {
      const { hostUuid } = group
      return { group, as: at === 0 ? uuid : this.#uuidFrom(`container ${hostUuid}/${uuid}`) }
    })
    // What gives way first: nobody is removed by who had its uuid before.
    for (const { group, as } of shown) if (group.shownAs !== as) this.#hide(group)
    for (const { group, as } of shown) {
      group.shownAs = as
      this.#sink.put({ ...merged([...group.endpoints.values()]), uuid: as })
    }
  }
}

/** One container of all that its endpoints know, the oldest one's first. */
function merged(endpoints: readonly FedContainer[]): FedContainer {
  const [first, ...more] = endpoints.toSorted((a, b) => a.createIndex - b.createIndex)
  if (first === undefined) throw new TypeError("Cannot make a container of no endpoint")
  if (more.length === 0) return first
  const all = [first, ...more]
  return {
    ...first,
    labels: Object.assign({}, ...all.map(({ labels }) => labels).reverse()),
    addresses: [...new Set(all.flatMap(({ addresses }) => addresses))],
    dns: [...new Set(all.flatMap(({ dns }) => dns))],
    dnsSearch: [...new Set(all.flatMap(({ dnsSearch }) => dnsSearch))],
  }
}
