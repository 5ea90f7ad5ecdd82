/** The kernel's words for the ciphers that a network may ask for. */

import type { Cipher } from "../../core/encapsulation.ts"
import { LariatError } from "../../errors.ts"
import type { XfrmProtection } from "../../netlink/xfrm/state.ts"

/** Name, bytes of key with salt, bits of integrity value. */
interface Aead {
  readonly aead: string
  readonly keyBytes: number
  readonly icvBits: number
}

/** Encryption and integrity by two algorithms; the encryption's key comes first in the keymat. */
interface Pair {
  readonly encryption: string
  readonly keyBytes: number
  readonly integrity: string
  readonly integrityBytes: number
  readonly icvBits: number
}

const SALT_BYTES = 4

/** RFC 4106 §8.1, RFC 7634 §2, RFC 3602, RFC 2404, RFC 4868 §2.6. */
const CIPHERS: Readonly<Record<Cipher, Aead | Pair>> = {
  aes128gcm16: { aead: "rfc4106(gcm(aes))", keyBytes: 16 + SALT_BYTES, icvBits: 128 },
  aes256gcm16: { aead: "rfc4106(gcm(aes))", keyBytes: 32 + SALT_BYTES, icvBits: 128 },
  chacha20poly1305: {
    aead: "rfc7539esp(chacha20,poly1305)",
    keyBytes: 32 + SALT_BYTES,
    icvBits: 128,
  },
  "aes128-sha1": pair(16, "hmac(sha1)", 20, 96),
  "aes128-sha256": pair(16, "hmac(sha256)", 32, 128),
  "aes256-sha512": pair(32, "hmac(sha512)", 64, 256),
}

function pair(keyBytes: number, integrity: string, integrityBytes: number, icvBits: number): Pair {
  return { encryption: "cbc(aes)", keyBytes, integrity, integrityBytes, icvBits }
}

/** Bytes of key that one direction needs. */
export function keyBytes(cipher: Cipher): number {
  const found = CIPHERS[cipher]
  return found.keyBytes + ("aead" in found ? 0 : found.integrityBytes)
}

/**
 * What the kernel is told.
 *
 * @param key as many bytes as {@link keyBytes} says
 * @throws LariatError internal for another number, without a word of the key
 */
export function protectionOf(cipher: Cipher, key: Uint8Array): XfrmProtection {
  if (key.length !== keyBytes(cipher)) {
    throw new LariatError(
      `Cannot use a key for ${cipher}: it has ${key.length} bytes, not ${keyBytes(cipher)}`,
      { code: "internal" },
    )
  }
  const found = CIPHERS[cipher]
  if ("aead" in found) return { aead: { name: found.aead, key, icvBits: found.icvBits } }
  const { encryption, integrity, icvBits } = found
  return {
    encryption: { name: encryption, key: key.subarray(0, found.keyBytes) },
    integrity: { name: integrity, key: key.subarray(found.keyBytes), icvBits },
  }
}
