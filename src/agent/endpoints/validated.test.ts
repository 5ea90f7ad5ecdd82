/** What `lariat validate` calls good runs: nothing on the way to an attach refuses it. */
import { afterAll, expect, test } from "bun:test"
import fc from "fast-check"
import { parse, stringify } from "yaml"
import { fixture } from "../../../test/fixtures/config/loading.ts"
import { formatDiagnostic, hasErrors } from "../../config/diagnostic.ts"
import { loadConfiguration } from "../../config/load.ts"
import { isOurIpam } from "../../config/netconf/netconf.ts"
import type { Network } from "../../config/network.ts"
import { isMap } from "../../config/value_schema.ts"
import { parsePrefix, prefixContains } from "../../core/address.ts"
import { BlockPlan } from "../../ipam/blocks.ts"
import { bridgeConfs } from "../networks/bridge_confs.ts"
import { Networks } from "../networks/networks.ts"
import { StateDatabase } from "../state/state_database.ts"
import { bridgeAddresses, endpointRoutes, takeAddresses, withGateways } from "./addressing.ts"
import { attachRequest } from "./netconf_request.ts"

const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
afterAll(() => stateDatabase.close())

const RUNS = 300

const ENV = {
  ...({ command: "ADD", containerId: "c1", netns: "/run/netns/c1", ifname: "eth0" } as const),
  ...{ args: "", path: "", netnsOverride: false },
}

/** A link for whatever overhead a file says: of hosts that have less there is a warning. */
const WIDE = 9000

/** Sets a value below a network_driver by its path, or takes the key away: undefined. */
interface Edit {
  readonly path: readonly string[]
  readonly value: unknown
}

const PREFIXES = [
  ...["10.42.0.0/16", "10.42.0.0/24", "10.42.7.0/24", "10.0.0.0/8", "10.43.0.0/16", "10.42.0.0/28"],
  ...["192.168.40.0/24", "192.168.40.128/25", "10.42.0.0/30", "fd00:42::/64", "fd00:42::/120"],
]
const ADDRESSES = [
  ...["10.42.0.1", "10.42.0.9", "10.42.0.14", "10.42.255.254", "10.42.7.1", "192.168.40.1"],
  ...["10.9.0.1", "fd00:42::1", "fd00:42::ff"],
]
const prefix = fc.constantFrom(...PREFIXES)
const address = fc.constantFrom(...ADDRESSES)
const flag = fc.boolean()
const mtu = fc.constantFrom(0, 68, 600, 700, 1280, 1340, 1400, 1500, 9000, 65_535)

const subnet = fc.record(
  { network_address: prefix, gateway: address, start_address: address, end_address: address },
  { requiredKeys: ["network_address"] },
)
const subnets = fc.oneof(
  { weight: 4, arbitrary: prefix.map((network_address) => [{ network_address }]) },
  { weight: 2, arbitrary: fc.array(subnet, { maxLength: 3 }) },
)
const range = fc.record(
  { subnet: prefix, rangeStart: address, rangeEnd: address, gateway: address },
  { requiredKeys: ["subnet"] },
)
const destinations = fc.constantFrom("0.0.0.0/0", "::/0", "169.254.169.250/32", "10.9.0.0/16")
const route = fc.record({ dst: destinations, gw: address }, { requiredKeys: ["dst"] })

