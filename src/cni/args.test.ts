import { expect, test } from "bun:test"
import fc from "fast-check"
import { malformedArgs, parseArgs } from "./args.ts"

test.each([
  ["", {}],
  [";", {}],
  ["IP=10.42.0.9", { IP: "10.42.0.9" }],
  ["IgnoreUnknown=1;K8S_POD_NAME=web-0;", { IgnoreUnknown: "1", K8S_POD_NAME: "web-0" }],
  ["A=b=c;A=", { A: "" }],
  ["__proto__=x", { ["__proto__"]: "x" }],
])("%p is read", (text, args) => {
  expect([...parseArgs(text)]).toEqual(Object.entries(args))
})

test.each(["IP", "=x", "A=1;B;C=2", "A=1; "])("%p is refused with code 4", (text) => {
  expect(() => parseArgs(text)).toThrow("is not KEY=value")
  expect(malformedArgs(text)).toHaveLength(1)
})

test("pairs that are written are read again", () => {
  const key = fc.stringMatching(/^[A-Za-z0-9_]+$/)
  const value = fc.stringMatching(/^[^;]*$/)
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([k]) => k }), (pairs) => {
      const text = pairs.map(([k, v]) => `${k}=${v}`).join(";")
      expect([...parseArgs(text)]).toEqual(pairs)
    }),
  )
})
