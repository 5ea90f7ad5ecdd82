import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { SEED_YAML } from "./demo_network.ts"

test("the demo's network is the sample as it stands", () => {
  const sample = new URL("../../test/fixtures/rancher-compose.yml", import.meta.url)
  expect(SEED_YAML).toBe(readFileSync(sample, "utf8"))
})
