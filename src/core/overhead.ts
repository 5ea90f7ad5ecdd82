/** What a data path takes from every packet, and the MTU that is left. */

import { LariatError } from "../errors.ts"
import {
  type Cipher,
  type EncapsulationKind,
  encapsulate,
  type OverheadPart,
} from "./encapsulation.ts"

export type { Cipher } from "./encapsulation.ts"

/** The sum: `outer` = `mtu` + `overhead`, and the parts add up to `overhead`. All in bytes. */
export interface Overhead {
  readonly overhead: number
  /** The largest inner IP packet that fits. */
  readonly mtu: number
  /** In the order of the wire, then what cannot be filled. */
  readonly parts: readonly OverheadPart[]
}

/** The largest IP packet: the length field of RFC 791 §3.1 has 16 bits. The loopback's MTU is more. */
const LARGEST_PACKET = 65_535

/** Every IPv4 link must carry a packet of 68 bytes (RFC 791 §3.2); the kernel refuses less. */
const SMALLEST_MTU = 68

/** What {@link overheadOf} needs to know. */
export interface OverheadOptions {
  /** MTU of the underlay, bytes. */
  readonly outer: number
  /** Of the ipsec driver; the others have none and do not look at it. Default aes256gcm16. */
  readonly cipher?: Cipher | undefined
  /** Family of the outer packet; default 4. */
  readonly family?: 4 | 6 | undefined
  /** ESP in UDP, for NAT; of the ipsec driver alone. Default false. */
  readonly udp?: boolean | undefined
}

/**
 * The overhead of a driver's own encapsulation and the MTU it leaves.
 *
 * @throws LariatError config-invalid where `outer` is impossible; mtu-too-small where less than 68
 *   bytes are left
 */
export function overheadOf(driver: EncapsulationKind, options: OverheadOptions): Overhead {
  const { outer, cipher = "aes256gcm16", family = 4, udp = false } = options
  if (!Number.isSafeInteger(outer) || outer < 1) {
    throw new LariatError(`Cannot compute an MTU: the outer MTU is ${outer}, no count of bytes`, {
      code: "config-invalid",
      hint: "Give the MTU of the underlay, such as 1500",
    })
  }
  const usable = Math.min(outer, LARGEST_PACKET)
  const { mtu, parts } = encapsulate(driver, { outer: usable, cipher, family, udp })
  if (mtu < SMALLEST_MTU) throw tooSmall(outer, mtu)
  const beyond = {
    what: "beyond the largest IP packet (RFC 791 §3.1)",
    bytes: outer - usable,
  }
  return {
    overhead: outer - mtu,
    mtu,
    parts: beyond.bytes > 0 ? [...parts, beyond] : parts,
  }
}

function tooSmall(outer: number, mtu: number): LariatError {
  const left = mtu > 0 ? `leaves ${mtu} bytes` : "does not even hold the headers"
  return new LariatError(
    `Cannot fit packets in an outer MTU of ${outer}: it ${left}, and IP needs ${SMALLEST_MTU}`,
    { code: "mtu-too-small", hint: "Raise the MTU of the underlay" },
  )
}
