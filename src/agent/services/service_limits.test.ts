import { expect, test } from "bun:test"
import { serviceLimits } from "./service_limits.ts"

const settings = {
  metadataListen: "169.254.169.250:80",
  dnsListen: "[fd00::1]:53",
  limits: {
    connections: 1,
    connectionsInAll: 2,
    connectionsPerSecond: 3,
    bytesPerSecond: 4,
    queriesPerSecond: 5,
  },
}

test("limits are of metadata by TCP and of DNS by both", () => {
  expect(serviceLimits(settings)).toEqual({
    values: settings.limits,
    services: [
      { protocol: "tcp", address: "169.254.169.250", port: 80 },
      { protocol: "udp", address: "fd00::1", port: 53 },
      { protocol: "tcp", address: "fd00::1", port: 53 },
    ],
  })
})

test("DNS that is not served has none", () => {
  expect(serviceLimits({ ...settings, dnsListen: "none" }).services).toHaveLength(1)
})
