/** Which names there are, as Rancher's DNS gave them. All are texts in lower case. */
import type { Model } from "../metadata/model.ts"
import type { ContainerRecord, EnvironmentRecord, ServiceRecord } from "../metadata/records.ts"

/** Everything that we answer for is below it. */
export const ZONE = "rancher.internal"
const KUBERNETES_ZONE = "svc.cluster.local"

/** The name of the metadata API and of this server. */
export const METADATA_NAME = `rancher-metadata.${ZONE}`

/** The names of a service: `service.stack`, for a sidekick `sidekick.primary.stack`. */
export function serviceNames(service: ServiceRecord, model: Model): readonly string[] {
  const { kind, name, primary_service_name: primary } = service
  const stack = stackNameOf(service, model)
  if (stack === undefined) return []
  if (kind === "kubernetesService") return [lower(`${name}.${stack}.${KUBERNETES_ZONE}`)]
  const own = name.toLowerCase() === primary.toLowerCase() ? name : `${name}.${primary}`
  return [lower(`${own}.${stack}.${ZONE}`)]
}

/** The name of a container, with an address or without. */
export function containerName(container: ContainerRecord): string {
  return lower(`${container.name}.${ZONE}`)
}

/** A service that a link leads to. */
export interface LinkTarget {
  /** In full. */
  readonly name: string
  readonly service: string
  readonly stack: string
}

/**
 * What the key of a service's link leads to: `stack/service`, `environment/stack/service`, or
 * `region/environment/stack/service`. Where environment and region are not the model's own, it leads
 * to what no model holds.
 */
export function linkTarget(
  key: string,
  own: Pick<EnvironmentRecord, "name" | "region_name"> | undefined,
): LinkTarget | undefined {
  const [service, stack, environment, region, ...more] = key.split("/").reverse()
  if (stack === undefined || service === undefined || more.length > 0) return undefined
  if (environment !== undefined && !isSame(environment, own?.name)) return undefined
  if (region !== undefined && !isSame(region, own?.region_name)) return undefined
  return {
    name: lower(`${service}.${stack}.${ZONE}`),
    service: lower(service),
    stack: lower(stack),
  }
}

/** A name that exists for one client alone, and what it stands for. */
export interface Link {
  readonly name: string
  readonly target:
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "container"; readonly uuid: string }
}

/** The names that exist for one container alone: its own links, and those of its services. */
export function linksOf(container: ContainerRecord, model: Model): readonly Link[] {
  const links: Link[] = []
  for (const [name, uuid] of Object.entries(container.links)) {
    links.push({ name: lower(`${name}.${ZONE}`), target: { kind: "container", uuid } })
  }
  for (const reference of container.services) {
    for (const [key, alias] of Object.entries(model.service(reference)?.links ?? {})) {
      const found = linkTarget(key, model.environment)
      if (found === undefined) continue
      const target = { kind: "name", name: found.name } as const
      const name = alias === "" ? found.service : lower(alias)
      links.push(
        { name: `${name}.${ZONE}`, target },
        { name: `${name}.${found.stack}.${ZONE}`, target },
      )
    }
  }
  return links
}

/** The suffixes that are tried behind a name that is not there: the client's own, then the zone. */
export function searchOf(container: ContainerRecord | undefined): readonly string[] {
  return [...new Set([...(container?.dns_search ?? []).map(lower), ZONE])]
}

/** The name under which an address is looked up (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(address: Uint8Array): string {
  if (address.length === 4) return `${[...address].reverse().join(".")}.in-addr.arpa`
  const digits = [...address].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  return `${[...digits].reverse().join(".")}.ip6.arpa`
}

function stackNameOf(service: ServiceRecord, model: Model): string | undefined {
  const { stack_name: name, stack_uuid: uuid } = service
  return name ?? (uuid === null ? undefined : model.stack(uuid)?.name)
}

function isSame(text: string, name: string | null | undefined): boolean {
  return lower(text) === name?.toLowerCase()
}

function lower(text: string): string {
  return text.toLowerCase()
}
