import { describe, expect, test } from "bun:test"
import { load, loadFixture } from "../../test/fixtures/config/loading.ts"
import { windowsSign } from "./windows.ts"

const plain = { name: "lan", kind: undefined, hasSubnets: false, plugins: [] }

describe("for Windows hosts is", () => {
  test.each(["nat", "transparent", "L2Bridge", "l2tunnel", "ics"])("the kind %s", (kind) => {
    expect(windowsSign({ ...plain, kind })).toBe(`its kind is ${kind}`)
  })

  test.each([undefined, null, ""])("Docker's own network by its name, of kind %p", (kind) => {
    expect(windowsSign({ ...plain, name: "transparent", kind })).toContain("Docker on Windows")
  })

  test("what has a plugin of Windows, whatever else it says", () => {
    const signs = { ...plain, kind: "cni", hasSubnets: true, plugins: ["win-bridge"] }
    expect(windowsSign(signs)).toBe("its CNI plugin is win-bridge")
  })
})

describe("for Linux hosts is what is called so and", () => {
  const nat = { ...plain, name: "nat" }
  test.each([
    ["has subnets", { ...nat, hasSubnets: true }],
    ["has a plugin", { ...nat, kind: "nat", plugins: ["rancher-bridge"] }],
    ["is of another kind", { ...nat, kind: "cni" }],
    ["has no such name", plain],
  ])("%s", (_, signs) => {
    expect(windowsSign(signs)).toBeUndefined()
  })
})

test("a file for both systems is good: one warning for each network that cannot be here", () => {
  const { networks, foreign, diagnostics, said } = loadFixture("config/windows.yml")
  expect(networks.map(({ name }) => name)).toEqual(["edge"])
  expect(foreign.map(({ name }) => name)).toEqual(["nat", "transparent"])
  expect(said).toEqual([
    expect.stringMatching(
      /^config\/windows\.yml:9:9: warning: network nat is for Windows hosts, since its kind is nat; Lariat runs on Linux only/,
    ),
    expect.stringMatching(
      /^config\/windows\.yml:15:9: warning: network transparent is for Windows/,
    ),
  ])
  expect(diagnostics.every(({ elsewhere }) => elsewhere)).toBe(true)
})

test("its subnets are no claim on this host's, and its name is", () => {
  const service = (name: string, network: string, more = "") =>
    `${name}: {network_driver: {default_network: {name: ${network}, ${more}subnets: [{network_address: 10.9.0.0/24}]}, ${more === "" ? `cni_config: {a.conf: {name: ${name}, type: lariat-cni}}` : ""}}}\n`
  const kind = "kind: l2bridge, "
  const { networks, said } = load(`${service("a", "here")}${service("b", "there", kind)}`)
  expect(networks).toHaveLength(1)
  expect(said).toEqual([expect.stringContaining("warning: network there is for Windows hosts")])
  const clash = load(`${service("a", "here")}${service("b", "here", kind)}`)
  expect(clash.said.join()).toContain("error: the network name here is taken")
})
