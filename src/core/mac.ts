/** Ethernet MAC addresses (EUI-48) as text and bytes. */

import { LariatError } from "../errors.ts"
import { quoteInput } from "./address_fault.ts"

/** Bytes of a MAC address: ETH_ALEN of linux/if_ether.h. */
const MAC_BYTES = 6

/** First octet, bit 0: the address is of a group (IEEE 802 §8.2). */
const GROUP_BIT = 0x01

/** First octet, bit 1: the address is locally administered (IEEE 802 §8.2). */
const LOCAL_BIT = 0x02

/**
 * Reads `02:00:01:0a:0b:0c`, in upper or lower case.
 *
 * @returns 6 bytes
 * @throws LariatError config-invalid
 */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text)) {
    throw new LariatError(
      `Cannot read MAC address ${quoteInput(text)}: it is not six pairs of hexadecimal digits with colons between them`,
      { code: "config-invalid", hint: "Write it as in 02:00:01:0a:0b:0c" },
    )
  }
  return octetsOf(text)
}

function octetsOf(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(":", ""))
}

/** Lower-case text with colons, as the kernel prints it. @param bytes 6 bytes */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":")
}

/** Whether an interface may have this address: no group address and not all zeros. */
export function isInterfaceMac(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & GROUP_BIT) === 0 && bytes.some((byte) => byte !== 0)
}

/**
 * The address of an interface as people write it, with colons or hyphens; comes out as
 * {@link formatMac} writes it.
 *
 * @throws LariatError config-invalid
 */
export function interfaceMac(text: string): string {
  const bytes = parseMac(text.replaceAll("-", ":"))
  if (isInterfaceMac(bytes)) return formatMac(bytes)
  throw new LariatError("Cannot use the MAC address: it is that of a group, or all zeros", {
    code: "config-invalid",
  })
}

/**
 * A random unicast MAC address, locally administered unless the prefix says otherwise.
 *
 * @param random source of random bytes
 * @param prefix leading octets to keep, such as `02:00:01`, of no group; default none
 */
export function randomMac(random: (n: number) => Uint8Array, prefix?: string): string {
  if (prefix !== undefined) {
    const head = octetsOf(prefix)
    return formatMac(Uint8Array.of(...head, ...random(MAC_BYTES - head.length)))
  }
  const bytes = Uint8Array.from(random(MAC_BYTES))
  bytes[0] = ((bytes[0] ?? 0) & ~GROUP_BIT) | LOCAL_BIT
  return formatMac(bytes)
}
