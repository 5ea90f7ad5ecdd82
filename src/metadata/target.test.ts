import { expect, test } from "bun:test"
import { posix } from "node:path"
import fc from "fast-check"
import { cleanPath, targetOf } from "./target.ts"

test.each([
  ["http://x/", "/", ""],
  ["http://x", "/", ""],
  ["http://[::1]:80/a//b?c#d", "/a//b", "?c#d"],
  ["http://x//evil.example/", "//evil.example/", ""],
  ["/a?b?c", "/a", "?b?c"],
  ["/a?", "/a", "?"],
])("the target of %s is %s and %j", (url, path, query) => {
  expect(targetOf(url)).toEqual({ path, query })
})

test.each([
  ["/", "/"],
  ["//", "/"],
  ["/a/", "/a/"],
  ["/a//b", "/a/b"],
  ["/a/./b", "/a/b"],
  ["/a/../b", "/b"],
  ["/../..", "/"],
  ["/a/..", "/"],
  ["/a/.", "/a"],
  ["/a/.b", "/a/.b"],
  ["/a/..b/...", "/a/..b/..."],
])("%s is %s", (path, clean) => expect(cleanPath(path)).toBe(clean))

test("it is what a path library makes of it, and stays so", () => {
  const segment = fc.constantFrom("a", ".", "..", "", "...", ".b", "b.")
  fc.assert(
    fc.property(fc.array(segment), fc.boolean(), (segments, slash) => {
      const path = `/${segments.join("/")}${slash ? "/" : ""}`
      const clean = cleanPath(path)
      expect(cleanPath(clean)).toBe(clean)
      expect(clean.replace(/(?<=.)\/$/, "")).toBe(posix.normalize(path).replace(/(?<=.)\/$/, ""))
    }),
  )
})
