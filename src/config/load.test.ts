import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { formatDiagnostic, hasErrors } from "./diagnostic.ts"
import { loadConfiguration } from "./load.ts"

const SEED = new URL("../../test/fixtures/rancher-compose.yml", import.meta.url)

describe("the seed's YAML", () => {
  const text = readFileSync(SEED, "utf8")
  const { networks, diagnostics } = loadConfiguration([{ path: "rancher-compose.yml", text }], {
    env: {},
  })

  test("gives one warning: the stray key", () => {
    expect(diagnostics.map(formatDiagnostic)).toEqual([
      'rancher-compose.yml:20:9: warning: hairpinMode" is not a known key, it is ignored, ' +
        "did you mean hairpinMode, which is there too and is used",
    ])
    expect(hasErrors(diagnostics)).toBe(false)
  })

  test("gives the ipsec network", () => {
    expect(networks).toHaveLength(1)
    expect(networks[0]).toMatchObject({
      name: "ipsec",
      driverName: "Rancher IPsec",
      driver: "ipsec",
      subnets: [
        { cidr: "10.42.0.0/16", gateway: "10.42.0.1", start: "10.42.0.2", end: "10.42.255.250" },
      ],
      hostPorts: true,
      dns: ["169.254.169.250"],
      dnsSearch: ["rancher.internal"],
    })
  })
})
