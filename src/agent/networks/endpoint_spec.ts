import type { RouteSpec } from "../../endpoint/port.ts"
import { LariatError } from "../../errors.ts"
import type { HostNat } from "../../firewall/state.ts"
import { type EndpointRow, isObject, type JsonObject } from "../state/rows.ts"
import type { BridgeRequest, KeptCapabilities } from "./attach_request.ts"

/** What an endpoint was made with: enough to check it, repair it and take it down. */
export interface EndpointSpec {
  /** Undefined for an address on another plugin's interface. */
  readonly bridge?: BridgeRequest | undefined
  /** What the bridge must carry, with prefix length. */
  readonly bridgeAddresses: readonly string[]
  readonly hairpin: boolean
  readonly masquerade: boolean
  /** Whether the port sends under its own addresses alone. Default false: as rows of old say. */
  readonly antiSpoofing?: boolean
  /** What this endpoint's network needs of the firewall. */
  readonly hostNat: readonly HostNat[]
  readonly routes: readonly RouteSpec[]
  readonly kept: KeptCapabilities
}

/** The spec of an address on another plugin's interface. */
export function addressOnlySpec(routes: readonly RouteSpec[]): EndpointSpec {
  return {
    bridgeAddresses: [],
    hairpin: false,
    masquerade: false,
    hostNat: [],
    routes,
    kept: { portMappings: [], bandwidth: undefined },
  }
}

/** The spec as the state database's JSON column. */
export function specJson(spec: EndpointSpec): JsonObject {
  return { ...spec }
}

/** @throws LariatError io where a row's spec is not what {@link specJson} wrote */
export function checkSpec({ request }: Pick<EndpointRow, "request">): void {
  const { bridge, bridgeAddresses, hostNat, routes, masquerade, hairpin } = request
  const isBridge = bridge === undefined || (isObject(bridge) && typeof bridge.name === "string")
  const lists = [bridgeAddresses, hostNat, routes]
  const flags = [masquerade, hairpin]
  const isWhole = lists.every(Array.isArray) && flags.every((flag) => typeof flag === "boolean")
  if (isBridge && isWhole) return
  throw new LariatError("what it was made with is not whole", { code: "io" })
}

/** The spec of a row; the state database wrote it with {@link specJson}. */
export function specOf(row: EndpointRow): EndpointSpec {
  return row.request as unknown as EndpointSpec
}

/** The addresses of a row with prefix length. */
export function prefixesOf(row: EndpointRow): string[] {
  return row.addresses.map(({ address, prefix }) => `${address}/${prefix}`)
}
