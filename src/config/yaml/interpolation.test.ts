import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { expand, mask, RESERVED_CHARACTERS, unmask } from "./interpolation.ts"

const ENV = { A: "one", B: "two words", EMPTY: "", INNER: `\${A}`, UNSET: undefined }

function substitute(text: string, env: Readonly<Record<string, string | undefined>> = ENV) {
  const remarks: string[] = []
  const masked = mask(text)
  const value = expand(masked.text, masked.expressions, env, (severity, offset, message) => {
    remarks.push(`${offset} ${severity}: ${message}`)
  })
  return { value, remarks }
}

describe("expand follows Compose", () => {
  test.each([
    ["no variable", "no variable"],
    ["$A", "one"],
    [`\${A}`, "one"],
    [`/\${A}/$B!`, "/one/two words!"],
    ["$$", "$"],
    [`$$A $\${A}`, `$A \${A}`],
    ["$$$A", "$one"],
    [`\${A:-default}`, "one"],
    [`\${EMPTY:-default}`, "default"],
    [`\${EMPTY-default}`, ""],
    [`\${UNSET:-default}`, "default"],
    [`\${UNSET-a: b #c}`, "a: b #c"],
    [`\${UNSET:-}`, ""],
    [`\${UNSET:-\${A}}`, "one"],
    [`\${UNSET:-\${UNSET:-\${B}}}x`, "two wordsx"],
    [`\${A:+there}`, "there"],
    [`\${EMPTY:+there}`, ""],
    [`\${EMPTY+there}`, "there"],
    [`\${UNSET+there}`, ""],
    [`\${A:?must be set}`, "one"],
    [`\${INNER}`, `\${A}`],
    ["a $ b", "a $ b"],
    ["5$", "5$"],
    ["$1", "$1"],
  ])("%p gives %p", (text, value) => {
    expect(substitute(text)).toEqual({ value, remarks: [] })
  })

  test.each([
    ["x $UNSET y", "x  y", "2 warning: the variable UNSET is not set, an empty text stands for it"],
    [`\${EMPTY:?give it}`, "", "0 error: the variable EMPTY is not set"],
    [`\${1A}`, "", `0 error: \${1A} is no variable`],
    [`\${}`, "", `0 error: \${} is no variable`],
    [`\${A:=b}`, "", `0 error: \${A:=b} is no variable`],
    [`\${A`, "A", `0 error: \${ is no variable`],
    [
      "{{ .Values.MTU }}",
      "",
      "0 error: the Go template {{ .Values.MTU }} stands where a value is wanted",
    ],
  ])("%p gives %p and says %p", (text, value, remark) => {
    expect(substitute(text)).toEqual({ value, remarks: [remark] })
  })

  test("names the variable that was meant", () => {
    expect(substitute("$SUBENT", { SUBNET: "x" }).remarks[0]).toContain("did you mean SUBNET")
  })

  test("knows own variables only", () => {
    expect(substitute(`\${constructor}\${__proto__}`, {}).remarks).toHaveLength(2)
  })

  test("refuses defaults that nest too deeply", () => {
    const deep = `\${X:-`.repeat(30) + "}".repeat(30)
    expect(substitute(deep, {}).remarks).toHaveLength(1)
  })
})

describe("mask", () => {
  const piece = fc.constantFrom(
    "$",
    "{",
    "}",
    `\${`,
    "$$",
    "A",
    ":-",
    " ",
    "\n",
    "{{",
    "}}",
    "x: y",
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
    fc.string().filter((value) => value.search(RESERVED_CHARACTERS) < 0),
  )

  test("keeps the length and the lines, and can be undone", () => {
    fc.assert(
      fc.property(text, (value) => {
        const masked = mask(value)
        expect(masked.text).toHaveLength(value.length)
        expect(masked.text.split("\n").map((line) => line.length)).toEqual(
          value.split("\n").map((line) => line.length),
        )
        expect(unmask(masked.text, masked.expressions)).toBe(value)
      }),
      { numRuns: 2000 },
    )
  })

  test("leaves no brace of an expression for YAML to see", () => {
    expect(mask(`[\${A}, {{ .B }}]`).text).not.toMatch(/[${}]/)
  })

  test("numbers more expressions than one placeholder character could", () => {
    const names = Array.from({ length: 5000 }, (_, i) => `V${i}`)
    const env = Object.fromEntries(names.map((name) => [name, name.toLowerCase()]))
    const { value } = substitute(names.map((name) => `$${name}`).join(" "), env)
    expect(value).toBe(names.map((name) => name.toLowerCase()).join(" "))
  })

  test.each([`\${`, "{{", "$", `\${A:-`])("reads 200,000 characters of %p", (piece) => {
    const long = piece.repeat(200_000 / piece.length)
    expect(mask(long).text).toHaveLength(long.length)
  })
})
