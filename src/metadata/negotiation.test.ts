import { expect, test } from "bun:test"
import fc from "fast-check"
import { formatFor, wantsHtml } from "./negotiation.ts"

test.each([
  [undefined, "text"],
  ["", "text"],
  ["*/*", "text"],
  ["text/plain", "text"],
  ["application/json", "json"],
  ["application/json, */*", "json"],
  ["*/*, application/json", "json"],
  ["application/*", "json"],
  ["text/*", "text"],
  ["application/yaml", "yaml"],
  ["application/x-yaml", "yaml"],
  ["text/yaml", "yaml"],
  ["text/x-yaml", "yaml"],
  ["application/json;q=0.5, text/plain", "text"],
  ["application/json;q=0.5, text/plain;q=0.4", "json"],
  ["text/plain;q=0, application/json;q=0.1", "json"],
  ["application/json;q=0", "text"],
  ["APPLICATION/JSON", "text"],
  ["application/xml", "text"],
  ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text"],
  ["application/json; charset=utf-8", "json"],
] as const)("%p gets %s", (accept, format) => expect(formatFor(accept)).toBe(format))

test("any header at all has a format, the same each time", () => {
  const part = fc.constantFrom(
    "application/json",
    "text/*",
    "*/*",
    ";q=",
    "0.5",
    ",",
    "text/yaml",
    " ",
  )
  const header = fc.oneof(
    fc.string(),
    fc.array(part).map((parts) => parts.join("")),
  )
  fc.assert(
    fc.property(header, (accept) => {
      const format = formatFor(accept)
      expect(["text", "json", "yaml"]).toContain(format)
      expect(formatFor(accept)).toBe(format)
    }),
  )
})

test("HTML is wanted by those who name it", () => {
  expect(wantsHtml("text/html,application/xhtml+xml,*/*;q=0.8")).toBe(true)
  expect(wantsHtml("application/xml, text/html;q=0.9")).toBe(true)
  for (const accept of [undefined, null, "*/*", "text/*", "text/htmlx", "xtext/html"]) {
    expect(wantsHtml(accept)).toBe(false)
  }
})
