import { probeFeatures } from "../agent/doctor/probe.ts"
import type { Network } from "../config/network.ts"
import type { Cipher } from "../core/encapsulation.ts"
import { espSupported } from "../drivers/ipsec/probe.ts"
import { LariatError } from "../errors.ts"

/** What the kernel was found to have. */
export interface DemoKernel {
  readonly esp: (cipher: Cipher) => boolean
  readonly xfrmInterface: boolean
  readonly vxlan: boolean
  readonly wireguard: boolean
}

/** Tries this machine's kernel, in throw-away namespaces. @throws LariatError permission */
export function probeDemoKernel(): DemoKernel {
  const { xfrmInterface = false, vxlan = false, wireguard = false } = probeFeatures()
  return { esp: espSupported, xfrmInterface, vxlan, wireguard }
}

/**
 * Refuses a network that this kernel cannot carry, before anything is made.
 *
 * @param command what was run, to be run again with another driver
 * @throws LariatError kernel-unsupported
 */
export function checkDemoKernel(
  { driver, encapsulation }: Pick<Network, "driver" | "encapsulation">,
  kernel: DemoKernel,
  command: string,
): void {
  const missing: string[] = []
  const modules: string[] = []
  if (driver === "ipsec" && !kernel.esp(encapsulation.cipher)) {
    missing.push(`ESP with ${encapsulation.cipher} (CONFIG_INET_ESP and its cipher)`)
    modules.push("esp4", "esp6")
  }
  if (driver === "ipsec" && !kernel.xfrmInterface) {
    missing.push("XFRM interfaces (CONFIG_XFRM_INTERFACE)")
    modules.push("xfrm_interface")
  }
  if (driver === "wireguard" && !kernel.wireguard) {
    missing.push("WireGuard (CONFIG_WIREGUARD)")
    modules.push("wireguard")
  }
  if (driver === "vxlan" && !kernel.vxlan) {
    missing.push("VXLAN (CONFIG_VXLAN)")
    modules.push("vxlan")
  }
  if (missing.length === 0) return
  const load = `modprobe ${modules.join(" ")} may bring it, or another kernel`
  const other = kernel.vxlan
    ? `; this one can show the same without encryption: ${command} --driver vxlan`
    : ""
  throw new LariatError(
    `Cannot show ${driver} between hosts: this kernel has no ${missing.join(" and no ")}`,
    { code: "kernel-unsupported", hint: load + other },
  )
}
