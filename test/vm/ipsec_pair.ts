/** Two drivers and keys that a test makes up, on hosts without agents. */
import { randomBytes } from "node:crypto"
import type { Cipher } from "../../src/core/encapsulation.ts"
import type { OverlayNetwork, OverlayPeer, OverlaySelf } from "../../src/drivers/driver.ts"
import { keyBytes } from "../../src/drivers/ipsec/ciphers.ts"
import { type IpsecOptions, openIpsec } from "../../src/drivers/ipsec/ipsec_driver.ts"
import type { SaPair } from "../../src/drivers/ipsec/sa_pairs.ts"
import { DriverHand } from "../netns/driver_hand.ts"
import { errorsOf } from "./host_state.ts"
import type { LabHost } from "./lab_host.ts"

export const NETWORK: OverlayNetwork = {
  name: "managed",
  number: 3,
  subnets: ["10.42.0.0/16", "fd00:42::/64"],
  underlayMtu: 1500,
}
const NUMBERS: Readonly<Record<string, number>> = { a: 1, b: 2 }

/** A host's place among all. */
export function numberOf(name: string): number {
  return NUMBERS[name] ?? 0
}

/** A host's own part. */
export function selfOf(host: LabHost, family: 4 | 6): OverlaySelf {
  const number = numberOf(host.name)
  return {
    hostId: host.name,
    underlay: [family === 4 ? host.v4 : host.v6],
    overlay: [`10.42.${number}.254`, `fd00:42::${number}:fffe`],
    blocks: [`10.42.${number}.0/24`, `fd00:42::${number}:0/112`],
  }
}

/** A host's part as the other is told. */
export function peerOf(host: LabHost, family: 4 | 6): OverlayPeer {
  const number = numberOf(host.name)
  const self = selfOf(host, family)
  return { ...self, name: host.name, number, mtu: undefined, parameters: {} }
}

/** Both hosts' view of one pair of keys. */
export function newPair(cipher: Cipher, round: number): { a: SaPair; b: SaPair } {
  const key = () => Uint8Array.from(randomBytes(keyBytes(cipher)))
  const [toA, toB] = [key(), key()]
  const [spiA, spiB] = [0x2_0000 + round, 0x1_0000 + round]
  return {
    a: { inbound: { spi: spiA, key: toA }, outbound: { spi: spiB, key: toB }, send: true },
    b: { inbound: { spi: spiB, key: toB }, outbound: { spi: spiA, key: toA }, send: true },
  }
}

/** Drivers of two hosts, and what they said. */
export interface Pair {
  readonly a: DriverHand
  readonly b: DriverHand
  readonly lost: string[]
  readonly softExpired: string[]
  /** Counters of the kernel's IPsec on both hosts, that grew since the drivers were made. */
  errors(): Record<string, number>[]
  close(): void
}

/** Opens a driver on each of two hosts, a and b, which know each other and have no keys yet. */
export function openPair(
  hosts: readonly LabHost[],
  cipher: Cipher,
  family: 4 | 6,
  { udp, ...options }: IpsecOptions & { readonly udp?: boolean } = {},
): Pair {
  const [hostA, hostB] = hosts
  if (hostA === undefined || hostB === undefined) throw new Error("two hosts make a pair")
  const errors = errorsOf(hostA, hostB)
  const lost: string[] = []
  const softExpired: string[] = []
  const open = (host: LabHost) =>
    host.netns.inside(() => {
      const driver = openIpsec(NETWORK, {
        ...options,
        cipher,
        onLost: (peer) => lost.push(`${host.name} lost ${peer}`),
        onSoftExpired: (peer) => softExpired.push(`${host.name} soft lifetime expired: ${peer}`),
      })
      return new DriverHand(driver, { udp })
    })
  const [a, b] = [open(hostA), open(hostB)]
  for (const [driver, own, other] of [
    [a, hostA, hostB],
    [b, hostB, hostA],
  ] as const) {
    driver.prepare(selfOf(own, family))
    driver.putPeer(peerOf(other, family))
  }
  return {
    a,
    b,
    lost,
    softExpired,
    errors,
    close() {
      for (const driver of [a, b]) {
        driver.remove()
        driver.close()
      }
    },
  }
}

/** Gives both hosts these keys and no others, the newest first. */
export function agree({ a, b }: Pair, pairs: readonly { a: SaPair; b: SaPair }[]): void {
  a.keyed.setSaPairs("b", { saPairs: pairs.map((pair) => pair.a), others: "drop" })
  b.keyed.setSaPairs("a", { saPairs: pairs.map((pair) => pair.b), others: "drop" })
}
