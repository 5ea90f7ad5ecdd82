/** The plugin's start-up: what its process loads before it does anything. */

import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"

const STATIC_IMPORT = /^(?:import|export)\s+(?!type\b)(?:[^"';=()]*?from\s+)?"([^"]+)"/gm

/** Every module that `entry` loads statically, itself included; packages by their names. */
function staticImports(entry: URL, seen = new Set<string>()): Set<string> {
  if (seen.has(entry.href)) return seen
  seen.add(entry.href)
  const source = readFileSync(entry, "utf8")
  for (const [, path = ""] of source.matchAll(STATIC_IMPORT)) {
    if (path.startsWith(".")) staticImports(new URL(path, entry), seen)
    else seen.add(path)
  }
  return seen
}

test("no package and none of Node's modules is loaded for a call", () => {
  const loaded = [...staticImports(new URL("./plugin.ts", import.meta.url))]
  expect(loaded.filter((path) => !path.startsWith("file:") && path !== "bun:ffi")).toEqual([])
  const rooms = loaded.map((path) => path.replace(/^file:.*\/src\//, "").replace(/\/.*/, ""))
  expect([...new Set(rooms)].sort()).toEqual(["cni", "config", "errors.ts", "sys"])
  expect(loaded.some((path) => path.endsWith("/delegate.ts"))).toBe(false)
})
