import { afterAll, afterEach, beforeEach, expect, spyOn, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { validate } from "./validate.ts"

const SEED = new URL("../../test/fixtures/rancher-compose.yml", import.meta.url).pathname
const directory = mkdtempSync(join(tmpdir(), "validate-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
let said: string[] = []
let spy: ReturnType<typeof spyOn>
beforeEach(() => {
  said = []
  spy = spyOn(console, "log").mockImplementation((text) => {
    said.push(String(text))
  })
})
afterEach(() => spy.mockRestore())

test("the sample is good, with one remark that has its place", () => {
  expect(validate([SEED])).toBe(0)
  expect(said).toHaveLength(2)
  expect(said[0]).toContain(`${SEED}:20:9: warning: `)
  expect(said[0]).toContain("hairpinMode")
  expect(said[1]).toContain("good: network ipsec")
})

test("errors give exit code 1, all of them are said", () => {
  const file = join(directory, "x.yml")
  writeFileSync(
    file,
    "a:\n  network_driver:\n    default_network:\n      name: n\n      subnets:\n      - network_address: nonsense\n      dns: [here]\n",
  )
  expect(validate([file])).toBe(1)
  expect(said.filter((line) => line.includes(": error: "))).toHaveLength(2)
})

test("a file that cannot be read is an error with its path", () => {
  expect(() => validate(["/nonexistent.yml"])).toThrow("Cannot read /nonexistent.yml")
})

test("a network of Windows hosts is a warning, and said apart", () => {
  const file = join(directory, "windows.yml")
  writeFileSync(
    file,
    "a:\n  network_driver:\n    default_network: {name: lan, kind: transparent}\n",
  )
  expect(validate([file])).toBe(0)
  expect(said).toEqual([
    expect.stringContaining(`${file}:3:34: warning: network lan is for Windows hosts`),
    "good: no network; not here: lan",
  ])
})
