import { expect, test } from "bun:test"
import fc from "fast-check"
import { parse } from "yaml"
import { NIL_LIST, type Tree } from "./lookup.ts"
import { goText, renderJson, renderParts, renderText, renderYaml } from "./render.ts"

const LONG = 1_000_000

/** Any value of a tree. */
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.constant(null),
    fc.array(tie("tree"), { maxLength: 5 }),
    fc.dictionary(fc.string(), tie("tree"), { maxKeys: 5, noNullPrototype: true }),
  ),
}))

test("scalars are raw, null is empty", () => {
  expect(renderText("a b")).toBe("a b")
  expect(renderText(2.5)).toBe("2.5")
  expect(renderText(true)).toBe("true")
  expect(renderText(null)).toBe("")
})

test("a map lists its sorted, escaped keys and marks what can be entered", () => {
  const map = { foo: {}, b: 1, l: [], nul: null, "with/slash": "x", "with space": "y" }
  expect(renderText(map)).toBe("b\nfoo/\nl/\nnul\nwith%2Fslash\nwith+space\n")
})

test("a list shows names where elements have them", () => {
  expect(renderText([1, 2.5, { name: "item" }, ["x"], null])).toBe("0\n1\n2=item\n3/\n4\n")
  expect(renderText([{ uuid: "u" }, { x: 1 }])).toBe("0=u\n1/\n")
})

test("a line of text is one key, whatever is in it", () => {
  expect(renderText({ "a\nb": 1, "c%\r/": 2 })).toBe("a%0Ab\nc%25%0D%2F\n")
  expect(renderText([{ name: "x\n1=y" }])).toBe("0=x%0A1%3Dy\n")
  expect(renderText({ "lone \ud800": 1 })).toBe("lone+%EF%BF%BD\n")
})

/** A tree as the API's: records below the keys of lists. */
const { node } = fc.letrec<{ node: Tree }>((tie) => ({
  node: fc.dictionary(
    fc.oneof(fc.constantFrom("services", "containers", "self", "service", "metadata"), fc.string()),
    fc.oneof({ maxDepth: 3 }, tree, fc.array(tie("node"), { maxLength: 4 }), tie("node")),
    { maxKeys: 5, noNullPrototype: true },
  ),
}))

test("parts put together are the whole, in every format", () => {
  fc.assert(
    fc.property(fc.oneof(node, fc.array(node), tree), (value) => {
      expect([...renderParts(value, "text")].join("")).toBe(renderText(value))
      expect([...renderParts(value, "json")].join("")).toBe(renderJson(value))
      expect([...renderParts(value, "yaml")].join("")).toBe(renderYaml(value))
    }),
    { numRuns: 60 },
  )
})

test("no part has more than one record, however deep it stands", () => {
  const containers = Array.from({ length: 100 }, (_, n) => ({ name: `container-${n}`, label: "x" }))
  const services = [{ name: "web", containers }]
  const value = { self: { service: services[0] ?? null }, stacks: [{ services }], services }
  for (const format of ["json", "yaml"] as const) {
    const parts = [...renderParts(value, format)]
    expect(parts.length).toBeGreaterThan(300)
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThan(100)
  }
})

test("JSON has sorted keys at every depth and no raw HTML characters", () => {
  expect(renderJson({ b: "<a&b>", a: [{ d: 1, c: null }] })).toBe(
    '{"a":[{"c":null,"d":1}],"b":"\\u003ca\\u0026b\\u003e"}',
  )
})

test("JSON says what the value is", () => {
  fc.assert(
    fc.property(tree, (value) => {
      const text = renderJson(value)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(text).not.toMatch(/[<>&\u2028\u2029]/)
    }),
  )
})

test("YAML says what the value is", () => {
  const words = fc.constantFrom(
    "yes",
    "no",
    "null",
    "~",
    "1e3",
    "0x1",
    "- a",
    "a: b",
    "#c",
    " x ",
    "1:30",
  )
  fc.assert(
    fc.property(fc.oneof(tree, words, fc.array(words), fc.dictionary(words, words)), (value) => {
      expect(parse(renderYaml(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test("YAML has sorted keys, and lists on the level of their key", () => {
  expect(renderYaml({ b: ["x", "z"], a: { d: 1, c: null } })).toBe(
    "a:\n  c: null\n  d: 1\nb:\n- x\n- z\n",
  )
})

test("texts that readers of YAML 1.1 take for something else are quoted", () => {
  expect(renderYaml({ y: "yes", n: "no", o: "on", t: "1:30", i: "0777", s: "plain" })).toBe(
    'i: "0777"\n"n": "no"\no: "on"\ns: plain\nt: "1:30"\n"y": "yes"\n',
  )
})

test("a list that there is none of is null to programs, at any depth", () => {
  expect(renderJson({ a: NIL_LIST })).toBe('{"a":null}')
  expect(renderYaml({ a: [{ b: NIL_LIST }] })).toBe("a:\n- b: null\n")
  expect(renderText(NIL_LIST)).toBe("")
})

test("Go's text of a value", () => {
  const value = { b: ["x", null, true], a: { n: 2.5, small: 0.00001, tiny: 1.5e-7, big: 1e21 } }
  expect(goText(value, LONG)).toBe(
    "map[a:map[big:1e+21 n:2.5 small:1e-05 tiny:1.5e-07] b:[x <nil> true]]",
  )
  expect(goText("raw", LONG)).toBe("raw")
  expect(goText([], LONG)).toBe("[]")
})

test("Go's text is cut soon after what is asked for, and whole below it", () => {
  fc.assert(
    fc.property(tree, fc.nat(200), (value, most) => {
      const [whole, cut] = [goText(value, LONG), goText(value, most)]
      if (whole.length <= most) expect(cut).toBe(whole)
      else expect(cut.length).toBeGreaterThan(most)
    }),
  )
  const long = Array.from({ length: 10_000 }, () => "xxxx")
  expect(goText([long, long], 100).length).toBeLessThan(120)
})
