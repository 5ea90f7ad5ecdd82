import { describe, expect, test } from "bun:test"
import { loadConfiguration } from "./load.ts"

/** What a network_driver with these lines is carried by, and what is said of them. */
function carriageOf(...lines: readonly string[]) {
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
    expect(carriageOf("driver: vxlan")).toEqual({
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
    expect(carriageOf(...lines)).toEqual({
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
    expect(carriageOf(line).said).toHaveLength(1)
  })
})
