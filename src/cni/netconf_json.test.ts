import { expect, test } from "bun:test"
import { CniError } from "./error.ts"
import { MAX_DEPTH } from "./json.ts"
import { checkNetconf, decodeNetconf } from "./netconf_json.ts"

function refusal(run: () => unknown): CniError {
  try {
    run()
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error("it was accepted")
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

test("an object is given back as it is", () => {
  const config = { name: "n", unknown: { deep: [1, null] }, 'hairpinMode"': true }
  expect(decodeNetconf(bytes(`\n ${JSON.stringify(config)} \n`))).toEqual(config)
})

test.each([
  ["empty", bytes(""), "standard input is empty"],
  ["white space", bytes(" \n"), "not JSON"],
  ["cut", bytes('{"name":"n"'), "not JSON"],
  ["trailing comma", bytes('{"name":"n",}'), "not JSON"],
  ["two documents", bytes("{} {}"), "not JSON"],
  ["null", bytes("null"), "it is null, not an object"],
  ["list", bytes("[{}]"), "it is a list, not an object"],
  ["text", bytes('"x"'), 'it is "x", not an object'],
  ["number", bytes("17"), "it is 17, not an object"],
  ["invalid UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), "not UTF-8"],
  ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00), "not UTF-8"],
  ["NUL bytes", new Uint8Array(64), "not JSON"],
  ["deep", bytes(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`), "levels deep"],
])("%s is refused with code 6", (_name, input, words) => {
  const { cniCode, message, hint } = refusal(() => decodeNetconf(input))
  expect(cniCode).toBe(6)
  expect(message).toStartWith("Cannot read the network configuration: ")
  expect(message).toContain(words)
  expect(hint).toBe("send one JSON object on standard input")
})

test("nesting is accepted up to the bound", () => {
  const nested = (levels: number) => bytes(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`)
  expect(decodeNetconf(nested(MAX_DEPTH))).toBeObject()
  expect(() => decodeNetconf(nested(MAX_DEPTH + 1))).toThrow("levels deep")
})

test("the version comes back, 0.1.0 where none is said", () => {
  expect(checkNetconf("ADD", { cniVersion: "1.0.0", name: "n" })).toBe("1.0.0")
  expect(checkNetconf("ADD", { name: "n" })).toBe("0.1.0")
})

test.each([
  ["ADD", 1, "does not speak it", { cniVersion: "9.0.0", name: "n" }],
  ["ADD", 1, "a version is a text", { cniVersion: 1, name: "n" }],
  ["CHECK", 1, "CHECK", { cniVersion: "0.3.1", name: "n", prevResult: {} }],
  ["GC", 1, "GC", { cniVersion: "1.0.0", name: "n" }],
  ["STATUS", 1, "STATUS", { cniVersion: "1.0.0", name: "n" }],
  ["ADD", 7, "its name is missing", { cniVersion: "1.0.0" }],
  ["ADD", 7, "its name is missing", { cniVersion: "1.0.0", name: "" }],
  ["DEL", 7, "its name 5 is not", { cniVersion: "1.0.0", name: 5 }],
  ["ADD", 7, 'its name "a/b" is not', { cniVersion: "1.0.0", name: "a/b" }],
  ["CHECK", 7, "prevResult is missing", { cniVersion: "1.0.0", name: "n" }],
  ["CHECK", 7, "prevResult is missing", { cniVersion: "1.0.0", name: "n", prevResult: [] }],
] as const)("%s is refused with code %i: %s", (command, code, words, config) => {
  const { cniCode, message } = refusal(() => checkNetconf(command, config))
  expect(cniCode).toBe(code)
  expect(message).toContain(words)
})

test("DEL and GC need no previous result", () => {
  expect(checkNetconf("DEL", { cniVersion: "1.1.0", name: "n" })).toBe("1.1.0")
  expect(checkNetconf("GC", { cniVersion: "1.1.0", name: "n" })).toBe("1.1.0")
})
