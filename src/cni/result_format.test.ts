import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { familyOf, formatAddress, formatPrefix } from "../core/address.ts"
import type { AttachIp, AttachResult, AttachRoute } from "./result.ts"
import { NO_DNS } from "./result.ts"
import { formatResult } from "./result_format.ts"
import { parseResult } from "./result_parse.ts"
import { CNI_VERSIONS, type CniVersion, resultShape } from "./version.ts"

const attach: AttachResult = {
  interfaces: [
    { name: "docker0", mac: "02:42:0a:2a:00:01", mtu: 1500 },
    { name: "lrtabcdefghijk", mac: "0a:58:0a:2a:00:01", mtu: 1402 },
    { name: "eth0", mac: "02:00:01:00:00:07", mtu: 1402, sandbox: "/run/netns/c1" },
  ],
  ips: [
    { address: "10.42.0.7/16", gateway: "10.42.0.1", interface: 2 },
    { address: "fd00:42::7/64", gateway: "fd00:42::1", interface: 2 },
    { address: "10.43.0.7/24", interface: 2 },
  ],
  routes: [
    {
      dst: "0.0.0.0/0",
      gw: "10.42.0.1",
      mtu: 1400,
      advmss: 1360,
      priority: 100,
      table: 42,
      scope: 0,
    },
    { dst: "169.254.169.250/32" },
    { dst: "::/0", gw: "fd00:42::1" },
  ],
  dns: { nameservers: ["169.254.169.250"], search: ["rancher.internal"], options: [] },
}

function fixture(version: string): Record<string, unknown> {
  return JSON.parse(
    readFileSync(
      new URL(`../../test/fixtures/cni/result/${version}.json`, import.meta.url),
      "utf8",
    ),
  )
}

/** As the runtime reads it. */
function printed(...args: Parameters<typeof formatResult>): unknown {
  return JSON.parse(JSON.stringify(formatResult(...args)))
}

test.each([
  ["0.1.0", "0.2.0"],
  ["0.2.0", "0.2.0"],
  ["0.3.0", "0.4.0"],
  ["0.3.1", "0.4.0"],
  ["0.4.0", "0.4.0"],
  ["1.0.0", "1.0.0"],
  ["1.1.0", "1.1.0"],
] as const)("an attachment in CNI %s has the shape of %s", (version, shape) => {
  expect(printed(attach, version)).toStrictEqual({ ...fixture(shape), cniVersion: version })
})

test("an IPAM result has no interfaces and no index", () => {
  expect(printed(attach, "1.0.0", { ipam: true })).toStrictEqual({
    cniVersion: "1.0.0",
    ips: attach.ips.map(({ interface: _, ...ip }) => ip),
    routes: attach.routes.map(({ dst, gw }) => (gw === undefined ? { dst } : { dst, gw })),
    dns: { nameservers: ["169.254.169.250"], search: ["rancher.internal"] },
  })
})

test("an empty result is a result", () => {
  const empty: AttachResult = { interfaces: [], ips: [], routes: [], dns: NO_DNS }
  for (const version of CNI_VERSIONS) {
    expect(printed(empty, version)).toStrictEqual({ cniVersion: version, dns: {} })
  }
})

const address = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.constantFrom(...v6Samples()))
  .map((bytes) => ({ family: bytes.length === 4 ? (4 as const) : (6 as const), bytes }))
const prefix = fc.tuple(address, fc.nat(32)).map(([a, length]) => formatPrefix({ ...a, length }))
const text = fc.string({ minLength: 1, maxLength: 12 })
const count = fc.option(fc.nat(), { nil: undefined })

function v6Samples(): Uint8Array[] {
  return [1, 7, 0xff].map((last) => Uint8Array.of(0xfd, 0, 0x42, ...new Array(12).fill(0), last))
}

function present<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}

const optional = <T>(inner: fc.Arbitrary<T>) => fc.option(inner, { nil: undefined })

const link = fc
  .record({
    name: text,
    mac: optional(fc.constantFrom("02:00:01:00:00:07", "aa:bb:cc:dd:ee:ff")),
    mtu: count,
    sandbox: optional(text),
    socketPath: optional(text),
    pciID: optional(text),
  })
  .map(present)

const route = fc
  .record({
    dst: prefix,
    gw: optional(address.map(formatAddress)),
    mtu: count,
    advmss: count,
    priority: count,
    table: count,
    scope: count,
  })
  .map(present)

const result: fc.Arbitrary<AttachResult> = fc.array(link, { maxLength: 4 }).chain((interfaces) =>
  fc.record({
    interfaces: fc.constant(interfaces),
    ips: fc.array(
      fc
        .record({
          address: prefix,
          gateway: optional(address.map(formatAddress)),
          interface:
            interfaces.length === 0
              ? fc.constant(undefined)
              : optional(fc.nat(interfaces.length - 1)),
        })
        .map(present),
      { maxLength: 4 },
    ),
    routes: fc.array(route, { maxLength: 4 }),
    dns: fc
      .record({
        nameservers: fc.array(text),
        domain: optional(text),
        search: fc.array(text),
        options: fc.array(text),
      })
      .map(present),
  }),
)

/** What a version can express of a result, said without the formatter. */
function expressible(full: AttachResult, version: CniVersion): AttachResult {
  const { perFamily, extended } = resultShape(version)
  const routes: AttachRoute[] = extended
    ? [...full.routes]
    : full.routes.map(({ dst, gw }) => present({ dst, gw }))
  if (!perFamily) {
    const interfaces = extended
      ? full.interfaces
      : full.interfaces.map(({ name, mac, sandbox }) => present({ name, mac, sandbox }))
    return { ...full, interfaces, routes }
  }
  const families = ([4, 6] as const).flatMap((family) => {
    const ip = full.ips.find((candidate) => familyOf(candidate.address) === family)
    return ip === undefined ? [] : [{ family, ip }]
  })
  return {
    interfaces: [],
    ips: families.map(({ ip }): AttachIp => {
      const { interface: _, ...rest } = ip
      return rest
    }),
    routes: families.flatMap(({ family }) => routes.filter((r) => familyOf(r.dst) === family)),
    dns: full.dns,
  }
}

test.each(CNI_VERSIONS)("CNI %s: what is written is read again", (version) => {
  fc.assert(
    fc.property(result, (full) => {
      const json = printed(full, version)
      expect(parseResult(json, "the result", "0.1.0")).toEqual(expressible(full, version))
    }),
  )
})

test.each(CNI_VERSIONS)("CNI %s: an IPAM result is read again without interfaces", (version) => {
  fc.assert(
    fc.property(result, (full) => {
      const json = formatResult(full, version, { ipam: true })
      const parsed = parseResult(json, "the result", version)
      const { ips, routes, dns } = expressible(full, version)
      const bare = ips.map(({ interface: _, ...ip }) => ip)
      expect(parsed).toEqual({ interfaces: [], ips: bare, routes, dns })
    }),
  )
})
