import { describe, expect, test } from "bun:test"
import { NO_DNS } from "../../cni/result.ts"
import { parseNetconf } from "../../config/netconf/parse.ts"
import { type AttachDnsInput, attachDns } from "./attach_dns.ts"

const SERVED = "169.254.169.250"
const LABELS = { "io.rancher.stack_service.name": "Shop/Web" }
const OWN_DOMAINS = ["web.shop.rancher.internal", "shop.rancher.internal"]
const DEFAULT_ROUTE = [{ dst: "0.0.0.0/0" }]
const NETWORK = { dns: ["192.0.2.53"], dnsSearch: ["lan.example"] }

function decided(more: Partial<AttachDnsInput> & { readonly keys?: object } = {}) {
  const { keys, ...rest } = more
  const { conf } = parseNetconf({ name: "n", type: "rancher-bridge", ...keys })
  if (conf === undefined) throw new Error("no configuration")
  const isOurs = (address: string) => address === "10.42.0.1"
  return attachDns({ conf, labels: {}, served: SERVED, routes: DEFAULT_ROUTE, isOurs, ...rest })
}

describe("nameservers are", () => {
  const runtimeConfig = { dns: { servers: ["192.0.2.1"] } }
  const dns = { nameservers: ["192.0.2.2"] }
  const delegated = { ...NO_DNS, nameservers: ["192.0.2.3"] }

  test.each<[string, string, Parameters<typeof decided>[0]]>([
    ["the runtime's", "192.0.2.1", { keys: { runtimeConfig, dns }, delegated, network: NETWORK }],
    ["the configuration's", "192.0.2.2", { keys: { dns }, delegated, network: NETWORK }],
    ["another IPAM's", "192.0.2.3", { delegated, network: NETWORK }],
    ["the YAML's", "192.0.2.53", { network: NETWORK }],
    ["this host's", SERVED, {}],
    ["this host's where the YAML names none", SERVED, { network: { dns: [], dnsSearch: [] } }],
    ["this host's where others only say search", SERVED, { keys: { dns: { search: ["a.b"] } } }],
  ])("%s", (_, nameserver, input) => {
    expect(decided(input).nameservers).toEqual([nameserver])
  })

  test.each<[string, Parameters<typeof decided>[0]]>([
    ["DNS is not served", { served: undefined }],
    ["no route leads to the server", { routes: [{ dst: "10.42.0.0/16" }] }],
    ["the routes lead elsewhere", { routes: [{ dst: "0.0.0.0/0", gw: "192.168.1.1" }] }],
    ["there are IPv6 routes alone", { routes: [{ dst: "::/0" }] }],
    ["a label says so", { labels: { "io.rancher.container.dns": "false" }, network: NETWORK }],
  ])("none where %s", (_, input) => {
    expect(decided(input)).toEqual(NO_DNS)
  })

  test("this host's with a route to it alone", () => {
    expect(decided({ routes: [{ dst: `${SERVED}/32` }] }).nameservers).toEqual([SERVED])
    const byGateway = decided({ routes: [{ dst: "0.0.0.0/0", gw: "10.42.0.1" }] })
    expect(byGateway.nameservers).toEqual([SERVED])
    const ipv6 = decided({ served: "fd00::1", routes: [{ dst: "::/0" }] })
    expect(ipv6.nameservers).toEqual(["fd00::1"])
  })
})

describe("the domain is", () => {
  test("the stack's, or that of all names, where this host's DNS is asked", () => {
    expect(decided({ labels: LABELS }).domain).toBe("shop.rancher.internal")
    expect(decided().domain).toBe("rancher.internal")
  })

  test("none where other servers are asked, which do not know it", () => {
    expect(decided({ labels: LABELS, network: NETWORK }).domain).toBeUndefined()
  })

  test("the configuration's where it says one", () => {
    expect(decided({ labels: LABELS, keys: { dns: { domain: "a.b" } } }).domain).toBe("a.b")
  })
})

describe("search has", () => {
  const keys = { dns: { search: ["conf.example"] } }
  const searched = (labels: object, more: Parameters<typeof decided>[0] = {}) =>
    decided({ keys, network: NETWORK, labels: { ...labels }, ...more }).search

  test("service and stack first, then what is said, then the zone", () => {
    const said = ["conf.example", "lan.example"]
    expect(searched(LABELS)).toEqual([...OWN_DOMAINS, ...said, "rancher.internal"])
    expect(searched({})).toEqual(said)
    expect(searched({}, { keys: {} })).toEqual(["lan.example"])
  })

  test("what labels of priority say", () => {
    const label = "io.rancher.container.dns.priority"
    expect(searched({ ...LABELS, [label]: "service_last" })).toEqual([
      ...["conf.example", "lan.example", ...OWN_DOMAINS, "rancher.internal"],
    ])
    expect(searched({ ...LABELS, [label]: "None" })).toEqual(["conf.example", "rancher.internal"])
    expect(searched({ ...LABELS, "io.rancher.container.dns": "false" })).toEqual(["conf.example"])
  })

  test("the runtime's in place of the configuration's", () => {
    const runtimeConfig = { dns: { searches: ["run.example"], options: ["ndots:2"] } }
    const dns = decided({ keys: { ...keys, runtimeConfig } })
    expect(dns.search).toEqual(["run.example"])
    expect(dns.options).toEqual(["ndots:2"])
  })
})
