import type { Encapsulation, Network } from "../../../config/network.ts"

/** What decides which driver a network has, and how it is opened. */
export type Carried = Pick<Network, "driver" | "encapsulation">

/** Keys that a driver is opened with; the port of `ipsec` is not: it is that of ESP in UDP. */
const FIXED: Readonly<Record<string, readonly (keyof Encapsulation)[]>> = {
  ipsec: ["cipher"],
  vxlan: ["vni", "port"],
  wireguard: ["port"],
}

/**
 * What of a changed configuration a running driver cannot take: each key with its values.
 *
 * @param before as it was opened with
 */
export function fixedChanges(before: Carried, now: Carried): string[] {
  const change = (key: string, from: unknown, to: unknown) =>
    from === to ? [] : [`${key} (${from ?? "default"} to ${to ?? "default"})`]
  if (before.driver !== now.driver) return change("driver", before.driver, now.driver)
  const keys = FIXED[now.driver] ?? []
  return keys.flatMap((key) => change(key, before.encapsulation[key], now.encapsulation[key]))
}
