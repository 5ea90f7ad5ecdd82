import { expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import {
  CNI_CODES,
  CniError,
  errorJson,
  errorLine,
  errorResponse,
  isErrorCode,
  toCniError,
} from "./error.ts"

test("the specification's numbers mean what it says", () => {
  const spec = {
    "version-unsupported": 1,
    "field-unsupported": 2,
    "not-attached": 3,
    environment: 4,
    io: 5,
    decode: 6,
    "config-invalid": 7,
    "netns-invalid": 8,
    "agent-away": 11,
    busy: 11,
  }
  expect(CNI_CODES).toMatchObject(spec)
})

test("our own numbers are 100 and above, and each is used once", () => {
  const own = Object.values(CNI_CODES).filter((code) => code > 11)
  expect(own.every((code) => code >= 100 && code < 999)).toBe(true)
  expect(new Set(own).size).toBe(own.length)
})

test("a LariatError keeps its words and gets its number", () => {
  const error = new LariatError("Cannot attach c1/eth0: no address is left", {
    code: "pool-exhausted",
    hint: "enlarge the subnet",
  })
  expect(errorJson("0.4.0", error)).toEqual({
    cniVersion: "0.4.0",
    code: 101,
    msg: "Cannot attach c1/eth0: no address is left",
    details: "enlarge the subnet",
  })
  expect(toCniError(error).cause).toBe(error)
})

test("an explicit number and details win over the code's and the hint", () => {
  const error = new CniError("Cannot serve", {
    code: "pool-exhausted",
    cniCode: 50,
    details: "10.42.0.0/16 has no address left",
    hint: "enlarge the subnet",
  })
  expect(errorJson("1.1.0", error)).toMatchObject({
    code: 50,
    details: "10.42.0.0/16 has no address left",
  })
  expect(errorLine(error)).toBe("lariat: Cannot serve. Enlarge the subnet")
  expect(toCniError(error)).toBe(error)
})

test.each([
  ["an Error", new TypeError("x is not a function")],
  ["a text", "x is not a function"],
])("%s that is thrown counts as a fault of ours", (_what, thrown) => {
  const json = errorJson("1.0.0", thrown)
  expect(json.code).toBe(100)
  expect(json.msg).toContain("x is not a function")
  expect(json.details).toContain("report")
})

test("an error without a hint has no details, and its line ends with one full stop", () => {
  const error = new LariatError("Cannot do it: no.", { code: "io" })
  expect(errorJson("1.0.0", error)).toEqual({
    cniVersion: "1.0.0",
    code: 5,
    msg: "Cannot do it: no.",
  })
  expect(errorLine(error)).toBe("lariat: Cannot do it: no.")
})

test("hostile text stays one bounded line", () => {
  const error = new LariatError(`Cannot read "a\nb\u001b[31m\u2028c${"x".repeat(10_000)}"`, {
    code: "decode",
    hint: "try\r\nagain",
  })
  const line = errorLine(error)
  expect(line).toStartWith('lariat: Cannot read "a b [31m cxxx')
  expect(line).toEndWith("Try again")
  expect(line.length).toBeLessThan(5000)
})

test("only our codes are error codes", () => {
  expect(isErrorCode("busy")).toBe(true)
  expect([isErrorCode("toString"), isErrorCode(11), isErrorCode(undefined)]).toEqual([
    false,
    false,
    false,
  ])
})

test("a failure as an answer has its JSON, its line and exit code 1", () => {
  const error = new LariatError("Cannot do it: no", { code: "busy", hint: "wait" })
  expect(errorResponse("1.0.0", error)).toEqual({
    exit: 1,
    stdout: '{"cniVersion":"1.0.0","code":11,"msg":"Cannot do it: no","details":"wait"}\n',
    stderr: "lariat: Cannot do it: no. Wait\n",
  })
})
