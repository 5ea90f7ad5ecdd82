import { describe, expect, test } from "bun:test"
import {
  formatDiagnostic,
  hasErrors,
  MAX_DIAGNOSTICS,
  pathText,
  Report,
  showValue,
} from "./diagnostic.ts"
import type { Diagnostic } from "./network.ts"

function remark(changes: Partial<Diagnostic> = {}): Diagnostic {
  return {
    severity: "warning",
    position: { file: "a.yml", line: 3, column: 7 },
    path: ["a"],
    message: "it is odd",
    ...changes,
  }
}

describe("formatDiagnostic", () => {
  test("writes file, line, column, severity, what and hint", () => {
    expect(formatDiagnostic(remark({ hint: "did you mean even" }))).toBe(
      "a.yml:3:7: warning: it is odd, did you mean even",
    )
    expect(formatDiagnostic(remark({ severity: "error" }))).toBe("a.yml:3:7: error: it is odd")
  })

  test("stays one line whatever the file says", () => {
    const line = formatDiagnostic(remark({ message: "x\nb.yml:1:1: error: forged\u001b[2J\u2028" }))
    expect(line).toBe("a.yml:3:7: warning: x\\u000ab.yml:1:1: error: forged\\u001b[2J\\u2028")
  })
})

test("hasErrors tells errors from warnings", () => {
  expect(hasErrors([])).toBe(false)
  expect(hasErrors([remark()])).toBe(false)
  expect(hasErrors([remark(), remark({ severity: "error" })])).toBe(true)
})

test("pathText writes keys and indices", () => {
  expect(pathText(["ipam", "routes", 0, "dst"])).toBe("ipam.routes[0].dst")
  expect(pathText([])).toBe("")
})

test("showValue tells the kinds of value apart", () => {
  expect(["98", 98, true, null, undefined, [], [1], {}].map(showValue)).toEqual([
    '"98"',
    "98",
    "true",
    "empty",
    "missing",
    "an empty list",
    "a list",
    "a map",
  ])
  expect(showValue("x".repeat(1000)).length).toBeLessThan(70)
})

describe("Report", () => {
  test("keeps each remark once", () => {
    const report = new Report()
    report.add(remark())
    report.add(remark())
    report.add(remark({ message: "another" }))
    expect(report.list()).toHaveLength(2)
  })

  test("never loses that there was an error", () => {
    const report = new Report()
    for (let i = 0; i < MAX_DIAGNOSTICS; i++) report.add(remark({ message: `warning ${i}` }))
    report.add(remark({ message: "one more" }))
    expect(hasErrors(report.list())).toBe(false)
    report.add(remark({ severity: "error", message: "the worst" }))
    report.add(remark({ message: "and more" }))
    expect(report.list()).toHaveLength(MAX_DIAGNOSTICS + 1)
    expect(hasErrors(report.list())).toBe(true)
    expect(report.list().at(-1)?.message).toBe("the worst (and more, which are not shown)")
  })
})