/** Sensible values of the keys of a network_driver, and of its CNI configuration. */
const DRIVER: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  driver: fc.constantFrom("ipsec", "vxlan", "routed", "wireguard", "none", undefined),
  cipher: fc.constantFrom("aes128gcm16", "chacha20poly1305", "aes256-sha512"),
  udp_encapsulation: fc.constantFrom("none", "udp", "auto"),
  port: fc.constantFrom(1, 4500, 65_535),
  vni: fc.constantFrom(1, 2 ** 24 - 1),
  block_size: fc.constantFrom(8, 16, 20, 24, 28, 30),
  "default_network.subnets": subnets,
  "default_network.mac_prefix": fc.constantFrom("02:00:01", "06-aa-bb"),
}
const CONF: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  bridge: fc.constantFrom("docker0", "edge0"),
  bridgeSubnet: fc.oneof(prefix, fc.array(prefix, { maxLength: 2 }), fc.constant(undefined)),
  bridgeIP: address,
  isGateway: flag,
  isDefaultGateway: flag,
  useBridgeIPAsGateway: flag,
  hairpinMode: flag,
  promiscMode: flag,
  hostNat: flag,
  ipMasq: flag,
  skipBridgeConfigureIP: flag,
  mtu,
  linkMTUOverhead: fc.constantFrom("auto", 0, 50, 98, 800, 1450),
  ipam: fc.constantFrom(undefined, { type: "host-local", subnet: "10.42.0.0/16" }),
  "ipam.type": fc.constantFrom("rancher-cni-ipam", "rancher-host-local-ipam", "lariat-cni"),
  "ipam.subnet": prefix,
  "ipam.rangeStart": address,
  "ipam.ranges": fc.array(fc.array(range, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  "ipam.subnetPrefixSize": fc.constantFrom("/8", "/16", "/24", "/28", "/64"),
  "ipam.routes": fc.array(route, { maxLength: 2 }),
}

/** Stands for the only file of cni_config. */
const FILE = "*"

const editOf = (
  under: readonly string[],
  keys: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<Edit> =>
  fc
    .constantFrom(...Object.entries(keys))
    .chain(([key, values]) =>
      values.map((value) => ({ path: [...under, ...key.split(".")], value })),
    )
const edit = fc.oneof(editOf([], DRIVER), editOf(["cni_config", FILE], CONF))

/** The network_driver of each fixture. */
const DRIVERS = ["vxlan", "l2-flat", "dual-stack"].map((name) => {
  const file = parse(fixture(`config/${name}.yml`).replace(/\$\{\w+:-([^}]*)\}/g, "$1"))
  const services: Record<string, { network_driver?: unknown }> = file.services ?? file
  const driver = Object.values(services).find(({ network_driver }) => network_driver !== undefined)
  if (!isMap(driver?.network_driver)) throw new Error(`${name}.yml has no network_driver`)
  return driver.network_driver
})

function edited(driver: Readonly<Record<string, unknown>>, edits: readonly Edit[]): string {
  const [file = ""] = isMap(driver.cni_config) ? Object.keys(driver.cni_config) : []
  const place = (path: readonly string[]) => path.map((step) => (step === FILE ? file : step))
  const network_driver = edits.reduce(
    (map, { path, value }) => withValue(map, place(path), value),
    driver,
  )
  return stringify({ services: { edge: { network_driver } } })
}

/** A copy with a value at a path; one that is undefined is not written. */
function withValue(map: unknown, path: readonly string[], value: unknown): Record<string, unknown> {
  const [key = "", ...more] = path
  const base = isMap(map) ? map : {}
  return { ...base, [key]: more.length === 0 ? value : withValue(base[key], more, value) }
}

/** Goes the way of an attach to each configuration of each network, as far as it is pure. */
function attachAll(all: readonly Network[], leased: boolean): void {
  const networks = new Networks({
    ...{ stateDatabase, clock: () => 0, restMs: 0 },
    leasedPools: (network) =>
      leased && network.driver !== "none" ? firstBlocks(network) : undefined,
  })
  const { remarks } = networks.configure(all)
  expect(remarks).toEqual([])
  for (const network of all) {
    for (const { conf } of bridgeConfs(network)) {
      if (!isOurIpam(conf)) continue
      const pool = networks.forNetconf(conf)
      expect(pool.name).toBe(network.name)
      const request = attachRequest({
        ...{ conf, env: ENV, args: {}, pool, delegated: undefined, underlay: WIDE },
      })
      const taken = takeAddresses(request)
      const given = withGateways(taken, request, request.bridge.addresses)
      bridgeAddresses(given, request)
      const onLink = given.map(({ address, prefix }) => parsePrefix(`${address}/${prefix}`))
      const unreachable = endpointRoutes(given, request).filter(({ gw }) => {
        if (gw === undefined) return false
        const hop = parsePrefix(gw.includes(":") ? `${gw}/128` : `${gw}/32`)
        // One that stands alone on its link has a route to its gateway of its own.
        const isAlone = onLink.some(({ family, length }) => family === hop.family && length === 128)
        return !isAlone && !onLink.some((link) => prefixContains(link, hop))
      })
      expect(unreachable).toEqual([])
      for (const { address } of given) pool.allocator.release(address, { used: false })
    }
  }
}

/** What a host alone in its cluster leases. */
function firstBlocks({ subnets, encapsulation }: Network) {
  return subnets.map((one) => {
    const length = one.cidr.includes(":") ? undefined : encapsulation.blockSize
    const plan = new BlockPlan(one, { length })
    let block = plan.at(0)
    for (let at = 1; block === undefined && at < plan.count; at++) block = plan.at(at)
    if (block === undefined) throw new Error(`${one.cidr} has no block`)
    return block
  })
}

test("whatever is edited in a file that is good", () => {
  let good = 0
  const cases = fc.tuple(fc.constantFrom(...DRIVERS), fc.array(edit, { maxLength: 4 }), flag)
  fc.assert(
    fc.property(cases, ([driver, edits, leased]) => {
      const text = edited(driver, edits)
      const { networks, diagnostics } = loadConfiguration([{ path: "f", text }], { env: {} })
      if (hasErrors(diagnostics)) return
      good += 1
      try {
        attachAll(networks, leased)
      } catch (error) {
        throw new Error(`${error}\n${text}${diagnostics.map(formatDiagnostic).join("\n")}`)
      }
    }),
    { numRuns: RUNS },
  )
  // Most edits are to be good ones, else nothing is tried.
  expect(good).toBeGreaterThan(RUNS / 3)
}, 120_000)
