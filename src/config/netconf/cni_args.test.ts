import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { parseCniArgs } from "./cni_args.ts"

describe("what is right", () => {
  test.each([
    ["", {}],
    [";;", {}],
    ["IgnoreUnknown=1;DOCKER=true", { IgnoreUnknown: "1", DOCKER: "true" }],
    ["IPAddress=10.42.0.9/16", { IPAddress: "10.42.0.9/16" }],
    ["IP=10.42.0.9,FD00::9", { IP: "10.42.0.9,fd00::9" }],
    ["MACAddress=02-00-01-AA-bb-cc", { MACAddress: "02:00:01:aa:bb:cc" }],
    ["MAC=", { MAC: "" }],
    [
      "LinkMTUOverhead=0; RancherContainerUUID=u-1 ",
      { LinkMTUOverhead: "0", RancherContainerUUID: "u-1" },
    ],
    [
      "K8S_POD_NAME=a=b;K8S_POD_NAMESPACE=n;K8S_POD_UID=u;K8S_POD_INFRA_CONTAINER_ID=i",
      {
        K8S_POD_NAME: "a=b",
        K8S_POD_NAMESPACE: "n",
        K8S_POD_UID: "u",
        K8S_POD_INFRA_CONTAINER_ID: "i",
      },
    ],
    ["Foo=1;IgnoreUnknown=true", { Foo: "1", IgnoreUnknown: "true" }],
    ["IP=10.0.0.1;IP=10.0.0.2", { IP: "10.0.0.2" }],
  ])("%p", (text, args) => {
    expect(parseCniArgs(text)).toEqual({ args, problems: [] })
  })
})

describe("what is wrong is told, and the rest is there", () => {
  test.each([
    [
      "Foo=1;IP=10.0.0.1",
      { IP: "10.0.0.1" },
      'CNI_ARGS has the unknown key "Foo"',
      "set IgnoreUnknown=1",
    ],
    ["Foo=1;IgnoreUnknown=0", { IgnoreUnknown: "0" }, 'unknown key "Foo"', "set IgnoreUnknown=1"],
    ["IPAdress=10.0.0.1", {}, 'unknown key "IPAdress"', "did you mean IPAddress"],
    ["IP", {}, 'CNI_ARGS has "IP", which is no KEY=value', undefined],
    ["=x", {}, 'CNI_ARGS has "=x"', undefined],
    ["IP=10.0.0.999", {}, 'CNI_ARGS has IP="10.0.0.999"', undefined],
    ["IPAddress=10.0.0.1/64", {}, 'CNI_ARGS has IPAddress="10.0.0.1/64"', undefined],
    ["MAC=01:00:5e:00:00:01", {}, "it is that of a group, or all zeros", undefined],
    ["MAC=02:00", {}, 'CNI_ARGS has MAC="02:00"', undefined],
    [`A=${"x".repeat(70_000)}`, {}, "CNI_ARGS is longer than", undefined],
  ])("%p", (text, args, message, hint) => {
    const parsed = parseCniArgs(text)
    expect(parsed.args).toEqual(args)
    expect(parsed.problems).toHaveLength(1)
    expect(parsed.problems[0]?.severity).toBe("error")
    expect(parsed.problems[0]?.message).toContain(message)
    expect(parsed.problems[0]?.hint).toBe(hint)
  })
})

test("any text is read without a throw, and no prototype changes", () => {
  const key = fc.constantFrom("IP", "MAC", "IgnoreUnknown", "__proto__", "constructor", "x", "")
  const pair = fc.tuple(key, fc.constantFrom("=", ""), fc.string()).map((parts) => parts.join(""))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pair).map((pairs) => pairs.join(";")),
      ),
      (text) => {
        const { args, problems } = parseCniArgs(text)
        expect(Object.getPrototypeOf(args)).toBe(Object.prototype)
        for (const value of Object.values(args)) expect(typeof value).toBe("string")
        for (const { message } of problems) expect(message).toStartWith("CNI_ARGS ")
      },
    ),
    { numRuns: 2000 },
  )
})
