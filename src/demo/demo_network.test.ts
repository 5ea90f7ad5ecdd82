import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { loadConfiguration } from "../config/load.ts"
import { LariatError } from "../errors.ts"
import { readDemoNetwork, SEED_YAML } from "./demo_network.ts"

test("the demo's network is the sample as it stands", () => {
  const sample = new URL("../../test/fixtures/rancher-compose.yml", import.meta.url)
  expect(SEED_YAML).toBe(readFileSync(sample, "utf8"))
})

describe("a file for the demo", () => {
  test("is taken as it is where no driver is wanted", () => {
    const { yaml, network, conf, remarks } = readDemoNetwork("a.yml", SEED_YAML)
    expect(yaml).toBe(SEED_YAML)
    expect(network).toMatchObject({ name: "ipsec", driver: "ipsec" })
    expect(conf).toMatchObject({ cniVersion: "1.1.0", bridge: "docker0", linkMTUOverhead: 98 })
    expect(remarks).toHaveLength(1)
  })

  test("is the same with another driver, wherever its services stand", () => {
    const before = readDemoNetwork("a.yml", SEED_YAML)
    const nested = `services:\n${SEED_YAML.replace(/^(?=.)/gm, "  ")}`
    for (const text of [SEED_YAML, nested]) {
      const { yaml, network, conf } = readDemoNetwork("a.yml", text, "vxlan")
      expect({ ...network, driver: before.network.driver, position: 0 }).toEqual({
        ...before.network,
        position: 0 as never,
      })
      expect(network.driver).toBe("vxlan")
      expect(conf).toEqual(before.conf)
      const [again] = loadConfiguration([{ path: "a.yml", text: yaml }], { env: {} }).networks
      expect(again?.driver).toBe("vxlan")
    }
  })

  test.each(["", "[]", "a: {", "web:\n  image: x\n", "a:\n  network_driver: 7\n"])(
    "%j gives no network",
    (text) => {
      for (const driver of [undefined, "vxlan"] as const) {
        expect(() => readDemoNetwork("a.yml", text, driver)).toThrow(LariatError)
      }
    },
  )
})
