import { familyOf } from "../core/address.ts"
import { addressesOf, isRunning, type Model, type ModelChange } from "../metadata/model.ts"
import {
  type ContainerRecord,
  recordKey,
  type ServiceRecord,
  serviceKey,
} from "../metadata/records.ts"
import { encodeName } from "./name.ts"
import { type Named, NameTable } from "./name_table.ts"
import {
  containerName,
  linkTarget,
  METADATA_NAME,
  reverseName,
  serviceNames,
  ZONE,
} from "./names.ts"
import { type PortTargets, portTargets } from "./ports.ts"
import { addressBlock, nameData, type RecordBlock, recordBlock } from "./records.ts"
import {
  addressBytes,
  answering,
  containerTarget,
  type IsNear,
  networkSharers,
  serviceTarget,
  type Target,
  union,
} from "./targets.ts"
import { TYPE_A, TYPE_AAAA, TYPE_PTR } from "./wire.ts"

/** What a name has, ready to be copied into an answer. */
export interface NameRecords {
  readonly a: RecordBlock
  readonly aaaa: RecordBlock
  readonly ptr: RecordBlock
  /** The name outside that stands for it, as text. */
  readonly alias: string | undefined
  /** Whether it may be found by a name without the zone behind it. */
  readonly isSearchable: boolean
}

/** What a name belongs to. Several may have the same name, which then has what all of them have. */
type Owner =
  | { readonly kind: "service"; readonly key: string }
  | { readonly kind: "container"; readonly key: string }
  | { readonly kind: "address"; readonly key: string }
  | { readonly kind: "fixed"; readonly key: string; readonly target: Target; readonly ptr?: string }

/** A name that exists. */
export interface NameEntry extends Named {
  readonly text: string
}

class Entry implements NameEntry {
  readonly name: Uint8Array
  readonly text: string
  readonly owners = new Map<string, Owner>()
  /** Made when somebody asks. */
  records: NameRecords | undefined
  /** The same for askers of certain networks. */
  readonly near = new Map<string, NameRecords>()
  ports: PortTargets | undefined

  constructor(name: Uint8Array, text: string) {
    this.name = name
    this.text = text
  }
}

/** Where an asker is, for answers that depend on it. */
export interface Nearness {
  /** The same for all askers of the same networks. */
  readonly key: string
  readonly isNear: IsNear
}

/** Settings of a {@link NameIndex}. */
export interface NameIndexOptions {
  /** Of every answer, seconds. Default 1: a container that moves is found again at once. */
  readonly ttlSeconds?: number
  /** Where the metadata API and this server are. Default 169.254.169.250. */
  readonly serviceAddress?: string
}

/**
 * All names that a model gives, kept as the model changes: a change renames what it renames, and
 * throws away the answers that it alters, which are made again when somebody asks.
 */
export class NameIndex {
  readonly ttlSeconds: number
  readonly #model: Model
  readonly #table = new NameTable<Entry>()
  readonly #byText = new Map<string, Entry>()
  /** Entries of links to one container, which may share its name with others. */
  readonly #linked = new Map<string, Entry>()
  readonly #namesOf = new Map<string, readonly string[]>()
  /** By name, the services that are an alias of it. */
  readonly #aliasesOf = new Map<string, Set<string>>()
  readonly #targetsOfAlias = new Map<string, readonly string[]>()
  /** Containers with several addresses of a family: only they are answered by where one asks from. */
  readonly #spread = new Set<string>()
  readonly #unsubscribe: () => void
  #generation = 0

  constructor(model: Model, options: NameIndexOptions = {}) {
    const { ttlSeconds = 1, serviceAddress = "169.254.169.250" } = options
    this.ttlSeconds = ttlSeconds
    this.#model = model
    this.#fix(METADATA_NAME, [serviceAddress])
    // RFC 6761 §6.3: never asked of anybody else.
    this.#fix("localhost", ["127.0.0.1", "::1"])
    for (const service of model.services) this.#service(serviceKey(service), service)
    for (const container of model.containers) this.#container(container.uuid, container, [])
    this.#unsubscribe = model.subscribe((change) => this.#follow(change))
  }

  /** Grows when a container or a service changes: what depends on one may be out of date. */
  get generation(): number {
    return this.#generation
  }

  /** How many names there are. */
  get size(): number {
    return this.#table.size
  }

  /** Stops following the model. */
  close(): void {
    this.#unsubscribe()
  }

  /** The name that labels with a suffix behind them are; see {@link NameTable.find}. */
  find(
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    suffix?: Uint8Array,
  ): NameEntry | undefined {
    return this.#table.find(hash, bytes, start, end, suffix)
  }

  /** The name of that text, in lower case. */
  named(text: string): NameEntry | undefined {
    return this.#byText.get(text)
  }

  /** What stands for one container, whatever others have its name. */
  ofContainer(uuid: string): NameEntry | undefined {
    const container = this.#model.container(uuid)
    const known = this.#linked.get(uuid)
    if (container === undefined || known !== undefined) return known
    const text = containerName(container)
    const entry = new Entry(encodeName(text) ?? new Uint8Array(0), text)
    entry.owners.set(`container ${uuid}`, { kind: "container", key: uuid })
    this.#linked.set(uuid, entry)
    return entry
  }

