import { expect, test } from "bun:test"
import { logLevel, logLine } from "./logging.ts"

const record = {
  category: ["lariat"],
  level: "info",
  message: ["attached ", "c1\nfatal: forged", ""],
  rawMessage: "",
  timestamp: 0,
  properties: {},
} as const

test("a record is one line, whatever is in it", () => {
  expect(logLine(record, true)).toBe("1970-01-01T00:00:00.000Z info: attached c1 fatal: forged\n")
  expect(logLine(record, false)).toBe("info: attached c1 fatal: forged\n")
})

test("an unknown level is refused with those that are known", () => {
  expect(logLevel("warning")).toBe("warning")
  expect(() => logLevel("loud")).toThrow('"loud"')
})
