/** What a name stands for: which containers answer for a service, and at which addresses. */
import { familyOf, parseAddress } from "../core/address.ts"
import { isRunning, type Model } from "../metadata/model.ts"
import type { ContainerRecord, ServiceRecord } from "../metadata/records.ts"
import { linkTarget } from "./names.ts"

/** A set of addresses, each 4 or 16 bytes, or a name elsewhere that has them. */
export interface Target {
  readonly v4: readonly Uint8Array[]
  readonly v6: readonly Uint8Array[]
  /** The name outside that an external service goes by. Only where there is no address. */
  readonly alias?: string | undefined
}

/** How far `network_from_container_uuid` is followed. */
const MAX_SHARING = 4
/** How far one alias of services leads to another. */
const MAX_ALIASES = 16

/** Whether an asker is in the network of an address: it reaches that one where it may reach no other. */
export type IsNear = (address: string) => boolean

const NOWHERE: IsNear = () => false

/**
 * The addresses of a container: IPv4 its primary one, unless only another is near; IPv6 all, those
 * that are near first.
 */
export function containerTarget(
  container: ContainerRecord,
  model: Model,
  isNear: IsNear = NOWHERE,
): Target {
  const owner = networkOwner(container, model)
  if (owner === undefined) return { v4: [], v6: [] }
  const { primary_ip: primary, ips } = owner
  const v4 = ips.filter((ip) => familyOf(ip) === 4)
  const v6 = ips.filter((ip) => familyOf(ip) === 6)
  const isFar = primary === null || !isNear(primary)
  const first = (isFar ? v4.find(isNear) : undefined) ?? primary ?? ""
  return byFamily([first, ...v6.filter(isNear), ...v6])
}

/**
 * The addresses of a service.
 *
 * @param find the services of a name, for services that are an alias of others
 */
export function serviceTarget(
  service: ServiceRecord,
  model: Model,
  find: (name: string) => readonly ServiceRecord[],
  isNear: IsNear = NOWHERE,
  depth = 0,
): Target {
  if (service.vip !== null) return byFamily([service.vip])
  if (service.kind === "externalService") {
    const target = byFamily(service.external_ips)
    const { hostname } = service
    return isEmpty(target) && hostname !== null ? { ...target, alias: hostname } : target
  }
  if (service.kind === "dnsService") {
    const linked = Object.keys(service.links)
      .flatMap((key) => find(linkTarget(key, model.environment)?.name ?? ""))
      .map((other) =>
        depth < MAX_ALIASES
          ? serviceTarget(other, model, find, isNear, depth + 1)
          : { v4: [], v6: [] },
      )
    return union(linked)
  }
  return union(
    answering(service, model).map((container) => containerTarget(container, model, isNear)),
  )
}

/**
 * The containers that answer for a service: those that run and are well; where there is none, the
 * last one that has an address.
 */
export function answering(service: ServiceRecord, model: Model): readonly ContainerRecord[] {
  const all = model
    .containersOf(service)
    .filter((container) => !isEmpty(containerTarget(container, model)))
  const well = all.filter((container) => isUp(container) && isHealthy(container))
  if (well.length > 0) return well
  const last = all.findLast(isRunning) ?? all.at(-1)
  return last === undefined ? [] : [last]
}

/** Addresses of several targets, each once; a name elsewhere only where it is all there is. */
export function union(targets: readonly Target[]): Target {
  const [first, ...more] = targets
  if (first !== undefined && more.length === 0) return first
  const v4 = unique(targets.flatMap((target) => target.v4))
  const v6 = unique(targets.flatMap((target) => target.v6))
  const alias = targets.find((target) => target.alias !== undefined)?.alias
  return v4.length + v6.length > 0 ? { v4, v6 } : { v4, v6, alias }
}

function isEmpty({ v4, v6, alias }: Target): boolean {
  return v4.length === 0 && v6.length === 0 && alias === undefined
}

function isUp({ state }: ContainerRecord): boolean {
  return state === "running" || state === "starting"
}

function isHealthy({ health_state: health, health_check: check }: ContainerRecord): boolean {
  if (health === null || health === "") return check === null
  return health === "healthy" || health === "updating-healthy"
}

/** The container whose network a container is in: itself, mostly. */
function networkOwner(container: ContainerRecord, model: Model): ContainerRecord | undefined {
  let owner: ContainerRecord | undefined = container
  for (let step = 0; step < MAX_SHARING && owner !== undefined; step++) {
    const { network_from_container_uuid: parent }: ContainerRecord = owner
    if (parent === null) return owner
    owner = model.container(parent)
  }
  return undefined
}

/** The containers that are in another's network, also through a third that is; without itself. */
export function networkSharers(uuid: string, model: Model): readonly ContainerRecord[] {
  const found = new Map<string, ContainerRecord>()
  const visit = (parent: string) => {
    for (const container of model.containersInNetworkOf(parent)) {
      if (container.uuid === uuid || found.has(container.uuid)) continue
      found.set(container.uuid, container)
      visit(container.uuid)
    }
  }
  visit(uuid)
  return [...found.values()]
}

function byFamily(texts: readonly string[]): Target {
  const addresses = unique(texts.flatMap(addressBytes))
  return {
    v4: addresses.filter(({ length }) => length === 4),
    v6: addresses.filter(({ length }) => length === 16),
  }
}

/** One address or, where the text is none, none: a broken record must not break the others. */
export function addressBytes(text: string): readonly Uint8Array[] {
  try {
    return [parseAddress(text).bytes]
  } catch {
    return []
  }
}

function unique(addresses: readonly Uint8Array[]): readonly Uint8Array[] {
  return [...new Map(addresses.map((bytes) => [bytes.join("."), bytes])).values()]
}
