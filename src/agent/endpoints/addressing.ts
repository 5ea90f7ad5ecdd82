import {
  addressAdd,
  familyOf,
  formatAddress,
  formatPrefix,
  networkOf,
  parseAddress,
  parsePrefix,
} from "../../core/address.ts"
import type { RouteSpec } from "../../endpoint/port.ts"
import { LariatError } from "../../errors.ts"
import type { AttachRequest } from "../networks/attach_request.ts"

/** One address for an endpoint. */
export interface GivenAddress {
  /** Canonical text without prefix length. */
  readonly address: string
  /** Prefix length to configure it with. */
  readonly prefix: number
  /** Next hop towards the rest of the world. */
  readonly gateway: string | undefined
  /** Prefix length of the gateway's own address on the bridge. */
  readonly gatewayPrefix: number
  readonly fromPool: boolean
}

/** An IPv6 address that has no neighbours on its link but the gateway. */
const ALONE = 128

/**
 * The addresses of an attach: from the network's pool, or those that another IPAM gave. An IPv6
 * address of a network that spans hosts is alone on its link: nobody answers neighbour
 * solicitations for other hosts' containers, so all traffic goes by the gateway.
 *
 * @throws LariatError as Allocator.allocate does; nothing is taken then
 */
export function takeAddresses(request: AttachRequest): GivenAddress[] {
  const { pool } = request
  if (pool === undefined) return request.given.map(givenByOther)
  return pool.allocator
    .allocate({ requested: request.requested })
    .map(({ address, prefix, gateway, subnet, family }) => ({
      address,
      prefix: family === 4 ? (request.prefixLength ?? prefix) : isAlone(request) ? ALONE : prefix,
      gateway,
      gatewayPrefix: parsePrefix(subnet).length,
      fromPool: true,
    }))
}

function isAlone({ pool, gateway }: AttachRequest): boolean {
  return pool?.leased === true && gateway !== "none"
}

function givenByOther(given: AttachRequest["given"][number]): GivenAddress {
  const { bytes, family, length } = parsePrefix(given.address)
  return {
    address: formatAddress({ family, bytes }),
    prefix: length,
    gateway: given.gateway,
    gatewayPrefix: length,
    fromPool: false,
  }
}

/**
 * The gateway of each address as the configuration wants it: none, the bridge's own first address,
 * the pool's, or, where an IPAM names none, the first address of the subnet.
 *
 * @param bridgeAddresses addresses on the bridge, with prefix length
 */
export function withGateways(
  given: readonly GivenAddress[],
  request: AttachRequest,
  bridgeAddresses: readonly string[],
): GivenAddress[] {
  if (request.gateway === "none") return given.map((one) => ({ ...one, gateway: undefined }))
  return given.map((one) => {
    if (request.bridgeIpAsGateway) {
      const family = familyOf(one.address)
      const onBridge = bridgeAddresses.find((text) => familyOf(text) === family)
      if (onBridge !== undefined) return { ...one, gateway: onBridge.split("/")[0] }
    }
    return { ...one, gateway: one.gateway ?? firstAddress(one) }
  })
}

function firstAddress({ address, prefix }: GivenAddress): string {
  const { family, bytes } = networkOf(parsePrefix(`${address}/${prefix}`))
  return formatAddress(addressAdd({ family, bytes }, 1))
}

/** What the bridge must carry for these addresses: the gateways and what is configured. */
export function bridgeAddresses(
  given: readonly GivenAddress[],
  request: AttachRequest,
): readonly string[] {
  if (!request.bridge.configureIp) return []
  const wanted = new Set(request.bridge.addresses)
  if (request.gateway !== "none" && !request.bridgeIpAsGateway) {
    for (const { gateway, gatewayPrefix } of given) {
      if (gateway !== undefined) wanted.add(`${gateway}/${gatewayPrefix}`)
    }
  }
  return [...wanted]
}

/**
 * All routes of an endpoint: the configured ones, a missing next hop filled in with the gateway,
 * and the default routes.
 *
 * @throws LariatError `config-invalid` when a configured default route has another next hop
 */
export function endpointRoutes(
  given: readonly GivenAddress[],
  request: AttachRequest,
): RouteSpec[] {
  const gatewayOf = (dst: string) =>
    given.find(({ address }) => familyOf(address) === familyOf(dst))?.gateway
  const routes: RouteSpec[] = request.routes.map((route) => ({
    ...route,
    dst: canonicalPrefix(route.dst),
    gw: route.gw ?? gatewayOf(route.dst),
  }))
  if (isAlone(request)) {
    for (const { address, gateway, gatewayPrefix } of given) {
      if (familyOf(address) === 4 || gateway === undefined) continue
      const dst = canonicalPrefix(`${address}/${gatewayPrefix}`)
      if (!routes.some((route) => route.dst === dst)) routes.push({ dst, gw: gateway })
    }
  }
  if (request.gateway !== "default") return routes
  for (const { address, gateway } of given) {
    if (gateway === undefined) continue
    const dst = familyOf(address) === 6 ? "::/0" : "0.0.0.0/0"
    const other = routes.find((route) => route.dst === dst)
    if (other === undefined) routes.push({ dst, gw: gateway })
    else if (other.gw !== undefined && !sameText(other.gw, gateway)) {
      throw new LariatError(
        `Cannot make ${gateway} the default gateway: ipam.routes already sends ${dst} to ${other.gw}`,
        { code: "config-invalid", hint: "remove isDefaultGateway or the default route of ipam" },
      )
    }
  }
  return routes
}

function canonicalPrefix(text: string): string {
  return formatPrefix(networkOf(parsePrefix(text)))
}

function sameText(a: string, b: string): boolean {
  return formatAddress(parseAddress(a)) === formatAddress(parseAddress(b))
}
