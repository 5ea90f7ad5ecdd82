/** Results of any CNI version, as other plugins print and runtimes hand them back. */

import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../core/address.ts"
import { formatMac, parseMac } from "../core/mac.ts"
import { messageOf } from "../errors.ts"
import { CniError } from "./error.ts"
import { isObject, type JsonObject as Json } from "./json.ts"
import type { AttachDns, AttachInterface, AttachIp, AttachResult, AttachRoute } from "./result.ts"
import { EXTENDED_ROUTE_KEYS, NO_DNS } from "./result.ts"
import { shown } from "./text.ts"
import { type CniVersion, readVersion, resultShape } from "./version.ts"

/** Entries that one list of a result may have: more is a fault, not a network. */
const MAX_ENTRIES = 1024

/**
 * Reads a result. Addresses and MACs come out canonical; a MAC that is not Ethernet's is kept as it
 * is. Unknown keys are ignored, `null` counts as absent (Go prints empty lists so), and what a later
 * version brought is taken where it stands, since plugins print more than their version has.
 *
 * @param what names the result in errors, for instance "the result of host-local"
 * @param version the version of a result that names none: the configuration's
 * @throws CniError decode (code 6), naming everything that is wrong; version-unsupported (code 1)
 */
export function parseResult(value: unknown, what: string, version: CniVersion): AttachResult {
  const reader = new Reader()
  const json = isObject(value) ? value : {}
  if (!isObject(value)) reader.fault("it", `${shown(value)}, not an object`)
  const shape = resultShape(readVersion(json.cniVersion ?? undefined, version))
  const result = shape.perFamily ? readFamilies(reader, json) : readLists(reader, json)
  if (reader.faults.length > 0) {
    throw new CniError(`Cannot read ${what}: ${reader.faults.join("; ")}`, {
      code: "decode",
      hint: "the plugin that printed it is at fault; see the CNI specification on results",
    })
  }
  return result
}

function readLists(reader: Reader, json: Json): AttachResult {
  const interfaces = reader.list(json.interfaces, "interfaces", readInterface)
  const ips = reader.list(json.ips, "ips", (ip, path) => {
    const index = reader.integer(ip.interface, `${path}.interface`)
    if (index !== undefined && index >= interfaces.length) {
      reader.fault(`${path}.interface`, `${index}, but there are ${interfaces.length} interfaces`)
    }
    return { ...readIp(reader, ip, path, "address"), interface: index }
  })
  const routes = reader.list(json.routes, "routes", readRoute)
  return { interfaces, ips, routes, dns: readDns(reader, json.dns) }
}

function readFamilies(reader: Reader, json: Json): AttachResult {
  const ips: AttachIp[] = []
  const routes: AttachRoute[] = []
  for (const key of ["ip4", "ip6"]) {
    const part = reader.object(json[key], key)
    if (part === undefined) continue
    ips.push(readIp(reader, part, key, "ip"))
    routes.push(...reader.list(part.routes, `${key}.routes`, readRoute))
  }
  return { interfaces: [], ips, routes, dns: readDns(reader, json.dns) }
}

function readInterface(json: Json, path: string, reader: Reader): AttachInterface {
  return {
    name: reader.text(json.name, `${path}.name`) ?? "",
    mac: reader.converted(json.mac, `${path}.mac`, canonicalMac),
    mtu: reader.integer(json.mtu, `${path}.mtu`),
    sandbox: reader.text(json.sandbox, `${path}.sandbox`),
    socketPath: reader.text(json.socketPath, `${path}.socketPath`),
    pciID: reader.text(json.pciID, `${path}.pciID`),
  }
}

function readIp(reader: Reader, json: Json, path: string, key: "address" | "ip"): AttachIp {
  return {
    address: reader.required(json[key], `${path}.${key}`, canonicalPrefix),
    gateway: reader.converted(json.gateway, `${path}.gateway`, canonicalAddress),
  }
}

function readRoute(json: Json, path: string, reader: Reader): AttachRoute {
  return {
    dst: reader.required(json.dst, `${path}.dst`, canonicalPrefix),
    gw: reader.converted(json.gw, `${path}.gw`, canonicalAddress),
    ...Object.fromEntries(
      EXTENDED_ROUTE_KEYS.map((key) => [key, reader.integer(json[key], `${path}.${key}`)]),
    ),
  }
}

function readDns(reader: Reader, value: unknown): AttachDns {
  const json = reader.object(value, "dns")
  if (json === undefined) return NO_DNS
  return {
    nameservers: reader.texts(json.nameservers, "dns.nameservers"),
    domain: reader.text(json.domain, "dns.domain"),
    search: reader.texts(json.search, "dns.search"),
    options: reader.texts(json.options, "dns.options"),
  }
}

const canonicalPrefix = (text: string): string => formatPrefix(parsePrefix(text))
const canonicalAddress = (text: string): string => formatAddress(parseAddress(text))

/** Interfaces of other kinds than Ethernet have addresses of other lengths; they are not ours. */
function canonicalMac(text: string): string {
  return text.length === "02:00:00:00:00:00".length ? formatMac(parseMac(text)) : text
}

/** Reads values of expected types and gathers what is wrong. Absent and null give undefined. */
class Reader {
  readonly faults: string[] = []

  fault(path: string, why: string): void {
    this.faults.push(`${path} is ${why}`)
  }

  object(value: unknown, path: string): Json | undefined {
    if (value === undefined || value === null) return undefined
    if (isObject(value)) return value
    this.fault(path, `${shown(value)}, not an object`)
    return undefined
  }

  /** Text; the empty text counts as absent, as Go's encoder has it. */
  text(value: unknown, path: string): string | undefined {
    if (value === undefined || value === null || value === "") return undefined
    if (typeof value === "string") return value
    this.fault(path, `${shown(value)}, not a text`)
    return undefined
  }

  integer(value: unknown, path: string): number | undefined {
    if (value === undefined || value === null) return undefined
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
    this.fault(path, `${shown(value)}, not a whole number`)
    return undefined
  }

  converted(value: unknown, path: string, convert: (text: string) => string): string | undefined {
    const text = this.text(value, path)
    if (text === undefined) return undefined
    try {
      return convert(text)
    } catch (error) {
      this.fault(path, `wrong (${messageOf(error)})`)
      return undefined
    }
  }

  required(value: unknown, path: string, convert: (text: string) => string): string {
    const before = this.faults.length
    const text = this.converted(value, path, convert)
    if (text === undefined && this.faults.length === before) this.fault(path, "missing")
    return text ?? ""
  }

  texts(value: unknown, path: string): string[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value
    this.fault(path, "no list of texts")
    return []
  }

  list<T>(
    value: unknown,
    path: string,
    read: (json: Json, path: string, reader: Reader) => T,
  ): T[] {
    if (value === undefined || value === null) return []
    if (!Array.isArray(value) || value.length > MAX_ENTRIES) {
      this.fault(path, `no list of at most ${MAX_ENTRIES} objects`)
      return []
    }
    return value.map((item, index) => {
      const at = `${path}[${index}]`
      if (!isObject(item)) this.fault(at, `${shown(item)}, not an object`)
      return read(isObject(item) ? item : {}, at, this)
    })
  }
}
