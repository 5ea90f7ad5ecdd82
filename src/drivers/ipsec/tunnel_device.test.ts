import { expect, test } from "bun:test"
import { deviceName, tunnelDevice } from "./tunnel_device.ts"

const NETWORK = {
  name: "managed",
  number: 3,
  subnets: ["10.42.0.0/16"],
  bridge: undefined,
  underlayMtu: 1500,
}
const SELF = { hostId: "a", underlay: ["192.0.2.1"], overlay: ["10.42.1.254"], blocks: [] }
const CIPHER = { cipher: "aes256gcm16", udp: false } as const

test("an XFRM interface has what the cipher leaves, and the number of its policies", () => {
  const spec = tunnelDevice(NETWORK, SELF, { ...CIPHER, ifId: 0x4c617203 })
  expect(spec).toMatchObject({ name: "lrx3", kind: "xfrm", mtu: 1446, ipv6: false })
  const message = spec.make({ name: "lrx3", mtu: 1446 })
  expect(message.operation).toBe("create xfrm lrx3")
  expect(message.finish(1).toHex()).toContain("0372614c")
})

test("without interfaces it is a dummy of the same size", () => {
  const spec = tunnelDevice(NETWORK, SELF, { ...CIPHER, ifId: undefined })
  expect(spec).toMatchObject({ name: deviceName(NETWORK), kind: "dummy", mtu: 1446 })
  expect(spec.make({ name: "lrx3" }).operation).toBe("create dummy lrx3")
})

test("UDP, and IPv6 outside, take their bytes; one address inside is enough for IPv6", () => {
  const over6 = { ...SELF, underlay: ["2001:db8::1"], overlay: ["fd00:42::1:fffe"] }
  const spec = tunnelDevice(NETWORK, over6, { ...CIPHER, udp: true, ifId: 1 })
  expect(spec).toMatchObject({ mtu: 1418, ipv6: true })
})
