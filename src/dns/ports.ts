/** Ports that a container or its service publishes, as SRV records say them. */
import type { ContainerRecord, ServiceRecord } from "../metadata/records.ts"
import { encodeName } from "./name.ts"
import { containerName } from "./names.ts"
import { serviceData } from "./records.ts"

/** A port as `[IP:]PUBLIC:PRIVATE[/PROTOCOL]` tells it. */
export interface PublishedPort {
  readonly publicPort: number
  readonly privatePort: number
  readonly protocol: string
}

/** Data of SRV records by `PORT/PROTOCOL`. */
export type PortTargets = ReadonlyMap<string, readonly Uint8Array[]>

/** Reads a port of the metadata; undefined for one that is none. */
function parsePort(text: string): PublishedPort | undefined {
  const match = /^(?:.*:)?(\d{1,5}):(\d{1,5})(?:\/([a-z]+))?$/i.exec(text)
  const [publicPort, privatePort] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || publicPort > 65_535 || privatePort > 65_535) return undefined
  return { publicPort, privatePort, protocol: (match[3] ?? "tcp").toLowerCase() }
}

/**
 * Where containers serve their published ports inside the network: the private port, of the
 * container by its own name. It is found by the private number and by the public one; where one
 * number is both, it means the private port.
 *
 * @param groups containers, each with the service through which they are asked for
 */
export function portTargets(
  groups: readonly {
    readonly containers: readonly ContainerRecord[]
    readonly service?: ServiceRecord
  }[],
): PortTargets {
  const byPrivate = new Map<string, Set<ContainerRecord>>()
  const privateOf = new Map<string, string>()
  for (const { containers, service } of groups) {
    for (const container of containers) {
      for (const text of [...container.ports, ...(service?.ports ?? [])]) {
        const port = parsePort(text)
        if (port === undefined) continue
        const key = `${port.privatePort}/${port.protocol}`
        byPrivate.set(key, (byPrivate.get(key) ?? new Set()).add(container))
        privateOf.set(`${port.publicPort}/${port.protocol}`, key)
      }
    }
  }
  const targets = new Map<string, readonly Uint8Array[]>()
  for (const [key, containers] of byPrivate) targets.set(key, dataOf(key, containers))
  for (const [key, inside] of privateOf) {
    if (!targets.has(key)) targets.set(key, targets.get(inside) ?? [])
  }
  return targets
}

function dataOf(key: string, containers: ReadonlySet<ContainerRecord>): Uint8Array[] {
  return [...containers].flatMap((container) => {
    const name = encodeName(containerName(container))
    return name === undefined ? [] : [serviceData(Number.parseInt(key, 10), name)]
  })
}

/**
 * `_80._tcp` at the front of a name, as `80/tcp`; undefined where it does not begin so.
 *
 * @param text of the first two labels
 */
export function portOfLabels(text: string): string | undefined {
  const match = /^_(\d{1,5})\._([a-z]+)$/i.exec(text)
  return match === null ? undefined : `${Number(match[1])}/${match[2]?.toLowerCase()}`
}
