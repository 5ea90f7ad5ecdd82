import { type ApiVersion, TRAITS, type VersionTraits } from "./api_version.ts"
import { NIL_LIST, type Tree } from "./lookup.ts"
import { Memo } from "./memo.ts"
import type { Model } from "./model.ts"
import type {
  ContainerRecord,
  HostRecord,
  ModelRecord,
  ServiceRecord,
  StackRecord,
  Texts,
} from "./records.ts"

type MapTree = { readonly [key: string]: Tree }

/**
 * The records of a model as one version of the API shows them. A part is made when it is asked for
 * and kept until a record in it changes.
 */
export class VersionTree {
  readonly #model: Model
  readonly #traits: VersionTraits
  readonly #shown = new Memo<ModelRecord, MapTree>()
  readonly #lists = new Memo<readonly object[], readonly Tree[]>()

  constructor(model: Model, version: ApiVersion) {
    this.#model = model
    this.#traits = TRAITS[version]
  }

  /**
   * Everything below the version, for one asker. Made lazily: what is not looked at costs nothing.
   *
   * @param asker the container that asks; undefined: somebody of whom only the host is known
   * @param version what `/version` says
   */
  root(asker: ContainerRecord | undefined, version: string): MapTree {
    const tree = this
    const model = this.#model
    const { environment } = model
    return {
      get containers() {
        return tree.#list(model.containers, (record) => tree.container(record))
      },
      ...(this.#traits.environments ? { environments: NIL_LIST } : {}),
      get hosts() {
        return tree.#list(model.hosts, (record) => tree.host(record))
      },
      name: environment?.name ?? null,
      get networks() {
        return model.networks
      },
      region_name: environment?.region_name ?? null,
      get self() {
        return tree.self(asker)
      },
      get services() {
        return tree.#list(model.services, (record) => tree.service(record))
      },
      get stacks() {
        return tree.#list(model.stacks, (record) => tree.stack(record))
      },
      uuid: environment?.uuid ?? null,
      version,
    }
  }

  /** Who asks: its container, service and stack where it has them, and this host. */
  self(asker: ContainerRecord | undefined): MapTree {
    const [reference] = asker?.services ?? []
    const service = reference === undefined ? undefined : this.#model.service(reference)
    const stack = this.#model.stack(service?.stack_uuid ?? "")
    const host = this.#model.selfHost
    return {
      ...(asker === undefined ? {} : { container: this.container(asker) }),
      ...(host === undefined ? {} : { host: this.host(host) }),
      // Its own token only: it lets the service speak for itself elsewhere.
      ...(service === undefined
        ? {}
        : { service: { ...this.service(service), token: service.token } }),
      ...(stack === undefined ? {} : { stack: this.stack(stack) }),
    }
  }

  container(record: ContainerRecord): MapTree {
    const [reference] = record.services
    const service = reference === undefined ? undefined : this.#model.service(reference)
    const stack = this.#model.stack(service?.stack_uuid ?? "")
    return this.#shown.get(record, [service, stack], () => {
      const { services: _, host_ip, ...shown } = record
      return {
        ...shown,
        name: this.#name(record.name),
        ports: record.ports.map((port) => this.#port(port, host_ip)),
        links: this.#links(record.links),
        service_name: service === undefined ? null : this.#name(service.name),
        service_uuid: service?.uuid ?? null,
        stack_name: stack === undefined ? null : this.#name(stack.name),
        stack_uuid: stack?.uuid ?? null,
      }
    })
  }

  service(record: ServiceRecord): MapTree {
    const members = this.#model.containersOf(record)
    const containers = this.#traits.namesOnly
      ? members.map(({ name }) => name)
      : members.map((member) => this.container(member))
    return this.#shown.get(record, containers, () => ({
      ...record,
      name: this.#name(record.name),
      stack_name: record.stack_name === null ? null : this.#name(record.stack_name),
      primary_service_name: this.#name(record.primary_service_name),
      sidekicks: record.sidekicks.map((name) => this.#name(name)),
      links: this.#links(record.links),
      containers,
      token: null,
    }))
  }

  stack(record: StackRecord): MapTree {
    const members = this.#model.servicesOfStack(record.uuid)
    const services = this.#traits.namesOnly
      ? members.map(({ name }) => name)
      : members.map((member) => this.service(member))
    return this.#shown.get(record, services, () => ({
      ...record,
      name: this.#name(record.name),
      services,
    }))
  }

  host(record: HostRecord): MapTree {
    if (this.#traits.hostNumber) return record
    return this.#shown.get(record, [], () => {
      const { hostId: _, ...shown } = record
      return shown
    })
  }

  /** Kept by the list of the records, which the model makes anew with each change. */
  #list<T extends object>(records: readonly T[], show: (record: T) => Tree): readonly Tree[] {
    // A change of a service changes what its containers show, though their list is the same.
    return this.#lists.get(records, [this.#model.version], () => records.map(show))
  }

  #name(name: string): string {
    return this.#traits.keepsCase ? name : name.toLowerCase()
  }

  #links(links: Texts): Texts {
    if (this.#traits.keepsCase) return links
    return Object.fromEntries(
      Object.entries(links).map(([name, target]) => [name.toLowerCase(), target]),
    )
  }

  /** `8080:80/tcp`, `0.0.0.0:8080:80/tcp` or `127.0.0.1:8080:80/tcp` with the address it shows. */
  #port(port: string, hostIp: string | null): string {
    const parts = port.split(":")
    const address = parts.length > 2 ? parts.slice(0, -2).join(":") : "0.0.0.0"
    const rest = parts.slice(-2).join(":")
    const shown = address === "0.0.0.0" && this.#traits.portsOfHost ? hostIp : null
    return `${shown ?? address}:${rest}`
  }
}
