import type { Model } from "./model.ts"
import { container as containerSchema, service as serviceSchema } from "./record_schema.ts"
import type { ContainerRecord, ServiceReference, Texts } from "./records.ts"

/** A container as whoever attached it knows it; labels say to which stack and service it belongs. */
export interface FedContainer {
  readonly uuid: string
  readonly name: string
  readonly externalId: string
  readonly labels: Texts
  /** Without prefix length, the primary one first. */
  readonly addresses: readonly string[]
  readonly mac: string | undefined
  readonly hostUuid: string
  readonly hostIp: string | undefined
  readonly networkUuid: string
  readonly createIndex: number
  readonly dns: readonly string[]
  /** Search domains beside those that service and stack bring. */
  readonly dnsSearch: readonly string[]
}

/** Where a container belongs. */
export interface Membership {
  readonly stack: string
  readonly service: string | undefined
}

/** The domain of all names. */
const DOMAIN = "rancher.internal"

const STACK = "io.rancher.stack.name"
/** `stack/service`, or `stack/primary/sidekick`. */
const STACK_SERVICE = "io.rancher.stack_service.name"
const CONTAINER = "io.rancher.container.name"
const COMPOSE_PROJECT = "com.docker.compose.project"
const COMPOSE_SERVICE = "com.docker.compose.service"
const COMPOSE_NUMBER = "com.docker.compose.container-number"

/** Records of which nothing is known; their uuid and name stand for any. */
const UNKNOWN = { uuid: "-", name: "-" }
const UNKNOWN_CONTAINER = containerSchema.parse({ ...UNKNOWN, metadata_kind: "container" })
const UNKNOWN_SERVICE = serviceSchema.parse({ ...UNKNOWN, metadata_kind: "service" })

/** The stack and service that a container's labels name; Rancher's labels count before Compose's. */
export function membershipOf(labels: Texts): Membership | undefined {
  const [first = "", ...rest] = (labels[STACK_SERVICE] ?? "").split("/")
  const stack = labels[STACK] || first || labels[COMPOSE_PROJECT]
  if (stack === undefined || stack === "") return undefined
  const service = rest.at(-1) || labels[COMPOSE_SERVICE]
  return { stack, service: service === "" ? undefined : service }
}

/** The search domains of a container, the narrowest first. */
export function searchDomains(labels: Texts, configured: readonly string[]): string[] {
  const membership = membershipOf(labels)
  const own: string[] = []
  if (membership !== undefined) {
    const stack = `${membership.stack}.${DOMAIN}`.toLowerCase()
    if (membership.service !== undefined) own.push(`${membership.service.toLowerCase()}.${stack}`)
    own.push(stack)
  }
  return [...new Set([...own, ...configured, ...(own.length > 0 ? [DOMAIN] : [])])]
}

/**
 * The one way in for containers: keeps their records in a model, and the stacks and services that
 * their labels name for as long as one of them is there.
 */
export class Feed {
  readonly #model: Model
  readonly #environmentUuid: string
  readonly #uuidFrom: (text: string) => string
  /** How many containers each stack, and each service, has by its uuid. */
  readonly #sizes = new Map<string, number>()
  readonly #containers = new Map<string, Membership | undefined>()

  /** @param uuidFrom always makes the same uuid of the same text: all hosts name a stack alike */
  constructor(model: Model, environmentUuid: string, uuidFrom: (text: string) => string) {
    this.#model = model
    this.#environmentUuid = environmentUuid
    this.#uuidFrom = uuidFrom
  }

  /** Adds a container, or what changed of it. */
  put(container: FedContainer): void {
    this.#model.batch(() => {
      const membership = membershipOf(container.labels)
      const before = this.#containers.get(container.uuid)
      this.#containers.set(container.uuid, membership)
      // Joined before the old one is left: a service whose container changes must not go and come.
      const services = membership === undefined ? [] : this.#join(membership)
      this.#model.put(this.#record(container, services))
      if (before !== undefined) this.#leave(before)
    })
  }

  /** Removes a container, and its service and stack where it was the last one. */
  remove(uuid: string): void {
    if (!this.#containers.has(uuid)) return
    const membership = this.#containers.get(uuid)
    this.#containers.delete(uuid)
    this.#model.batch(() => {
      this.#model.remove("container", uuid)
      if (membership !== undefined) this.#leave(membership)
    })
  }

  #join({ stack, service }: Membership): ServiceReference[] {
    const stackUuid = this.#stackUuid(stack)
    this.#count(stackUuid, 1)
    if (this.#model.stack(stackUuid) === undefined) {
      this.#model.put({
        metadata_kind: "stack",
        uuid: stackUuid,
        name: stack,
        environment_name: this.#model.environment?.name ?? null,
        environment_uuid: this.#environmentUuid,
        system: false,
      })
    }
    if (service === undefined) return []
    const reference = this.#reference(stack, service)
    this.#count(reference.uuid, 1)
    this.#putService({ stack, service }, reference)
    return [reference]
  }

  #leave({ stack, service }: Membership): void {
    if (service !== undefined) {
      const reference = this.#reference(stack, service)
      if (this.#count(reference.uuid, -1) === 0) {
        this.#model.remove("service", `${reference.uuid}/${service.toLowerCase()}`)
      } else this.#putService({ stack, service }, reference)
    }
    const stackUuid = this.#stackUuid(stack)
    if (this.#count(stackUuid, -1) === 0) this.#model.remove("stack", stackUuid)
  }

  #putService({ stack, service = "" }: Membership, { uuid }: ServiceReference): void {
    this.#model.put({
      ...UNKNOWN_SERVICE,
      uuid,
      name: service,
      stack_name: stack,
      stack_uuid: this.#stackUuid(stack),
      scale: this.#sizes.get(uuid) ?? 0,
      environment_uuid: this.#environmentUuid,
      state: "active",
      primary_service_name: service,
    })
  }

  #record(container: FedContainer, services: readonly ServiceReference[]): ContainerRecord {
    const { labels, addresses } = container
    const name = labels[CONTAINER] || container.name
    return {
      ...UNKNOWN_CONTAINER,
      uuid: container.uuid,
      name,
      primary_ip: addresses[0] ?? null,
      ips: addresses,
      labels,
      create_index: container.createIndex,
      host_uuid: container.hostUuid,
      host_ip: container.hostIp ?? null,
      hostname: name,
      start_count: 1,
      service_index: labels[COMPOSE_NUMBER] ?? /(?:^|[-_])(\d+)$/.exec(name)?.[1] ?? null,
      state: "running",
      external_id: container.externalId,
      primary_mac_address: container.mac ?? null,
      network_uuid: container.networkUuid,
      dns: container.dns,
      dns_search: searchDomains(labels, container.dnsSearch),
      environment_uuid: this.#environmentUuid,
      services,
    }
  }

  #stackUuid(stack: string): string {
    return this.#uuidFrom(`stack ${stack.toLowerCase()}`)
  }

  #reference(stack: string, service: string): ServiceReference {
    const text = `service ${stack.toLowerCase()}/${service.toLowerCase()}`
    return { uuid: this.#uuidFrom(text), name: service }
  }

  /** The count after it. */
  #count(uuid: string, step: 1 | -1): number {
    const count = (this.#sizes.get(uuid) ?? 0) + step
    if (count > 0) this.#sizes.set(uuid, count)
    else this.#sizes.delete(uuid)
    return count
  }
}
