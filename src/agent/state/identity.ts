import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { hostname } from "node:os"
import type { AgentSettings } from "../../config/network.ts"
import { type Family, familyOf } from "../../core/address.ts"
import type { StateDatabase } from "./state_database.ts"

/** Who this host is. */
export interface HostIdentity {
  readonly uuid: string
  readonly name: string
  /** Address at which other hosts reach this one; undefined without any route. */
  readonly ip: string | undefined
  /**
   * Every address at which other hosts reach this one: `ip`, then one of the other family. Drivers
   * use IPv4 where there is both; a host that was given an IPv6 address is reached by that alone.
   */
  readonly addresses: readonly string[]
}

/** The identity of a host whose addresses may change under the agent. */
export interface WatchedHost extends HostIdentity {
  /**
   * Looks for the addresses again. One that is gone without another in its place is kept: a route
   * that flaps must not take this host off the mesh.
   *
   * @returns whether they are others now
   */
  look(): boolean
  /** Whether a way to other hosts was found at the last look. */
  readonly hasRoute: boolean
}

const HOST_UUID = "host-uuid"

/**
 * The host's identity: its uuid is made once and kept in the state database, so that a cloned machine-id
 * does not make two hosts one.
 *
 * @param detectIp finds the source address of the route to other hosts, by family
 */
export function hostIdentity(
  stateDatabase: StateDatabase,
  settings: AgentSettings,
  detectIp: (family: Family) => string | undefined,
): WatchedHost {
  let uuid = stateDatabase.meta(HOST_UUID)
  if (uuid === undefined) {
    uuid = crypto.randomUUID()
    stateDatabase.putMeta(HOST_UUID, uuid)
  }
  let addresses = detectAddresses(settings.hostIp, detectIp)
  let hasRoute = addresses.length > 0
  return {
    uuid,
    name: settings.hostName ?? hostname(),
    get ip() {
      return addresses[0]
    },
    get addresses() {
      return addresses
    },
    get hasRoute() {
      return hasRoute
    },
    look() {
      const found = detectAddresses(settings.hostIp, detectIp)
      hasRoute = found.length > 0
      if (!hasRoute || found.join() === addresses.join()) return false
      addresses = found
      return true
    },
  }
}

function detectAddresses(
  given: string | undefined,
  detectIp: (family: Family) => string | undefined,
): readonly string[] {
  const ip = given ?? detectIp(4) ?? detectIp(6)
  const chosen = given !== undefined && familyOf(given) === 6
  const other = ip === undefined || chosen ? undefined : detectIp(familyOf(ip) === 4 ? 6 : 4)
  return [ip, other].filter((address) => address !== undefined)
}

/** The family of packets between hosts, as this host's own address says; 4 without one. */
export function outerFamily(ip: string | undefined): Family {
  return ip === undefined ? 4 : familyOf(ip)
}

/**
 * A uuid that always comes out the same for the same text (RFC 9562 §5.8, version 8, over SHA-256).
 */
export function uuidFrom(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString("hex")
  return [8, 12, 16, 20, 32]
    .map((end, index, ends) => hex.slice(index === 0 ? 0 : ends[index - 1], end))
    .join("-")
}

/** Resident memory of this process, bytes; 0 where /proc does not tell. */
export function residentBytes(): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))
    return Number(match?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
