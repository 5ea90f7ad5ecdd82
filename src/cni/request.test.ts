import { expect, test } from "bun:test"
import fc from "fast-check"
import { CniError } from "./error.ts"
import { answerVersion, readRequest } from "./request.ts"

const env = {
  command: "ADD",
  containerId: "c1",
  netns: "/run/netns/c1",
  ifname: "eth0",
  args: "IP=10.42.0.9",
  path: "/opt/cni/bin",
  netnsOverride: true,
}
const config = { cniVersion: "1.0.0", name: "n", type: "rancher-bridge" }
const good = { op: "cni", role: "bridge", env, config }

test("what the plugin sends is taken, with the version beside it", () => {
  expect(readRequest(good)).toEqual({ ...good, version: "1.0.0" } as never)
  const ipamResult = { ips: [] }
  expect(readRequest({ ...good, role: "ipam", ipamResult })).toMatchObject({
    role: "ipam",
    ipamResult,
  })
})

test.each([
  ["no object", null, 6, "it is null"],
  ["a strange role", { ...good, role: "main" }, 6, 'role is "main"'],
  ["no variables", { ...good, env: undefined }, 6, "env is undefined"],
  ["a variable that is no text", { ...good, env: { ...env, netns: 5 } }, 6, "env.netns is 5"],
  ["a variable with a NUL", { ...good, env: { ...env, netns: "a\0b" } }, 6, "env.netns is"],
  ["a missing variable", { ...good, env: { ...env, netns: "" } }, 4, "CNI_NETNS is missing"],
  ["no configuration", { ...good, config: [] }, 6, "config is a list"],
  ["a result that is none", { ...good, ipamResult: null }, 6, "ipamResult is null"],
  ["no network name", { ...good, config: { cniVersion: "1.0.0" } }, 7, "name is missing"],
  ["a strange version", { ...good, config: { ...config, cniVersion: 1 } }, 1, "cniVersion 1"],
])("%s is refused", (_what, request, code, words) => {
  let thrown: unknown
  try {
    readRequest(request)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(CniError)
  expect(thrown).toMatchObject({ cniCode: code, message: expect.stringContaining(words) })
})

test("whatever is sent is taken or refused with a CniError, and has a version to answer in", () => {
  const part = fc.oneof(fc.jsonValue(), fc.constant(env), fc.constant(config))
  const request = fc.oneof(
    fc.jsonValue(),
    fc.record({ role: fc.constantFrom("bridge", "x"), env: part, config: part, ipamResult: part }),
  )
  fc.assert(
    fc.property(request, (value) => {
      expect(answerVersion(value)).toMatch(/^\d\.\d\.\d$/)
      try {
        readRequest(value)
      } catch (error) {
        expect(error).toBeInstanceOf(CniError)
      }
    }),
    { numRuns: 1000 },
  )
})

test("the version to answer in is the configuration's where it has a good one", () => {
  expect(answerVersion(good)).toBe("1.0.0")
  expect(answerVersion({ config: { cniVersion: "7" } })).toBe("1.1.0")
  expect(answerVersion(undefined)).toBe("1.1.0")
})
