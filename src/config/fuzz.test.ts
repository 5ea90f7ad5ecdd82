/** Thousands of broken files and netconfs: never a throw, never an endless loop, always a word. */

import { describe, expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import fc from "fast-check"
import { formatDiagnostic, hasErrors, MAX_DIAGNOSTICS } from "./diagnostic.ts"
import { loadConfiguration } from "./load.ts"
import { parseNetconf } from "./netconf/parse.ts"

const FIXTURES = new URL("../../test/fixtures/", import.meta.url)

const seeds = [
  readFileSync(new URL("rancher-compose.yml", FIXTURES), "utf8"),
  ...readdirSync(new URL("config/", FIXTURES)).map((name) =>
    readFileSync(new URL(`config/${name}`, FIXTURES), "utf8"),
  ),
]

/** What breaks YAML, interpolation, addresses or JavaScript. */
const SHRAPNEL = [
  "\t",
  "\n",
  "\r",
  ":",
  ": ",
  "- ",
  "'",
  '"',
  "{",
  "}",
  "[",
  "]",
  "&a ",
  "*a",
  "<<: *a",
  "!!set ",
  "${",
  "$",
  "$$",
  "${X:-",
  "{{ ",
  " }}",
  "#",
  "|",
  ">",
  "%",
  "---\n",
  "...\n",
  "\u0000",
  "\ufffd",
  "\ue000\uf000",
  "\ud800",
  "\u2028",
  "__proto__: ",
  "constructor: ",
  "null",
  "~",
  "-1",
  "1e999",
  ".inf",
  ".nan",
  "0x7fffffffffffffff",
  "/33",
  "::",
  "fd00::/64",
  "255.255.255.255",
  "true",
]

type Mutation = readonly [at: number, cut: number, piece: string]

function mutate(text: string, mutations: readonly Mutation[]): string {
  let result = text
  for (const [at, cut, piece] of mutations) {
    const i = at % (result.length + 1)
    result = result.slice(0, i) + piece + result.slice(i + cut)
  }
  return result
}

const mutation = fc.tuple(
  fc.nat(10_000),
  fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(200) }),
  fc.oneof(fc.constantFrom(...SHRAPNEL), fc.string({ maxLength: 4 }), fc.constant("")),
)

const brokenFile = fc
  .tuple(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 6 }))
  .map(([text, mutations]) => mutate(text, mutations))

function checkFile(text: string): void {
  const { networks, agent, diagnostics } = loadConfiguration([{ path: "f", text }], {
    env: { SUBNET: "10.42.0.0/16", X: `\${X}` },
  })
  const lines = text.split("\n")
  const faults = diagnostics.filter((diagnostic) => {
    const { line, column } = diagnostic.position
    const length = lines[line - 1]?.length
    const placed = length !== undefined && column >= 1 && column <= length + 1
    // Placeholders are a matter of the reader alone.
    const leaks = /[\ue000-\uefff][\uf000-\uf7ff]|Invalid input/.test(diagnostic.message)
    return !placed || leaks || /[\n\r]/.test(formatDiagnostic(diagnostic))
  })
  expect(faults).toEqual([])
  expect(diagnostics.length).toBeLessThanOrEqual(MAX_DIAGNOSTICS + 1)
  for (const { name, cni } of networks) {
    expect(name).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/)
    if (hasErrors(diagnostics)) continue
    // What was found good in the file is good for the plugin too.
    for (const { conf } of cni) expect(parseNetconf(conf).conf).toBeDefined()
  }
  expect(agent.quarantineMs).toBeGreaterThanOrEqual(0)
  expect(Object.keys(Object.prototype)).toEqual([])
}

describe("files", () => {
  test("with holes and shrapnel", () => {
    fc.assert(fc.property(brokenFile, checkFile), { numRuns: 3000 })
  }, 120_000)

  test("of any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), checkFile), {
      numRuns: 1000,
    })
  }, 60_000)

  test("of any structure where a driver belongs", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.json({ maxDepth: 3 }), (driver, agent) => {
        checkFile(`{"svc": {"network_driver": ${driver}}, "agent": ${agent}}`)
      }),
      { numRuns: 1500 },
    )
  }, 60_000)
})

