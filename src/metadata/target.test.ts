import { expect, test } from "bun:test"
import { posix } from "node:path"
import fc from "fast-check"
import { cleanPath, splitTarget, targetOf } from "./target.ts"

test.each([
  ["http://x/", "/"],
  ["http://x", "/"],
  ["http://[::1]:80/a//b?c#d", "/a//b?c#d"],
  ["http://x//evil.example/", "//evil.example/"],
  ["/a?b", "/a?b"],
])("the target of %s is %s", (url, target) => expect(targetOf(url)).toBe(target))

test("a target is split at the first question mark", () => {
  expect(splitTarget("/a?b?c")).toEqual({ path: "/a", query: "b?c" })
  expect(splitTarget("/a")).toEqual({ path: "/a", query: "" })
  expect(splitTarget("/a?")).toEqual({ path: "/a", query: "" })
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
