import { expect, test } from "bun:test"
import fc from "fast-check"
import type { AttachResult } from "./result.ts"
import { NO_DNS } from "./result.ts"
import { mergeResults } from "./result_merge.ts"

const empty: AttachResult = { interfaces: [], ips: [], routes: [], dns: NO_DNS }

const docker: AttachResult = {
  interfaces: [
    { name: "docker0", mac: "02:42:00:00:00:01" },
    { name: "eth0", mac: "02:42:ac:11:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
  ],
  ips: [{ address: "172.17.0.2/16", gateway: "172.17.0.1", interface: 1 }],
  routes: [{ dst: "0.0.0.0/0", gw: "172.17.0.1" }],
  dns: { nameservers: ["1.1.1.1"], domain: "example.org", search: [], options: ["ndots:1"] },
}

test("an adopted interface keeps its place and gets what we say of it", () => {
  const own: AttachResult = {
    interfaces: [
      { name: "lrtabc" },
      { name: "eth0", mac: "02:00:01:00:00:07", mtu: undefined, sandbox: "/run/netns/c1" },
    ],
    ips: [{ address: "10.42.0.7/16", interface: 1 }],
    routes: [{ gw: "172.17.0.1", dst: "0.0.0.0/0" }, { dst: "10.42.0.0/16" }],
    dns: { nameservers: ["169.254.169.250", "1.1.1.1"], search: ["x"], options: [] },
  }
  expect(mergeResults(docker, own)).toEqual({
    interfaces: [
      { name: "docker0", mac: "02:42:00:00:00:01" },
      { name: "eth0", mac: "02:00:01:00:00:07", mtu: 1500, sandbox: "/run/netns/c1" },
      { name: "lrtabc" },
    ],
    ips: [
      { address: "172.17.0.2/16", gateway: "172.17.0.1", interface: 1 },
      { address: "10.42.0.7/16", interface: 1 },
    ],
    routes: [{ dst: "0.0.0.0/0", gw: "172.17.0.1" }, { dst: "10.42.0.0/16" }],
    dns: {
      nameservers: ["169.254.169.250", "1.1.1.1"],
      domain: "example.org",
      search: ["x"],
      options: ["ndots:1"],
    },
  })
})

test("an interface of the same name in another namespace is another one", () => {
  const own = { ...empty, interfaces: [{ name: "eth0", sandbox: "/run/netns/c2" }] }
  expect(mergeResults(docker, own).interfaces).toHaveLength(3)
})

test("nothing added to a result, and a result added to nothing, is the result", () => {
  expect(mergeResults(docker, empty)).toEqual(docker)
  expect(mergeResults(empty, docker)).toEqual(docker)
})

const name = fc.constantFrom("eth0", "eth1", "br0")
const result: fc.Arbitrary<AttachResult> = fc.uniqueArray(name, { minLength: 1 }).chain((names) =>
  fc.record({
    interfaces: fc.constant(names.map((n) => ({ name: n }))),
    ips: fc.uniqueArray(
      fc.record({
        address: fc.nat(5).map((n) => `10.42.0.${n}/16`),
        interface: fc.nat(names.length - 1),
      }),
      { selector: ({ address }) => address },
    ),
    routes: fc.constant([]),
    dns: fc.constant(NO_DNS),
  }),
)

const owners = ({ interfaces, ips }: AttachResult): string[] =>
  ips.map((ip) => `${ip.address} ${interfaces[ip.interface ?? -1]?.name}`)

test("every address stays with its interface, and merging again changes nothing", () => {
  fc.assert(
    fc.property(result, result, (previous, own) => {
      const merged = mergeResults(previous, own)
      expect(owners(merged)).toEqual([...new Set([...owners(previous), ...owners(own)])])
      expect(mergeResults(merged, own)).toEqual(merged)
    }),
  )
})
