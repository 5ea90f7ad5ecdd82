import { expect, test } from "bun:test"
import { type Carried, fixedChanges } from "./driver_change.ts"

const BEFORE: Carried = {
  driver: "ipsec",
  encapsulation: {
    cipher: "aes256gcm16",
    udp: "none",
    port: undefined,
    vni: 1042,
    blockSize: undefined,
  },
}
const changed = (change: Partial<Carried["encapsulation"]>, driver = BEFORE.driver): Carried => ({
  driver,
  encapsulation: { ...BEFORE.encapsulation, ...change },
})

test("ESP in UDP and its port are taken by a running driver", () => {
  expect(fixedChanges(BEFORE, changed({ udp: "auto", port: 4501, vni: 7 }))).toEqual([])
})

test("what a driver is opened with is not", () => {
  expect(fixedChanges(BEFORE, changed({ cipher: "aes128gcm16" }))).toEqual([
    "cipher (aes256gcm16 to aes128gcm16)",
  ])
  expect(fixedChanges(BEFORE, changed({ port: 1 }, "vxlan"))).toEqual(["driver (ipsec to vxlan)"])
  const vxlan = changed({}, "vxlan")
  expect(fixedChanges(vxlan, changed({ vni: 7, port: 4790 }, "vxlan"))).toEqual([
    "vni (1042 to 7)",
    "port (default to 4790)",
  ])
})
