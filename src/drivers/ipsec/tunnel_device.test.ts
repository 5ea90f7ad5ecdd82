import { expect, test } from "bun:test"
import { tunnelDevice } from "./tunnel_device.ts"

const NETWORK = { underlayMtu: 1500 }
const SELF = { underlay: ["192.0.2.1"] }
const CIPHER = { cipher: "aes256gcm16", udp: false } as const

test("an XFRM interface has what the cipher leaves, and the number of its policies", () => {
  const spec = tunnelDevice(NETWORK, SELF, { ...CIPHER, ifId: 0x4c617203 })
  expect(spec).toMatchObject({ title: "XFRM interfaces", mtu: 1446 })
  const message = spec.make({ name: "lrx3", mtu: 1446 })
  expect(message.operation).toBe("create xfrm lrx3")
  expect(message.finish(1).toHex()).toContain("0372614c")
})

test("without interfaces it is a dummy of the same size", () => {
  const spec = tunnelDevice(NETWORK, SELF, { ...CIPHER, ifId: undefined })
  expect(spec).toMatchObject({ title: "dummy links", mtu: 1446 })
  expect(spec.make({ name: "lrx3" }).operation).toBe("create dummy lrx3")
})

test("UDP, and IPv6 outside, take their bytes", () => {
  const over6 = { underlay: ["2001:db8::1"] }
  const spec = tunnelDevice(NETWORK, over6, { ...CIPHER, udp: true, ifId: 1 })
  expect(spec.mtu).toBe(1418)
})
