import { describe, expect, test } from "bun:test"
import { loadConfiguration } from "./load.ts"

/** What a network_driver with these lines is carried by, and what is said of them. */
function encapsulationOf(...lines: readonly string[]) {
  const text = [
    "mesh:",
    "  network_driver:",
    ...lines.map((line) => `    ${line}`),
    "    default_network: {name: mesh, subnets: [{network_address: 10.42.0.0/16}]}",
    "    cni_config: {10-mesh.conf: {name: mesh, type: rancher-bridge, bridge: mesh0}}",
  ].join("\n")
  const { networks, diagnostics } = loadConfiguration([{ path: "f", text }], { env: {} })
  return {
    encapsulation: networks[0]?.encapsulation,
    said: diagnostics.map(({ message }) => message),
  }
}

describe("how a network is carried", () => {
  test("by default as Rancher's drivers did, with the stronger cipher", () => {
    expect(encapsulationOf("driver: vxlan")).toEqual({
      encapsulation: {
        cipher: "aes256gcm16",
        udp: "none",
        port: undefined,
        vni: 1042,
        blockSize: undefined,
      },
      said: [],
    })
  })

  test("by what the driver says", () => {
    const lines = [
      ...["driver: ipsec", "cipher: chacha20poly1305", "udp_encapsulation: auto"],
      ...["port: 4501", "vni: 7", "block_size: 26"],
    ]
    expect(encapsulationOf(...lines)).toEqual({
      encapsulation: { cipher: "chacha20poly1305", udp: "auto", port: 4501, vni: 7, blockSize: 26 },
      said: [],
    })
  })

  test.each([
    "cipher: des",
    "udp_encapsulation: yes",
    "port: 0",
    "vni: 16777216",
    "block_size: 31",
  ])("%s is refused", (line) => {
    expect(encapsulationOf(line).said).toHaveLength(1)
  })
})

/** What is said of a file with these lines below `network_driver`. */
function saidOf(...lines: readonly string[]) {
  const text = ["n:", "  network_driver:", ...lines.map((line) => `    ${line}`)].join("\n")
  const { networks, diagnostics } = loadConfiguration([{ path: "f", text }], { env: {} })
  return { networks, said: diagnostics.map(({ severity, message }) => `${severity}: ${message}`) }
}

test("faults of every kind are told in one pass", () => {
  const { networks, said } = saidOf(
    "cipher: des",
    "default_network: {name: n, host_ports: maybe, mac_prefix: 01:00:5e, subnets: [{network_address: 10.42.0.0/33}]}",
    "cni_config: {a.conf: {name: n, type: rancher-bridge, mtu: 100, bridgeSubnet: 10.9.0.0/24}}",
  )
  expect(networks).toEqual([])
  for (const words of [
    "cipher must be",
    "host_ports must be",
    "mac_prefix 01:00:5e",
    '"10.42.0.0/33" is no prefix length',
    "mtu 100 leaves 100 bytes",
  ]) {
    expect(said.some((line) => line.startsWith("error") && line.includes(words))).toBe(true)
  }
})

test("a pool may stand in cni_config alone; a bad one there is an error", () => {
  const conf = (subnet: string) =>
    `cni_config: {a.conf: {name: n, type: rancher-bridge, ipam: {type: rancher-host-local-ipam, subnet: ${subnet}}}}`
  const good = saidOf("default_network: {name: n}", conf("10.9.0.0/24"))
  expect(good.networks[0]?.subnets).toMatchObject([{ cidr: "10.9.0.0/24" }])
  expect(good.said).toEqual([])
  const bad = saidOf("default_network: {name: n}", conf("10.9.0.0/31"))
  expect(bad.said).toEqual([expect.stringContaining("error: the prefix length 31")])
})
