/** Where packets of both address families have what rules ask about. */

import * as n from "../netlink/nftables/constants.ts"
import * as e from "../netlink/nftables/expression.ts"
import { IPV4_KEY, IPV6_KEY } from "../netlink/nftables/set.ts"

/** IANA protocol numbers. */
export const TCP = 6
export const UDP = 17

/** What differs between the address families. Offsets are bytes from the network header. */
export interface FamilyLayout {
  readonly suffix: "4" | "6"
  readonly nfproto: number
  readonly key: typeof IPV4_KEY
  readonly source: number
  readonly destination: number
  /** Register of the second field of a concatenation: right behind the address. */
  readonly second: number
}

/** RFC 791 §3.1. */
export const IPV4: FamilyLayout = {
  suffix: "4",
  nfproto: n.NFPROTO_IPV4,
  key: IPV4_KEY,
  source: 12,
  destination: 16,
  second: n.NFT_REG32_01,
}

/** RFC 8200 §3. */
export const IPV6: FamilyLayout = {
  suffix: "6",
  nfproto: n.NFPROTO_IPV6,
  key: IPV6_KEY,
  source: 8,
  destination: 24,
  second: n.NFT_REG_2,
}

/** The address at an offset of the network header, of packets of the family only. */
export function address(family: FamilyLayout, offset: number): e.Expression[] {
  return [
    e.meta(n.NFT_META_NFPROTO),
    e.cmp(Uint8Array.of(family.nfproto)),
    e.payload("network", offset, family.key.length),
  ]
}
