import { expect, test } from "bun:test"
import { resolveHostLabels } from "./host_label.ts"

function resolve(conf: Record<string, unknown>, labels: Record<string, string>) {
  const missing: string[] = []
  const resolved = resolveHostLabels(conf, labels, (label, path) => {
    missing.push(`${path.join(".")}=${label}`)
  })
  return { resolved, missing }
}

test("labels are put in through maps, not through lists", () => {
  const conf = {
    a: "__host_label__:site",
    b: { c: { d: "__host_label__: site" } },
    e: ["__host_label__:site", { f: "__host_label__:site" }],
    g: "x __host_label__:site",
    h: 5,
    i: null,
  }
  expect(resolve(conf, { site: "7" })).toEqual({
    resolved: { ...conf, a: "7", b: { c: { d: "7" } } },
    missing: [],
  })
})

test("a label that is missing gives the empty text", () => {
  expect(resolve({ a: { b: "__host_label__:none" } }, {})).toEqual({
    resolved: { a: { b: "" } },
    missing: ["a.b=none"],
  })
})

test("only own labels count", () => {
  expect(resolve({ a: "__host_label__:constructor" }, {}).resolved).toEqual({ a: "" })
})
