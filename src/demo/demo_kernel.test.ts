import { expect, test } from "bun:test"
import type { DriverKind, Network } from "../config/network.ts"
import { LariatError } from "../errors.ts"
import { checkDemoKernel, type DemoKernel } from "./demo_kernel.ts"

const encapsulation: Network["encapsulation"] = {
  ...{ cipher: "aes256gcm16", udp: "none", port: undefined, vni: 1042, blockSize: undefined },
}
const ALL: DemoKernel = { esp: () => true, xfrmInterface: true, vxlan: true, wireguard: true }
const NONE: DemoKernel = { esp: () => false, xfrmInterface: false, vxlan: false, wireguard: false }
const COMMAND = "lariat demo --hosts 3"

function refusal(driver: DriverKind, kernel: DemoKernel): LariatError | undefined {
  try {
    checkDemoKernel({ driver, encapsulation }, kernel, COMMAND)
    return undefined
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
}

test("a kernel that has everything, and a driver that needs nothing", () => {
  for (const driver of ["ipsec", "vxlan", "wireguard", "routed"] as const) {
    expect(refusal(driver, ALL)).toBeUndefined()
  }
  expect(refusal("routed", NONE)).toBeUndefined()
})

test("what is missing is named, and what works is offered as what it is", () => {
  const error = refusal("ipsec", { ...NONE, vxlan: true })
  expect(error?.code).toBe("kernel-unsupported")
  expect(error?.message).toBe(
    "Cannot show ipsec between hosts: this kernel has no ESP with aes256gcm16 (CONFIG_INET_ESP and its cipher) and no XFRM interfaces (CONFIG_XFRM_INTERFACE)",
  )
  expect(error?.hint).toBe(
    "modprobe esp4 esp6 xfrm_interface may bring it, or another kernel; this one can show the same without encryption: lariat demo --hosts 3 --driver vxlan",
  )
})

test.each([
  ["ipsec", { ...ALL, xfrmInterface: false }, "no XFRM interfaces"],
  ["ipsec", { ...ALL, esp: () => false }, "no ESP"],
  ["wireguard", { ...ALL, wireguard: false }, "no WireGuard"],
  ["vxlan", { ...ALL, vxlan: false }, "no VXLAN"],
] as const)("%s without what it needs", (driver, kernel, missing) => {
  expect(refusal(driver, kernel)?.message).toContain(missing)
})

test("what does not work is not offered", () => {
  expect(refusal("vxlan", NONE)?.hint).not.toContain("--driver")
  expect(refusal("ipsec", NONE)?.hint).not.toContain("--driver")
})