  /** What a name has, for whoever asks from there; default: for all. */
  recordsOf(entry: NameEntry, from?: Nearness): NameRecords {
    if (!(entry instanceof Entry)) throw new TypeError("Cannot give records: not of this index")
    if (from === undefined || this.#spread.size === 0) {
      entry.records ??= this.#build(entry)
      return entry.records
    }
    const known = entry.near.get(from.key)
    if (known !== undefined) return known
    const records = this.#build(entry, from.isNear)
    entry.near.set(from.key, records)
    return records
  }

  /** Forgets what was answered by where one asks from: the networks have changed. */
  networksChanged(): void {
    for (const entry of this.#byText.values()) entry.near.clear()
    for (const entry of this.#linked.values()) entry.near.clear()
  }

  /** Where what a name stands for serves its published ports. */
  portsOf(entry: NameEntry): PortTargets {
    if (!(entry instanceof Entry)) throw new TypeError("Cannot give ports: not of this index")
    entry.ports ??= portTargets(
      [...entry.owners.values()].map((owner) => {
        const service = owner.kind === "service" ? this.#serviceOf(owner.key) : undefined
        if (service !== undefined) {
          return { containers: answering(service, this.#model), service }
        }
        const container = owner.kind === "container" ? this.#model.container(owner.key) : undefined
        return { containers: container === undefined ? [] : [container] }
      }),
    )
    return entry.ports
  }

  #build(entry: Entry, isNear?: IsNear): NameRecords {
    const all = [...entry.owners.values()]
    // Nobody takes the place of the metadata API by having its name.
    const fixed = all.filter(({ kind }) => kind === "fixed")
    const owners = fixed.length > 0 ? fixed : this.#living(all)
    const { v4, v6, alias } = union(owners.map((owner) => this.#targetOf(owner, isNear)))
    const pointers = owners.flatMap((owner) => {
      const name = encodeName(this.#pointerOf(owner) ?? "")
      return name === undefined ? [] : [nameData(name)]
    })
    return {
      a: addressBlock(TYPE_A, v4, this.ttlSeconds),
      aaaa: addressBlock(TYPE_AAAA, v6, this.ttlSeconds),
      ptr: recordBlock(TYPE_PTR, pointers, this.ttlSeconds),
      alias,
      // A container that somebody has called example.com must not be that for all others.
      isSearchable: owners.some(({ kind }) => kind !== "container") || !isDotted(entry.text),
    }
  }

  /** Without containers that have stopped, where one that runs has the name too. */
  #living(owners: readonly Owner[]): readonly Owner[] {
    const living = owners.filter(({ kind, key }) => {
      const container = kind === "container" ? this.#model.container(key) : undefined
      return container === undefined || isRunning(container)
    })
    return living.length > 0 ? living : owners
  }

  #targetOf(owner: Owner, isNear?: IsNear): Target {
    if (owner.kind === "fixed") return owner.target
    if (owner.kind === "container") {
      const container = this.#model.container(owner.key)
      if (container !== undefined) return containerTarget(container, this.#model, isNear)
    }
    if (owner.kind === "service") {
      const service = this.#serviceOf(owner.key)
      if (service !== undefined) {
        return serviceTarget(service, this.#model, (name) => this.#servicesNamed(name), isNear)
      }
    }
    return { v4: [], v6: [] }
  }

  #pointerOf(owner: Owner): string | undefined {
    if (owner.kind === "fixed") return owner.ptr
    if (owner.kind !== "address") return undefined
    const container = this.#model.containerAt(owner.key)
    return container === undefined ? undefined : containerName(container)
  }

  #serviceOf(key: string): ServiceRecord | undefined {
    const record = this.#model.get("service", key)
    return record?.metadata_kind === "service" ? record : undefined
  }

  #servicesNamed(name: string): readonly ServiceRecord[] {
    return [...(this.#byText.get(name)?.owners.values() ?? [])].flatMap((owner) => {
      const service = owner.kind === "service" ? this.#serviceOf(owner.key) : undefined
      return service === undefined ? [] : [service]
    })
  }

  #fix(name: string, addresses: readonly string[]): void {
    const bytes = addresses.flatMap(addressBytes)
    const target = {
      v4: bytes.filter(({ length }) => length === 4),
      v6: bytes.filter(({ length }) => length === 16),
    }
    this.#own({ kind: "fixed", key: name, target }, [name])
    for (const address of bytes) {
      const reverse = reverseName(address)
      const nothing = { v4: [], v6: [] }
      this.#own({ kind: "fixed", key: reverse, target: nothing, ptr: name }, [reverse])
    }
  }

  #follow({ records }: ModelChange): void {
    for (const { before, after } of records) {
      const record = after ?? before
      if (record?.metadata_kind === "service") {
        this.#service(recordKey(record), after as ServiceRecord | undefined)
      } else if (record?.metadata_kind === "container") {
        const old = before as ContainerRecord | undefined
        const addresses = old === undefined ? [] : addressesOf(old)
        this.#container(record.uuid, after as ContainerRecord | undefined, addresses)
        for (const service of old?.services ?? []) this.#stale(`service ${serviceKey(service)}`)
      } else if (record?.metadata_kind === "stack") {
        for (const service of this.#model.servicesOfStack(record.uuid)) {
          this.#service(serviceKey(service), service)
        }
      } else if (record?.metadata_kind === "environment") {
        // Links may say its name.
        for (const service of this.#model.services) this.#service(serviceKey(service), service)
      } else continue
      this.#generation += 1
    }
  }

  #service(key: string, service: ServiceRecord | undefined): void {
    const names = service === undefined ? [] : serviceNames(service, this.#model)
    this.#own({ kind: "service", key }, names)
    const isAlias = service?.kind === "dnsService"
    const { environment } = this.#model
    const links = isAlias ? Object.keys(service.links) : []
    const targets = links.map((link) => linkTarget(link, environment)?.name)
    this.#alias(
      key,
      targets.filter((target) => target !== undefined),
    )
  }

  #alias(key: string, targets: readonly string[]): void {
    for (const target of this.#targetsOfAlias.get(key) ?? []) {
      const aliases = this.#aliasesOf.get(target)
      aliases?.delete(key)
      if (aliases?.size === 0) this.#aliasesOf.delete(target)
    }
    if (targets.length === 0) this.#targetsOfAlias.delete(key)
    else this.#targetsOfAlias.set(key, targets)
    for (const target of targets) {
      this.#aliasesOf.set(target, (this.#aliasesOf.get(target) ?? new Set()).add(key))
    }
  }

