import { isDeepStrictEqual } from "node:util"
import { OrderedRecords } from "./ordered_records.ts"
import {
  type ContainerRecord,
  type EnvironmentRecord,
  type HostRecord,
  type ModelRecord,
  type NetworkRecord,
  type RecordKind,
  recordKey,
  type ServiceRecord,
  type ServiceReference,
  type StackRecord,
  serviceKey,
} from "./records.ts"

/** One record that came, went, or became another. */
export interface RecordChange {
  /** Undefined when it came. */
  readonly before: ModelRecord | undefined
  /** Undefined when it went. */
  readonly after: ModelRecord | undefined
}

/** What happened to a model in one step. */
export interface ModelChange {
  /** The model's version after it. */
  readonly version: number
  /** Each record at most once; none for a change of {@link Model.selfHost} alone. */
  readonly records: readonly RecordChange[]
}

/**
 * What is known of hosts, networks, stacks, services and containers. Lists have a stable order
 * ({@link OrderedRecords}) and are not to be changed. A change costs a search in the lists
 * that have the record; each of them is copied when it is next asked for.
 */
export class Model {
  readonly #records = {
    host: new OrderedRecords<HostRecord>(),
    network: new OrderedRecords<NetworkRecord>(),
    stack: new OrderedRecords<StackRecord>(),
    service: new OrderedRecords<ServiceRecord>(),
    container: new OrderedRecords<ContainerRecord>(),
  }
  #environment: EnvironmentRecord | undefined
  #selfHost: string | undefined
  readonly #members = new Groups<ContainerRecord>()
  readonly #sharers = new Groups<ContainerRecord>()
  readonly #byAddress = new Groups<ContainerRecord>()
  readonly #servicesOfStack = new Groups<ServiceRecord>()
  readonly #listeners = new Set<(change: ModelChange) => void>()
  #version = 0
  /** By kind and key, while a batch runs. */
  #batch: Map<string, RecordChange> | undefined
  #batchSelf = false

  /** Grows by one with each change that subscribers hear. */
  get version(): number {
    return this.#version
  }

  get environment(): EnvironmentRecord | undefined {
    return this.#environment
  }

  /** The host that this process runs on; undefined until {@link setSelfHost}, or without a record. */
  get selfHost(): HostRecord | undefined {
    return this.#selfHost === undefined ? undefined : this.host(this.#selfHost)
  }

  get hosts(): readonly HostRecord[] {
    return this.#records.host.list()
  }

  get networks(): readonly NetworkRecord[] {
    return this.#records.network.list()
  }

  get stacks(): readonly StackRecord[] {
    return this.#records.stack.list()
  }

  get services(): readonly ServiceRecord[] {
    return this.#records.service.list()
  }

  get containers(): readonly ContainerRecord[] {
    return this.#records.container.list()
  }

  host(uuid: string): HostRecord | undefined {
    return this.#records.host.get(uuid)
  }

  network(uuid: string): NetworkRecord | undefined {
    return this.#records.network.get(uuid)
  }

  stack(uuid: string): StackRecord | undefined {
    return this.#records.stack.get(uuid)
  }

  service(reference: ServiceReference): ServiceRecord | undefined {
    return this.#records.service.get(serviceKey(reference))
  }

  container(uuid: string): ContainerRecord | undefined {
    return this.#records.container.get(uuid)
  }

  servicesOfStack(stackUuid: string): readonly ServiceRecord[] {
    return this.#servicesOfStack.list(stackUuid)
  }

  containersOf(service: ServiceReference): readonly ContainerRecord[] {
    return this.#members.list(serviceKey(service))
  }

  /** The containers that share another's network (`network_from_container_uuid`). */
  containersInNetworkOf(containerUuid: string): readonly ContainerRecord[] {
    return this.#sharers.list(containerUuid)
  }

  /**
   * Every container with that address: more than one where they are in their host's network, or
   * where one has stopped and another got its address.
   *
   * @param address as the records write it
   */
  containersAt(address: string): readonly ContainerRecord[] {
    return this.#byAddress.list(address)
  }

  /**
   * The container that packets from an address come from: a running one before a stopped one.
   * Undefined for the address of a host, where nobody can tell its containers apart.
   */
  containerAt(address: string): ContainerRecord | undefined {
    const candidates = this.containersAt(address).filter(({ host_ip }) => host_ip !== address)
    return candidates.find(isRunning) ?? candidates[0]
  }

  /** Adds a record, or replaces the one of that kind and key. An equal one is no change. */
  put(record: ModelRecord): void {
    const before = this.get(record.metadata_kind, recordKey(record))
    if (before !== undefined && isDeepStrictEqual(before, record)) return
    this.#apply(record.metadata_kind, recordKey(record), { before, after: record })
  }

  /** Removes the record of that kind and key ({@link recordKey}), if it is there. */
  remove(kind: RecordKind, key: string): void {
    const before = this.get(kind, key)
    if (before !== undefined) this.#apply(kind, key, { before, after: undefined })
  }

  /** The record of that kind and key. */
  get(kind: RecordKind, key: string): ModelRecord | undefined {
    if (kind !== "environment") return this.#records[kind].get(key)
    return this.#environment?.uuid === key ? this.#environment : undefined
  }

  /** Says which host this process runs on. */
  setSelfHost(uuid: string | undefined): void {
    if (uuid === this.#selfHost) return
    this.#selfHost = uuid
    if (this.#batch === undefined) this.#tell([])
    else this.#batchSelf = true
  }

  /**
   * Makes several changes one: subscribers hear once, of the outcome. What was done before `change`
   * throws stays done, and is told.
   */
  batch(change: () => void): void {
    if (this.#batch !== undefined) {
      change()
      return
    }
    const batch = new Map<string, RecordChange>()
    this.#batch = batch
    this.#batchSelf = false
    try {
      change()
    } finally {
      this.#batch = undefined
      const records = [...batch.values()].filter(
        ({ before, after }) => !isDeepStrictEqual(before, after),
      )
      if (records.length > 0 || this.#batchSelf) this.#tell(records)
    }
  }

  /** @returns ends the subscription */
  subscribe(listener: (change: ModelChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #apply(kind: RecordKind, key: string, change: RecordChange): void {
    if (kind === "environment") this.#environment = change.after as EnvironmentRecord | undefined
    else if (change.after === undefined) this.#records[kind].remove(key)
    else (this.#records[kind] as OrderedRecords<ModelRecord>).put(key, change.after)
    this.#group(key, change.before, "remove")
    this.#group(key, change.after, "add")
    if (this.#batch === undefined) {
      this.#tell([change])
      return
    }
    const id = `${kind} ${key}`
    const earlier = this.#batch.get(id)
    this.#batch.set(id, earlier === undefined ? change : { ...change, before: earlier.before })
  }

  #group(key: string, record: ModelRecord | undefined, action: "add" | "remove"): void {
    if (record?.metadata_kind === "service") {
      if (record.stack_uuid !== null) this.#servicesOfStack[action](record.stack_uuid, key, record)
    } else if (record?.metadata_kind === "container") {
      const { network_from_container_uuid: parent } = record
      for (const service of record.services) this.#members[action](serviceKey(service), key, record)
      for (const address of addressesOf(record)) this.#byAddress[action](address, key, record)
      if (parent !== null) this.#sharers[action](parent, key, record)
    }
  }

  #tell(records: readonly RecordChange[]): void {
    this.#version += 1
    const change = { version: this.#version, records }
    for (const listener of this.#listeners) listener(change)
  }
}

/** Whether a container counts as running: Rancher's networking began at `starting`. */
export function isRunning({ state }: ContainerRecord): boolean {
  return state === "running" || state === "starting" || state === "stopping"
}

/** Every address of a container, once. */
export function addressesOf({ primary_ip, ips }: ContainerRecord): readonly string[] {
  if (primary_ip === null || ips.includes(primary_ip)) return ips
  return [primary_ip, ...ips]
}

/** Records by something they share. */
class Groups<T extends { readonly name: string }> {
  readonly #groups = new Map<string, OrderedRecords<T>>()

  list(group: string): readonly T[] {
    return this.#groups.get(group)?.list() ?? []
  }

  add(group: string, key: string, record: T): void {
    let records = this.#groups.get(group)
    if (records === undefined) {
      records = new OrderedRecords()
      this.#groups.set(group, records)
    }
    records.put(key, record)
  }

  remove(group: string, key: string): void {
    const records = this.#groups.get(group)
    records?.remove(key)
    if (records?.size === 0) this.#groups.delete(group)
  }
}
