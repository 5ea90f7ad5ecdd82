/** What marks a link as Lariat's: its name and its group. */

import { createHash } from "node:crypto"

export { LIVE_GROUP, PARKED_GROUP } from "../core/link_group.ts"

/** Link group of bridges that were made here: "lr" and 3. */
export const BRIDGE_GROUP = 0x6c720003

/** The base32 digits of RFC 4648 section 6, in lower case. */
const DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
const NAME_DIGITS = 11
const BITS_PER_DIGIT = 5

/**
 * The name of a port's end in the host: "lrt" and 11 characters that follow from the attachment,
 * 55 bits of a SHA-256. The same attachment has the same name after a restart.
 */
export function hostLinkName(containerId: string, ifname: string, network: string): string {
  const hash = createHash("sha256")
  // A zero byte cannot occur in any of them: the parts cannot run into each other.
  const digest = hash.update(`${containerId}\0${ifname}\0${network}`).digest()
  let name = "lrt"
  let bits = 0
  let value = 0
  for (const byte of digest) {
    value = ((value << 8) | byte) & 0xffff
    bits += 8
    while (bits >= BITS_PER_DIGIT && name.length < 3 + NAME_DIGITS) {
      bits -= BITS_PER_DIGIT
      name += DIGITS.charAt((value >> bits) & 31)
    }
  }
  return name
}
