import { describe, expect, test } from "bun:test"
import { formatDiagnostic, Report } from "../diagnostic.ts"
import { MAX_NODES } from "./file.ts"
import { MAX_FILE_CHARACTERS, parseYamlFile } from "./parse.ts"

/** Parses a file and evaluates everything in it. */
function read(text: string, env: Readonly<Record<string, string>> = {}) {
  const report = new Report()
  const file = parseYamlFile({ path: "f", text }, report, env)
  const located = file?.rootEntries()?.map((entry) => {
    return [entry.key, file.evaluate(entry, [entry.key])] as const
  })
  return {
    values: located && Object.fromEntries(located.map(([key, { value }]) => [key, value])),
    positionOf: (key: string, path: (string | number)[], at: "key" | "value" = "value") => {
      const position = new Map(located).get(key)?.position(path, at)
      return position && `${position.line}:${position.column}`
    },
    said: report.list().map(formatDiagnostic),
  }
}

describe("values", () => {
  test("are those of YAML 1.2", () => {
    const { values, said } = read(
      "a: [1, 1.5, true, no, ~, 'x', \"y\", 0x10, 02:00:01]\nb: {c: }\n",
    )
    expect(said).toEqual([])
    expect(values).toEqual({
      a: [1, 1.5, true, "no", null, "x", "y", 16, "02:00:01"],
      b: { c: null },
    })
  })

  test("a variable gives text and never structure", () => {
    const env = { V: "x: [1, {", B: "true" }
    const { values, said } = read(`a: \${V}\nb: [$V, \${B}]\nc: {d: \${V}}\n\${V}: 1\n`, env)
    expect(said).toEqual([])
    expect(values).toEqual({ a: env.V, b: [env.V, "true"], c: { d: env.V }, [env.V]: 1 })
  })

  test("expand in quoted, folded and literal text", () => {
    const { values } = read(`a: '$V'\nb: "\${V}\\n"\nc: >\n  x\n  $V\nd: |\n  $V\n`, { V: "v" })
    expect(values).toEqual({ a: "v", b: "v\n", c: "x v\n", d: "v\n" })
  })

  test("of a key that stands twice, the last counts, at its own place", () => {
    const { values, positionOf } = read("a: {b: 1, c: 2, b: 3}\nd: x\nd: {e: 1}\n")
    expect(values).toEqual({ a: { b: 3, c: 2 }, d: { e: 1 } })
    expect([positionOf("a", ["b"]), positionOf("d", ["e"])]).toEqual(["1:20", "3:8"])
  })

  test("of a file whose .catalog block is no YAML, the rest", () => {
    const page = ".catalog:\n  version: 1\n    questions:\n# a remark\n\n    - a: b\n"
    const { values, said } = read(`${page}a: {b: 1}\n`)
    expect(values).toEqual({ a: { b: 1 } })
    expect(said).toEqual([
      expect.stringMatching(/^f:2:12: warning: the block \.catalog is not YAML and is left out: /),
    ])
    expect(read(`${page}a: {b: 1\n`).values).toBeUndefined()
    expect(read("a: b: c\n.catalog:\n  x: 1\n").values).toBeUndefined()
  })

  test("aliases and merge keys", () => {
    const text = "x: &x {a: 1, b: 2}\ny: *x\nz:\n  <<: *x\n  b: 3\nw:\n  <<: [*x, {c: 4}]\n"
    expect(read(text)).toMatchObject({
      said: [],
      values: { y: { a: 1, b: 2 }, z: { a: 1, b: 3 }, w: { a: 1, b: 2, c: 4 } },
    })
  })

  test("numbers and truth values as keys are text", () => {
    expect(read("a: {80: x, true: y}").values).toEqual({ a: { "80": "x", true: "y" } })
  })

  test("a byte order mark and CRLF change nothing", () => {
    const { values, positionOf } = read("\ufeffa:\r\n  b: 1\r\n")
    expect(values).toEqual({ a: { b: 1 } })
    expect(positionOf("a", ["b"])).toBe("2:6")
  })
})

describe("positions", () => {
  const file = read(`a:\n  b: \${X:-1}\n  c: [x, {d: 2}]\n  e:\nf: 1\n`)

  test.each([
    ["a", ["b"], "key", "2:3"],
    ["a", ["b"], "value", "2:6"],
    ["a", ["c", 0], "value", "3:7"],
    ["a", ["c", 1, "d"], "value", "3:14"],
    ["a", ["e"], "value", "4:3"],
    ["a", ["missing"], "value", "1:1"],
    ["a", ["c", 1, "missing"], "value", "3:10"],
    ["a", ["b", 3], "value", "2:6"],
    ["f", [], "key", "5:1"],
  ] as const)("%p %j, the %s, stands at %s", (key, path, at, position) => {
    expect(file.positionOf(key, [...path], at)).toBe(position)
  })
})

