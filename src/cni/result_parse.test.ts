import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { CniError } from "./error.ts"
import { NO_DNS } from "./result.ts"
import { parseResult } from "./result_parse.ts"

// Printed by Debian's containernetworking-plugins 1.1.1 (`static`) when asked in that version.
test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"])(
  "the static plugin's result in CNI %s is read",
  (version) => {
    const json = JSON.parse(
      readFileSync(
        new URL(`../../test/fixtures/cni/ipam/static-${version}.json`, import.meta.url),
        "utf8",
      ),
    )
    expect(parseResult(json, "the result of static", "0.1.0")).toEqual({
      interfaces: [],
      ips: [
        { address: "10.42.0.7/16", gateway: "10.42.0.1" },
        { address: "fd00:42::7/64", gateway: "fd00:42::1" },
      ],
      routes: [
        { dst: "0.0.0.0/0" },
        { dst: "10.99.0.0/16", gw: "10.42.0.9" },
        { dst: "::/0", gw: "fd00:42::1" },
      ],
      dns: {
        nameservers: ["169.254.169.250"],
        domain: "x",
        search: ["rancher.internal"],
        options: ["ndots:1"],
      },
    })
  },
)

test("a result that names no version is read in the asker's", () => {
  const ips = [{ address: "10.42.0.7/16" }]
  expect(parseResult({ ips }, "it", "1.0.0").ips).toEqual(ips)
  const ip4 = { ip: "10.42.0.7/16" }
  expect(parseResult({ ip4 }, "it", "0.2.0").ips).toEqual(ips)
})

test("addresses and MACs come out canonical, null and the empty text count as absent", () => {
  const json = {
    cniVersion: "1.0.0",
    interfaces: [
      { name: "eth0", mac: "AA:BB:CC:DD:EE:FF", sandbox: "" },
      { name: "ib0", mac: "80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:1a:2b:3c" },
    ],
    ips: [{ address: "FD00:0042:0::7/64", gateway: "", interface: null }],
    routes: null,
    dns: null,
  }
  expect(parseResult(json, "it", "1.0.0")).toEqual({
    interfaces: [
      { name: "eth0", mac: "aa:bb:cc:dd:ee:ff" },
      { name: "ib0", mac: "80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:1a:2b:3c" },
    ],
    ips: [{ address: "fd00:42::7/64" }],
    routes: [],
    dns: NO_DNS,
  })
})

test("all that is wrong is named at once, with code 6", () => {
  const json = {
    cniVersion: "1.1.0",
    interfaces: [{ name: 5, mac: "zz:00:00:00:00:00", mtu: -1 }, "eth0"],
    ips: [
      { address: "10.42.0.7" },
      { gateway: "here" },
      { address: "10.42.0.7/16", interface: 2 },
      { address: "10.42.0.8/16", interface: 0.5 },
    ],
    routes: [{ dst: "everywhere", priority: "1" }],
    dns: { nameservers: "1.1.1.1", search: [1] },
  }
  let thrown: unknown
  try {
    parseResult(json, "the result of x", "1.1.0")
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(CniError)
  expect(thrown).toMatchObject({ cniCode: 6 })
  const message = thrown instanceof CniError ? thrown.message : ""
  expect(message).toStartWith("Cannot read the result of x: ")
  const paths = [...message.matchAll(/(?:of x:|;) ([a-z]+(?:\[\d\])?(?:\.[a-z]+)?) is /g)]
  expect(paths.map(([, path]) => path)).toEqual([
    "interfaces[0].name",
    "interfaces[0].mac",
    "interfaces[0].mtu",
    "interfaces[1]",
    "ips[0].address",
    "ips[1].address",
    "ips[1].gateway",
    "ips[2].interface",
    "ips[3].interface",
    "routes[0].dst",
    "routes[0].priority",
    "dns.nameservers",
    "dns.search",
  ])
})

test.each([
  ["it is null, not an object", null],
  ["it is a list, not an object", []],
  ["ips is no list", { ips: {} }],
  ["ips is no list of at most 1024", { ips: new Array(1025).fill({ address: "10.0.0.1/8" }) }],
  ["dns is a list, not an object", { dns: [] }],
  ["ip4.ip is missing", { cniVersion: "0.2.0", ip4: { gateway: "10.0.0.1" } }],
  ['ip6 is "fd00::1/64", not an object', { cniVersion: "0.2.0", ip6: "fd00::1/64" }],
  ["does not speak it", { cniVersion: "3.0.0" }],
])("a result is refused: %s", (words, json) => {
  expect(() => parseResult(json, "the result", "1.0.0")).toThrow(words)
})
