/** The pre-shared key of a cluster, and the keys that are made from it. */

import { createHmac, hkdfSync } from "node:crypto"
import { inspect } from "node:util"
import { LariatError } from "../../errors.ts"

/** Less than this is no key: RFC 8784 §6 wants 256 bits of entropy against a quantum computer. */
const LEAST_BYTES = 32
/** A longer file is no key file but a mistake, and would be hashed at each start. */
const MOST_BYTES = 4096
/** Bytes of every key made from it: the output of SHA-256. */
const KEY_BYTES = 32

const SALT = "lariat psk 1"
const HINT = "make one with `openssl rand -base64 48` and give the same file to every host"

/**
 * The pre-shared key of a cluster. It makes keys for one purpose each and shows itself to nobody:
 * text, JSON and inspection say `[pre-shared key]`.
 */
export class PreSharedKey {
  readonly #material: Uint8Array
  readonly #cluster: string
  readonly #macKey: Uint8Array
  readonly #ppk: Uint8Array

  /**
   * @param material the bytes of the key; a copy is kept
   * @param options.cluster name of the cluster, default `default`: a key given to two clusters by
   *   mistake makes different keys in each
   * @throws LariatError config-invalid where there are less than 32 or more than 4096 bytes
   */
  constructor(material: Uint8Array, options: { readonly cluster?: string } = {}) {
    checkLength(material.length)
    // Not slice(): a Buffer's shares its memory.
    this.#material = Uint8Array.from(material)
    this.#cluster = options.cluster ?? "default"
    this.#macKey = this.#expand("envelope mac")
    this.#ppk = this.#expand("ppk")
  }

  /** HMAC-SHA-256 with the key that is for envelopes alone. */
  mac(data: Uint8Array | string): Uint8Array {
    return createHmac("sha256", this.#macKey).update(data).digest()
  }

  /**
   * The post-quantum pre-shared key of RFC 8784 §3, 32 bytes: for key agreement alone. It is not
   * the file's text itself, so that what leaks of one purpose says nothing about another. A copy;
   * the caller wipes it.
   */
  ppk(): Uint8Array {
    return this.#ppk.slice()
  }

  /**
   * A secret that only holders of the key can make, for one pair of hosts: the same whichever host
   * comes first. WireGuard's preshared key is one.
   *
   * @param label says what it is for
   * @returns 32 bytes
   */
  pairSecret(label: string, hostA: string, hostB: string): Uint8Array {
    const [first, second] = hostA < hostB ? [hostA, hostB] : [hostB, hostA]
    return this.#expand("pair secret", label, first, second)
  }

  /** Overwrites every key; the object is of no use after. */
  wipe(): void {
    for (const bytes of [this.#material, this.#macKey, this.#ppk]) bytes.fill(0)
  }

  toString(): string {
    return "[pre-shared key]"
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }

  /** HKDF-SHA-256 (RFC 5869). Each word has its length before it, so no two lists are the same. */
  #expand(...words: readonly string[]): Uint8Array {
    const info = ["lariat 1", this.#cluster, ...words].map((word) => `${utf8(word).length}:${word}`)
    return new Uint8Array(
      hkdfSync("sha256", this.#material, utf8(SALT), utf8(info.join("")), KEY_BYTES),
    )
  }
}

/**
 * The key that a PSK file holds: its text without one newline at its end, byte for byte. Nothing is
 * decoded: `openssl rand -base64 48` is 64 bytes of key.
 *
 * @param text of the file
 * @param options.cluster as {@link PreSharedKey}
 * @throws LariatError config-invalid with what is wrong, never with what the text says
 */
export function parsePsk(
  text: string | Uint8Array,
  options: { readonly cluster?: string } = {},
): PreSharedKey {
  const bytes = typeof text === "string" ? utf8(text) : text
  return new PreSharedKey(bytes.subarray(0, bytes.length - newlineBytes(bytes)), options)
}

/** An editor on another system ends the last line with CR LF: the same key all the same. */
function newlineBytes(bytes: Uint8Array): number {
  if (bytes.at(-1) !== 0x0a) return 0
  return bytes.at(-2) === 0x0d ? 2 : 1
}

function checkLength(length: number): void {
  if (length >= LEAST_BYTES && length <= MOST_BYTES) return
  const why =
    length === 0
      ? "it is empty"
      : length < LEAST_BYTES
        ? `it has ${length} bytes, and ${LEAST_BYTES} is the least`
        : `it has ${length} bytes, and ${MOST_BYTES} is the most`
  throw new LariatError(`Cannot use the pre-shared key: ${why}`, {
    code: "config-invalid",
    hint: HINT,
  })
}

const encoder = new TextEncoder()

function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}
