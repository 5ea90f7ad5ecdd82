import { expect, test } from "bun:test"
import { type Environment, ifnameFault, isIdentifier, readEnvironment } from "./environment.ts"
import { CniError } from "./error.ts"

const attachment: Environment = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/c1",
  CNI_IFNAME: "eth0",
}

function refusal(env: Environment): CniError {
  try {
    readEnvironment(env)
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error("it was accepted")
}

test("all variables are read; CNI_PATH and CNI_ARGS may be absent", () => {
  expect(readEnvironment({ ...attachment, CNI_COMMAND: "ADD" })).toEqual({
    command: "ADD",
    containerId: "c1",
    netns: "/run/netns/c1",
    ifname: "eth0",
    args: "",
    path: "",
    netnsOverride: false,
  })
  const env = { ...attachment, CNI_COMMAND: "CHECK", CNI_ARGS: "IP=10.42.0.9", CNI_PATH: "/a:/b" }
  expect(readEnvironment(env)).toMatchObject({ args: "IP=10.42.0.9", path: "/a:/b" })
})

test.each(["GC", "STATUS", "VERSION"])("%s needs no variable but its name", (command) => {
  expect(readEnvironment({ CNI_COMMAND: command }).command).toBe(command as "GC")
})

test("DEL needs no namespace, and ignores arguments that it cannot read", () => {
  const env = { CNI_COMMAND: "DEL", CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0", CNI_ARGS: "junk" }
  expect(readEnvironment(env).netns).toBe("")
})

test.each([
  ["1", true],
  ["true", true],
  ["TRUE", true],
  ["0", false],
  ["yes", false],
  ["", false],
])("CNI_NETNS_OVERRIDE=%p is %p", (value, expected) => {
  const env = { ...attachment, CNI_COMMAND: "ADD", CNI_NETNS_OVERRIDE: value }
  expect(readEnvironment(env).netnsOverride).toBe(expected)
})

test.each([
  ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]],
])("a bare %s is refused, naming all that is missing", (command, names) => {
  const { cniCode, message, hint } = refusal({ CNI_COMMAND: command, CNI_NETNS: "" })
  expect(cniCode).toBe(4)
  expect(message).toBe(`Cannot run ${command}: ${names.join(" is missing; ")} is missing`)
  expect(hint).toBeString()
})

test("missing and wrong variables are named together", () => {
  const { message } = refusal({
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "../c1",
    CNI_IFNAME: "a/b",
    CNI_ARGS: "junk",
  })
  expect(message).toBe(
    'Cannot run ADD: CNI_NETNS is missing; CNI_CONTAINERID "../c1" is not letters, digits, "_", ' +
      '"." and "-" after a letter or digit; CNI_IFNAME "a/b" cannot name an interface: it has one ' +
      'of / : %; CNI_ARGS has "junk", which is not KEY=value',
  )
})

test.each(["", "add", "FROB", "__proto__"])("CNI_COMMAND %p is refused with code 4", (command) => {
  const { cniCode, message } = refusal({ ...attachment, CNI_COMMAND: command })
  expect(cniCode).toBe(4)
  expect(message).toContain("there is no such command")
})

test.each([
  ["c1", true],
  ["0a_b.C-d", true],
  ["", false],
  ["-a", false],
  [".a", false],
  ["a b", false],
  ["a\n", false],
  ["é", false],
  ["a/b", false],
])("%p as an identifier: %p", (text, expected) => {
  expect(isIdentifier(text)).toBe(expected)
})

test.each(["eth0", "a", "exactly15bytes_", "ens3f0.100", "ÿÿ"])("%p names an interface", (name) => {
  expect(ifnameFault(name)).toBeUndefined()
})

test.each([
  ["", "empty"],
  ["sixteen_bytes_xx", "longer than 15 bytes"],
  ["éééxxxxxxé", undefined],
  ["éééééééé", "longer than 15 bytes"],
  [".", "directory"],
  ["..", "directory"],
  ["a/b", "one of"],
  ["eth0:1", "one of"],
  ["eth%d", "one of"],
  ["a b", "white space"],
  ["a\tb", "white space"],
  ["a\u2003b", "white space"],
  ["a\u0085", "white space"],
  ["a\u0001", "control characters"],
  // U+00E0 is the bytes c3 a0, and the kernel takes a0 for a space.
  ["\u00e0", "white space"],
])("%p as an interface name: %p", (name, fault) => {
  if (fault === undefined) expect(ifnameFault(name)).toBeUndefined()
  else expect(ifnameFault(name)).toContain(fault)
})
