import { describe, expect, test } from "bun:test"
import { jsonSchema } from "./json_schema.ts"

const schema: unknown = jsonSchema()

/** What stands at a path; a form beside `null` is stepped into by itself. */
function at(...path: readonly string[]): unknown {
  let here = schema
  for (const step of path) {
    expect(here).toBeObject()
    here = (here as Record<string, unknown>)[step]
    const forms = (here as { anyOf?: readonly { type?: string }[] } | undefined)?.anyOf
    if (forms?.length === 2 && forms[1]?.type === "null") here = { ...forms[0], ...own(here) }
  }
  return here
}

function own(value: unknown): object {
  const { anyOf: _, ...rest } = value as { anyOf?: unknown }
  return rest
}

const keysAt = (...path: readonly string[]): string[] => Object.keys(at(...path) as object)

const DRIVER = ["additionalProperties", "properties", "network_driver", "properties"]
const NETCONF = [...DRIVER, "cni_config", "additionalProperties"]

describe("jsonSchema", () => {
  test("is a draft 2020-12 schema that can be written down", () => {
    expect(at("$schema")).toBe("https://json-schema.org/draft/2020-12/schema")
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema)
  })

  test("knows the keys of the driver, its network and its netconf", () => {
    expect(keysAt(...DRIVER)).toEqual([
      "name",
      "driver",
      "cipher",
      "udp_encapsulation",
      "port",
      "vni",
      "block_size",
      "default_network",
      "network_metadata",
      "cni_config",
    ])
    expect(keysAt(...DRIVER, "default_network", "properties")).toContain("mac_prefix")
    expect(keysAt(...NETCONF, "properties")).toContain("linkMTUOverhead")
    expect(keysAt(...NETCONF, "properties", "ipam", "properties")).toContain("subnetPrefixSize")
  })

  test("refuses unknown keys, as the reader warns of them", () => {
    expect(at(...NETCONF, "additionalProperties")).toBe(false)
  })

  test("covers services under `services`, and the agent's settings with their meaning", () => {
    const services = ["properties", "services", "additionalProperties", "properties"]
    expect(keysAt(...services)).toContain("network_driver")
    const quarantine = at("properties", "agent", "properties", "quarantine")
    expect(quarantine).toMatchObject({ description: expect.stringContaining("60s") })
  })

  test("lets a flag be text or a truth value", () => {
    const flag = at(...DRIVER, "default_network", "properties", "host_ports")
    const text = JSON.stringify(flag)
    expect(text).toContain('"boolean"')
    expect(text).toContain('"string"')
  })
})
