import { expect, test } from "bun:test"
import { CniError } from "./error.ts"
import {
  atLeast,
  CNI_VERSIONS,
  type CniCommand,
  type CniVersion,
  isCniVersion,
  readVersion,
  requireCommand,
  resultShape,
  versionReply,
} from "./version.ts"

test("the order of versions is total", () => {
  for (const [i, version] of CNI_VERSIONS.entries()) {
    for (const [j, other] of CNI_VERSIONS.entries()) {
      expect(atLeast(version, other)).toBe(i >= j)
    }
  }
})

test("a configuration that says no version means 0.1.0, and a result what its asker says", () => {
  expect(readVersion(undefined)).toBe("0.1.0")
  expect(readVersion("")).toBe("0.1.0")
  expect(readVersion(undefined, "1.0.0")).toBe("1.0.0")
  expect(readVersion("0.3.1", "1.0.0")).toBe("0.3.1")
})

test.each([
  ["2.0.0", '"2.0.0": this plugin does not speak it'],
  ["1.1", '"1.1": this plugin does not speak it'],
  [1, "1: a version is a text"],
  [null, "null: a version is a text"],
  [["1.0.0"], "a list: a version is a text"],
])("cniVersion %p is refused with code 1", (value, words) => {
  let thrown: unknown
  try {
    readVersion(value)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(CniError)
  expect(thrown).toMatchObject({ cniCode: 1, message: expect.stringContaining(words) })
  expect(isCniVersion(value)).toBe(false)
})

test("commands exist from their version on", () => {
  const since: readonly (readonly [CniCommand, CniVersion])[] = [
    ["ADD", "0.1.0"],
    ["DEL", "0.1.0"],
    ["VERSION", "0.1.0"],
    ["CHECK", "0.4.0"],
    ["GC", "1.1.0"],
    ["STATUS", "1.1.0"],
  ]
  for (const [command, first] of since) {
    for (const version of CNI_VERSIONS) {
      const ask = () => requireCommand(command, version)
      if (atLeast(version, first)) expect(ask).not.toThrow()
      else expect(ask).toThrow(`Cannot run ${command}: it does not exist in cniVersion ${version}`)
    }
  }
})

test("result shapes by version", () => {
  const shapes = CNI_VERSIONS.map((version) => {
    const { perFamily, ipVersion, extended } = resultShape(version)
    return `${version} ${perFamily ? "ip4/ip6" : "ips"}${ipVersion ? " version" : ""}${extended ? " extended" : ""}`
  })
  expect(shapes).toEqual([
    "0.1.0 ip4/ip6",
    "0.2.0 ip4/ip6",
    "0.3.0 ips version",
    "0.3.1 ips version",
    "0.4.0 ips version",
    "1.0.0 ips",
    "1.1.0 ips extended",
  ])
})

test("VERSION names every version", () => {
  expect(versionReply()).toEqual({ cniVersion: "1.1.0", supportedVersions: [...CNI_VERSIONS] })
})