  #container(
    uuid: string,
    container: ContainerRecord | undefined,
    oldAddresses: readonly string[],
  ): void {
    if (container === undefined) this.#linked.delete(uuid)
    if (container !== undefined && isSpread(container)) this.#spread.add(uuid)
    else this.#spread.delete(uuid)
    const names = container === undefined ? [] : [containerName(container)]
    this.#own({ kind: "container", key: uuid }, names)
    const addresses = container === undefined ? [] : addressesOf(container)
    for (const address of new Set([...oldAddresses, ...addresses])) this.#address(address)
    const alike = networkSharers(uuid, this.#model)
    for (const one of alike) this.#stale(`container ${one.uuid}`)
    for (const one of container === undefined ? alike : [container, ...alike]) {
      for (const service of one.services) this.#stale(`service ${serviceKey(service)}`)
    }
  }

  #address(address: string): void {
    const [bytes] = addressBytes(address)
    if (bytes === undefined) return
    const known = this.#model.containerAt(address) !== undefined
    this.#own({ kind: "address", key: address }, known ? [reverseName(bytes)] : [])
  }

  /** Gives an owner these names and takes its other ones; what it had is out of date. */
  #own(owner: Owner, names: readonly string[]): void {
    const id = `${owner.kind} ${owner.key}`
    const before = this.#namesOf.get(id) ?? []
    this.#stale(id)
    for (const text of before.filter((name) => !names.includes(name))) this.#disown(id, text)
    for (const text of names.filter((name) => !before.includes(name))) this.#add(id, owner, text)
    if (names.length === 0) this.#namesOf.delete(id)
    else this.#namesOf.set(id, names)
  }

  #add(id: string, owner: Owner, text: string): void {
    let entry = this.#byText.get(text)
    if (entry === undefined) {
      const name = encodeName(text)
      // What DNS can not say, nobody can ask for.
      if (name === undefined) return
      entry = new Entry(name, text)
      this.#byText.set(text, entry)
      this.#table.add(entry)
    }
    entry.owners.set(id, owner)
    this.#staleName(text)
  }

  #disown(id: string, text: string): void {
    const entry = this.#byText.get(text)
    entry?.owners.delete(id)
    this.#staleName(text)
    if (entry?.owners.size !== 0) return
    this.#byText.delete(text)
    this.#table.delete(entry)
  }

  #stale(owner: string, seen = new Set<string>()): void {
    for (const text of this.#namesOf.get(owner) ?? []) this.#staleName(text, seen)
    const linked = this.#linked.get(owner.replace(/^container /, ""))
    if (linked !== undefined) forget(linked)
  }

  /** What that name had is out of date, and what its aliases had. */
  #staleName(text: string, seen = new Set<string>()): void {
    if (seen.has(text)) return
    seen.add(text)
    const entry = this.#byText.get(text)
    if (entry !== undefined) forget(entry)
    for (const alias of this.#aliasesOf.get(text) ?? []) this.#stale(`service ${alias}`, seen)
  }
}

/** Whether there is a dot in what stands before the zone. */
function isDotted(name: string): boolean {
  return name.slice(0, -ZONE.length - 1).includes(".")
}

function isSpread({ ips }: ContainerRecord): boolean {
  const v6 = ips.filter((ip) => familyOf(ip) === 6).length
  return v6 > 1 || ips.length - v6 > 1
}

function forget(entry: Entry): void {
  entry.records = undefined
  entry.near.clear()
  entry.ports = undefined
}