const KEYS = [
  "name",
  "type",
  "cniVersion",
  "bridge",
  "bridgeSubnet",
  "bridgeIP",
  "mtu",
  "linkMTUOverhead",
  "hairpinMode",
  "promiscMode",
  "isGateway",
  "ipam",
  "routes",
  "dst",
  "gw",
  "subnet",
  "ranges",
  "rangeStart",
  "dns",
  "nameservers",
  "search",
  "runtimeConfig",
  "ips",
  "mac",
  "aliases",
  "portMappings",
  "hostPort",
  "containerPort",
  "protocol",
  "bandwidth",
  "ipRanges",
  "args",
  "cni",
  "labels",
  "prevResult",
  "cni.dev/valid-attachments",
  "cni.dev/attachments",
  "containerID",
  "ifname",
  "subnetPrefixSize",
  "MTU",
  "IPAM",
  "__proto__",
  "constructor",
  "toString",
  "then",
  "",
]

const TEXTS = [
  "rancher-bridge",
  "lariat-cni",
  "rancher-cni-ipam",
  "bridge",
  "10.42.0.0/16",
  "10.42.0.1",
  "fd00::/64",
  "fd00::1",
  "/16",
  "true",
  "",
  "auto",
  "02:00:01:00:00:01",
  "x,y",
  "10.0.0.1,",
]

const { value: json } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "medium" },
    fc.constantFrom<unknown>(...TEXTS, null, true, false, 0, 1500, -1, 1e300, 0.5),
    fc.string(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie("value"), { maxKeys: 8 }),
  ),
}))

describe("netconfs", () => {
  const GOOD = { name: "n", type: "rancher-bridge", bridge: "docker0", mtu: 1500 }

  function checkNetconf(raw: unknown): void {
    const { conf, problems } = parseNetconf(raw)
    const bad = problems.some(({ severity }) => severity === "error")
    expect(conf === undefined).toBe(bad)
    const faults = problems.filter(
      ({ message, path }) => /^$|Invalid input/.test(message) || path.length > 12,
    )
    expect(faults).toEqual([])
    expect(Object.keys(Object.prototype)).toEqual([])
  }

  test("of any JSON", () => {
    fc.assert(fc.property(json, checkNetconf), { numRuns: 3000 })
  }, 60_000)

  test("with any value at each key", () => {
    const changes = fc.dictionary(fc.constantFrom(...KEYS), json, { maxKeys: 6 })
    fc.assert(
      fc.property(changes, (changed) => checkNetconf({ ...GOOD, ...changed })),
      { numRuns: 4000 },
    )
  }, 60_000)

  test("as text with one byte changed, where it is still JSON", () => {
    const text = JSON.stringify({
      ...GOOD,
      ipam: { type: "rancher-cni-ipam", subnetPrefixSize: "/16", routes: [{ dst: "0.0.0.0/0" }] },
      runtimeConfig: { ips: ["10.42.0.9/16"], portMappings: [{ hostPort: 1, containerPort: 2 }] },
    })
    const changed = fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 }))
    fc.assert(
      fc.property(changed, ([at, code]) => {
        let raw: unknown
        try {
          raw = JSON.parse(text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1))
        } catch {
          return
        }
        checkNetconf(raw)
      }),
      { numRuns: 3000 },
    )
  }, 60_000)

  test("that nest without end", () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = i % 2 === 0 ? [deep] : { ipam: deep }
    for (const key of ["zzz", "prevResult", "ipam", "runtimeConfig", "args", "capabilities"]) {
      checkNetconf({ ...GOOD, [key]: deep })
      checkNetconf({ ...GOOD, [key]: { deep }, unknown: deep })
    }
  })
})