describe("what is wrong is said, with its place", () => {
  test.each([
    [
      "a: 1\nb: 2\na: 3\n",
      "f:3:1: warning: the key a is there twice, first in line 1: this last one counts, remove one of them",
    ],
    ["a:\n\tb: 1\n", "f:2:1: error: YAML: Tabs are not allowed as indentation"],
    ["a: *$X\n", "f:1:4: error: the alias *$X names an anchor that is not there"],
    ["a: *x\n", "f:1:4: error: the alias *x names an anchor that is not there"],
    ["a: &a [1, *a]\n", "f:1:11: error: an alias that contains itself"],
    [
      "a: 1\n---\nb: 1\n",
      "f:2:1: error: a second YAML document begins here, use one file for each",
    ],
    ["- 1\n", "f:1:1: error: the root of the file must be a map, is a list"],
    ["text\n", 'f:1:1: error: the root of the file must be a map, is "text"'],
    ["a: x\u0000y\n", "f:1:5: error: a control character U+0000, is this a text in UTF-8"],
    ["a: x\ufffdy\n", "f:1:5: error: bytes that are not UTF-8, save the file as UTF-8"],
    ["a: \ue123\n", "f:1:4: warning: a private-use character, which is read as U+FFFD"],
    ["a:\n  __proto__: {x: 1}\n", "f:2:3: error: __proto__ cannot be a key, it is ignored"],
    ["a:\n  [1]: 2\n", "f:2:3: error: a key must be text"],
    ["a:\n  <<: 5\n", "f:2:3: error: the merge key << wants a map or a list of maps"],
    [
      "a: 5$ off\n",
      'f:1:4: warning: a lone $ in "5$ off", write $NAME for a variable, $$ for a dollar sign',
    ],
    [
      'a:\n{{- if eq .Values.X "y" }}\n  b: 1\n{{- end }}\n',
      'f:2:1: error: the file is a template: "{{- if eq .Values.X \\"y\\" }}" stands for whole lines, render the template first, then give the result',
    ],
    [
      "a: {{ .Values.X }}\n",
      "f:1:4: error: the Go template {{ .Values.X }} stands where a value is wanted, render the template first, or write the value in its place",
    ],
    ["a: !!js/function x\n", "f:1:4: warning: YAML: Unresolved tag: tag:yaml.org,2002:js/function"],
    [
      "x".repeat(MAX_FILE_CHARACTERS + 1),
      `f:1:1: error: the file is larger than ${MAX_FILE_CHARACTERS} characters`,
    ],
  ])("%j", (text, line) => {
    expect(read(text).said).toContain(line)
  })

  test("a key __proto__ leaves every prototype alone", () => {
    const { values } = read(
      "__proto__: {polluted: 1}\na:\n  __proto__: {polluted: 1}\n  constructor: {prototype: {polluted: 1}}\n",
    )
    expect(Object.hasOwn({}, "polluted")).toBe(false)
    expect("polluted" in {}).toBe(false)
    expect(Object.getPrototypeOf(values?.a)).toBe(Object.prototype)
  })

  test("nothing is said about comments and parts that nobody reads", () => {
    const report = new Report()
    const text = "# $NONE {{ x }}\na: 1\nb: [$NONE, *none, {{ .x }}, {c: 1, c: 2}]\n"
    const file = parseYamlFile({ path: "f", text }, report, {})
    expect(file?.rootEntries()?.map(({ key }) => key)).toEqual(["a", "b"])
    expect(report.list()).toEqual([])
  })
})

describe("bombs", () => {
  test("of aliases stop at a bound", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for (let i = 1; i < 20; i++) {
      lines.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(", ")}]`)
    }
    expect(read(lines.join("\n")).said).toContainEqual(
      expect.stringContaining(`more than ${MAX_NODES} values`),
    )
  })

  test("of merge keys stop at a bound", () => {
    const lines = ["a0: &a0 {x: 1}"]
    for (let i = 1; i < 60; i++) {
      lines.push(
        `a${i}: &a${i}`,
        `  <<: [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(", ")}]`,
      )
    }
    expect(read(lines.join("\n")).said).toContainEqual(
      expect.stringContaining("the merge keys << expand to too much"),
    )
  })

  test("a merge key that contains itself ends", () => {
    expect(read("a: &a\n  <<: *a\n  b: 1\n").said.length).toBeGreaterThan(0)
  })

  test.each(["[", "{", "- ", "? ", "a: [", "!a ", "&a ", "*a ", '"', "${", "a:\n ", "<<: "])(
    "60,000 times %j ends with a word",
    (piece) => {
      expect(read(`a: ${piece.repeat(60_000)}`).said.length).toBeGreaterThan(0)
    },
  )
})
