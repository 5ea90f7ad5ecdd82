import type { Cipher, EncapsulationKind } from "../core/encapsulation.ts"
import { overheadOf } from "../core/overhead.ts"
import { LariatError } from "../errors.ts"
import { table } from "../table.ts"
import { show } from "./show.ts"

/** The options of `lariat mtu`. */
export interface MtuOptions {
  readonly outer: number
  readonly driver: EncapsulationKind
  readonly cipher?: Cipher
  readonly family: "4" | "6"
  readonly udp?: boolean
  readonly json?: boolean
}

/** `lariat mtu`: the exact bytes that a driver takes from each packet, line by line. */
export function mtu(options: MtuOptions): number {
  const { outer, driver, udp = false } = options
  if (driver !== "ipsec" && (options.cipher !== undefined || udp)) {
    throw new LariatError(`Cannot apply --cipher or --udp to ${driver}: only ipsec has them`, {
      code: "usage",
    })
  }
  const family = options.family === "6" ? 6 : 4
  const cipher = driver === "ipsec" ? (options.cipher ?? "aes256gcm16") : undefined
  const answer = overheadOf(driver, { cipher, family, udp, outer })
  const report = { outer, driver, cipher: cipher ?? null, family, udp, ...answer }
  return show(report, options, ({ parts, mtu }) => {
    const rows = parts.map((part) => [part.what, `-${part.bytes}`])
    const ends = { first: ["outer MTU", `${outer}`], last: ["largest inner packet", `${mtu}`] }
    return table([ends.first, ...rows, ends.last], { right: [1] })
  })
}
