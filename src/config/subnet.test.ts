import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  addressOffset,
  formatAddress,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../core/address.ts"
import type { SubnetInput } from "./driver_schema.ts"
import { MAX_POOL, resolveSubnet } from "./subnet.ts"

function resolve(input: SubnetInput | string) {
  const { subnet, problems } = resolveSubnet(
    typeof input === "string" ? { network_address: input } : input,
  )
  return {
    subnet: subnet && [subnet.cidr, subnet.gateway, subnet.start, subnet.end].join(" "),
    said: problems.map(({ severity, path, message }) => `${severity} ${path.join()}: ${message}`),
  }
}

describe("defaults", () => {
  test.each([
    [{}, "10.44.0.0/16 10.44.0.1 10.44.0.2 10.44.255.250"],
    ["10.42.0.0/16", "10.42.0.0/16 10.42.0.1 10.42.0.2 10.42.255.250"],
    ["192.168.1.0/24", "192.168.1.0/24 192.168.1.1 192.168.1.2 192.168.1.250"],
    ["192.168.1.0", "192.168.1.0/24 192.168.1.1 192.168.1.2 192.168.1.250"],
    [{ network_address: "10.1.0.0", cidr_size: 20 }, "10.1.0.0/20 10.1.0.1 10.1.0.2 10.1.15.250"],
    ["10.0.0.0/8", "10.0.0.0/8 10.0.0.1 10.0.0.2 10.255.255.250"],
    ["10.1.1.16/28", "10.1.1.16/28 10.1.1.17 10.1.1.18 10.1.1.26"],
    ["10.1.1.8/29", "10.1.1.8/29 10.1.1.9 10.1.1.10 10.1.1.14"],
    ["10.1.1.8/30", "10.1.1.8/30 10.1.1.9 10.1.1.10 10.1.1.10"],
    [
      { start_address: "", end_address: "", gateway: undefined },
      "10.44.0.0/16 10.44.0.1 10.44.0.2 10.44.255.250",
    ],
    // The end is never before the start.
    [
      { network_address: "10.1.1.16/28", start_address: "10.1.1.28" },
      "10.1.1.16/28 10.1.1.17 10.1.1.28 10.1.1.30",
    ],
    ["fd00:42::/64", "fd00:42::/64 fd00:42::1 fd00:42::2 fd00:42::100:1"],
    ["fd00:42::", "fd00:42::/64 fd00:42::1 fd00:42::2 fd00:42::100:1"],
    ["fd00:42::/112", "fd00:42::/112 fd00:42::1 fd00:42::2 fd00:42::fffa"],
    ["fd00:42::/125", "fd00:42::/125 fd00:42::1 fd00:42::2 fd00:42::7"],
    ["FD00:0042:0::/64", "fd00:42::/64 fd00:42::1 fd00:42::2 fd00:42::100:1"],
  ] as const)("%j gives %p", (input, subnet) => {
    expect(resolve(input)).toEqual({ subnet, said: [] })
  })
})

describe("what is odd is a warning", () => {
  test.each([
    [
      "10.42.3.7/16",
      "10.42.0.0/16",
      "warning network_address: network_address 10.42.3.7/16 has bits set beyond its prefix length",
    ],
    [
      { network_address: "10.42.0.0/16", cidr_size: 20 },
      "10.42.0.0/16",
      "warning cidr_size: cidr_size 20 differs from the suffix of network_address",
    ],
    [
      { network_address: "fd00::/64", end_address: "fd00::ffff:ffff" },
      "fd00::/64",
      `warning end_address: from start_address to end_address are 4294967294 addresses, a pool holds ${MAX_POOL}`,
    ],
  ] as const)("%j is %p", (input, cidr, said) => {
    const resolved = resolve(input)
    expect(resolved.subnet?.split(" ")[0]).toBe(cidr)
    expect(resolved.said).toEqual([said])
  })
})

describe("what is wrong is an error and gives no pool", () => {
  const within = (changes: SubnetInput): SubnetInput => ({
    network_address: "10.42.0.0/16",
    ...changes,
  })
  test.each([
    ["hello", 'network_address "hello" is no subnet'],
    ["10.42.0.0.0/16", "is no subnet"],
    ["10.42.0.0/31", "the prefix length 31 leaves no address for a container"],
    ["10.0.0.0/7", "the prefix length 7 is more than a pool can hold"],
    ["fd00::/127", "the prefix length 127 leaves no address"],
    ["127.0.0.0/24", "overlaps 127.0.0.0/8, the loopback addresses"],
    ["169.254.0.0/16", "overlaps 169.254.169.250/32, the address of metadata and DNS"],
    ["239.1.0.0/16", "overlaps 224.0.0.0/4, the multicast addresses"],
    ["0.0.0.0/8", "overlaps 0.0.0.0/8"],
    ["fe80::/64", "overlaps fe80::/10"],
    ["ff02::/64", "overlaps ff00::/8"],
    [within({ gateway: "10.43.0.1" }), "gateway 10.43.0.1 is outside of 10.42.0.0/16"],
    [within({ gateway: "fd00::1" }), "gateway fd00::1 is outside of 10.42.0.0/16"],
    [within({ gateway: "10.42.0.0" }), "gateway 10.42.0.0 is no address of a host"],
    [within({ gateway: "10.42.255.255" }), "gateway 10.42.255.255 is no address of a host"],
    [within({ start_address: "10.41.0.1" }), "start_address 10.41.0.1 is outside"],
    [within({ end_address: "10.43.0.1" }), "end_address 10.43.0.1 is outside"],
    [
      within({ start_address: "10.42.9.0", end_address: "10.42.8.0" }),
      "end_address 10.42.8.0 is before start_address 10.42.9.0",
    ],
    [
      within({ start_address: "10.42.0.1", end_address: "10.42.0.1" }),
      "there is no address left for a container",
    ],
    [within({ start_address: "10.42.0.0", end_address: "10.42.0.1" }), "there is no address left"],
  ] as const)("%j: %s", (input, message) => {
    const resolved = resolve(input)
    expect(resolved.subnet).toBeUndefined()
    expect(resolved.said.join("\n")).toContain(message)
    expect(resolved.said.every((line) => line.startsWith("error"))).toBe(true)
  })

  test("all errors of an entry are told", () => {
    const bad = within({ gateway: "10.1.1.1", start_address: "10.1.1.2", end_address: "10.1.1.3" })
    expect(resolve(bad).said).toHaveLength(3)
  })
})

test("every pool lies inside its subnet, in order, with an address for a container", () => {
  const subnet = fc.oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 8, max: 30 })),
    fc.tuple(
      fc.nat(0xffff).map((n) => `fd00:${n.toString(16)}:7::12`),
      fc.integer({ min: 8, max: 126 }),
    ),
  )
  fc.assert(
    fc.property(subnet, ([address, length]) => {
      const resolved = resolveSubnet({ network_address: `${address}/${length}` }).subnet
      if (resolved === undefined) return
      const prefix = parsePrefix(resolved.cidr)
      const [gateway, start, end] = [resolved.gateway, resolved.start, resolved.end].map((text) => {
        const parsed = parseAddress(text)
        expect(formatAddress(parsed)).toBe(text)
        expect(prefixContains(prefix, parsed)).toBe(true)
        return addressOffset(prefix, parsed)
      }) as [bigint, bigint, bigint]
      expect(gateway).toBe(1n)
      expect(start).toBe(2n)
      expect(end).toBeGreaterThanOrEqual(start)
      expect(end - start).toBeLessThan(MAX_POOL)
    }),
    { numRuns: 500 },
  )
})
