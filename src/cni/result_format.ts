/** Attachments as the JSON that each CNI version wants. */

import { familyOf } from "../core/address.ts"
import {
  type AttachDns,
  type AttachInterface,
  type AttachIp,
  type AttachResult,
  type AttachRoute,
  EXTENDED_INTERFACE_KEYS,
  EXTENDED_ROUTE_KEYS,
} from "./result.ts"
import { type CniVersion, resultShape } from "./version.ts"

/** A JSON object under construction; keys whose value is undefined are not printed. */
type Json = Record<string, unknown>

/**
 * The result as the version writes it, for JSON.stringify, which leaves out keys without a value.
 *
 * What a version cannot say is dropped: before 0.3.0 all interfaces, all addresses but the first of
 * each family and the routes of a family without an address; before 1.1.0 the keys that came with it.
 *
 * @param ipam the result is that of an IPAM plugin: no interfaces, no index to one. Default false
 */
export function formatResult(
  result: AttachResult,
  version: CniVersion,
  options: { readonly ipam?: boolean } = {},
): Readonly<Json> {
  const { ipam = false } = options
  const shape = resultShape(version)
  const dns = formatDns(result.dns)
  const routes = result.routes.map((route) => formatRoute(route, shape.extended))
  if (shape.perFamily) {
    return {
      cniVersion: version,
      ip4: formatFamily(result, routes, 4),
      ip6: formatFamily(result, routes, 6),
      dns,
    }
  }
  return {
    cniVersion: version,
    interfaces: ipam
      ? undefined
      : filled(result.interfaces.map((link) => formatInterface(link, shape.extended))),
    ips: filled(
      result.ips.map(({ address, gateway, interface: index }) => ({
        version: shape.ipVersion ? String(familyOf(address)) : undefined,
        interface: ipam ? undefined : index,
        address,
        gateway,
      })),
    ),
    routes: filled(routes),
    dns,
  }
}

function formatFamily(result: AttachResult, routes: readonly Json[], family: 4 | 6) {
  const ip: AttachIp | undefined = result.ips.find(({ address }) => familyOf(address) === family)
  if (ip === undefined) return undefined
  return {
    ip: ip.address,
    gateway: ip.gateway,
    routes: filled(routes.filter(({ dst }) => familyOf(String(dst)) === family)),
  }
}

function formatInterface(link: AttachInterface, extended: boolean): Json {
  const json: Json = { name: link.name, mac: link.mac, sandbox: link.sandbox }
  if (extended) for (const key of EXTENDED_INTERFACE_KEYS) json[key] = link[key]
  return json
}

function formatRoute(route: AttachRoute, extended: boolean): Json {
  const json: Json = { dst: route.dst, gw: route.gw }
  if (extended) for (const key of EXTENDED_ROUTE_KEYS) json[key] = route[key]
  return json
}

/** Present even when empty, as the reference implementation prints it. */
function formatDns(dns: AttachDns): Json {
  return {
    nameservers: filled(dns.nameservers),
    domain: dns.domain,
    search: filled(dns.search),
    options: filled(dns.options),
  }
}

/** Undefined for an empty list: the reference implementation leaves those out. */
function filled<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined
}
