/** Who a host is: an Ed25519 key pair (RFC 8032) that is made once and signs what the host says. */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto"
import { inspect } from "node:util"
import { LariatError } from "../../errors.ts"

/** Bytes of a private key (its seed) and of a public key, RFC 8032 §5.1.5. */
const KEY_BYTES = 32
/** Bytes of a signature, RFC 8032 §5.1.6. */
const SIGNATURE_BYTES = 64
/** DER of a PKCS#8 private key before its seed, RFC 8410 §7. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex")
/** base64url without padding of 32 bytes; the last digit holds four bits. */
const PUBLIC_KEY = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** A host's key pair. Neither text nor JSON nor inspection shows the private key. */
export class HostIdentity {
  readonly #privateKey: KeyObject
  /** The public key as others know it: base64url of its 32 bytes, 43 characters. */
  readonly publicKey: string

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey
    this.publicKey = publicText(privateKey)
  }

  /** @param random gives so many bytes from the system's generator */
  static create(random: (bytes: number) => Uint8Array): HostIdentity {
    const seed = random(KEY_BYTES)
    if (seed.length !== KEY_BYTES) {
      throw new LariatError(`Cannot make a host identity: got ${seed.length} random bytes`, {
        code: "internal",
      })
    }
    const der = Buffer.concat([PKCS8_HEAD, seed])
    try {
      return new HostIdentity(createPrivateKey({ key: der, format: "der", type: "pkcs8" }))
    } finally {
      der.fill(0)
      seed.fill(0)
    }
  }

  /**
   * The identity that a file holds.
   *
   * @param text PKCS#8 as PEM, or a JWK (RFC 8037) as JSON
   * @throws LariatError config-invalid, without a word of the text
   */
  static load(text: string): HostIdentity {
    let key: KeyObject
    try {
      key = text.trimStart().startsWith("{")
        ? createPrivateKey({ key: JSON.parse(text), format: "jwk" })
        : createPrivateKey(text)
    } catch {
      // What the parser says may quote the text: it is not passed on.
      throw unusable("it is neither a PKCS#8 key in PEM nor a JWK with its private part")
    }
    if (key.asymmetricKeyType !== "ed25519") {
      throw unusable(`its key is of the kind ${key.asymmetricKeyType ?? "unknown"}, not ed25519`)
    }
    return new HostIdentity(key)
  }

  /** The private key for its file, PKCS#8 as PEM: the one way by which it leaves. */
  toPem(): string {
    return String(this.#privateKey.export({ format: "pem", type: "pkcs8" }))
  }

  /** What people compare: see {@link fingerprint}. */
  get fingerprint(): string {
    return fingerprint(this.publicKey)
  }

  /**
   * @param label what is signed: a signature under one label never holds under another
   * @returns 64 bytes
   */
  sign(label: string, data: Uint8Array | string): Uint8Array {
    return signBytes(null, labelled(label, data), this.#privateKey)
  }

  toString(): string {
    return `[host identity ${this.fingerprint}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}

/** Whether a text is a public key: 43 characters of base64url in the one way to write them. */
export function isPublicKey(text: string): boolean {
  return PUBLIC_KEY.test(text)
}

/** Whether a signature holds; false for anything that is no key or no signature. Never throws. */
export function verifySignature(
  publicKey: string,
  label: string,
  data: Uint8Array | string,
  signature: Uint8Array,
): boolean {
  if (!isPublicKey(publicKey) || signature.length !== SIGNATURE_BYTES) return false
  try {
    const key = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: publicKey },
      format: "jwk",
    })
    return verifyBytes(null, labelled(label, data), key, signature)
  } catch {
    return false // 32 bytes that are no point of the curve
  }
}

/**
 * What people compare: `SHA256:` and base64 without padding of the hash of the 32 bytes of the key.
 * It looks like OpenSSH's but is not the same, which hashes a header too.
 */
export function fingerprint(publicKey: string): string {
  const hash = createHash("sha256").update(Buffer.from(publicKey, "base64url"))
  return `SHA256:${hash.digest("base64").replace(/=+$/, "")}`
}

function publicText(key: KeyObject): string {
  const { x } = createPublicKey(key).export({ format: "jwk" })
  if (typeof x === "string" && isPublicKey(x)) return x
  throw new LariatError("Cannot read a host identity: its public key has an odd form", {
    code: "internal",
  })
}

/** The label cannot hold a zero byte, so it ends where the first one stands. */
function labelled(label: string, data: Uint8Array | string): Buffer {
  if (label.includes("\0")) {
    throw new LariatError("Cannot sign: the label holds a zero byte", { code: "internal" })
  }
  const head = Buffer.from(`lariat 1 ${label}\0`)
  return Buffer.concat([head, typeof data === "string" ? Buffer.from(data) : data])
}

function unusable(why: string): LariatError {
  return new LariatError(`Cannot load the host identity: ${why}`, {
    code: "config-invalid",
    hint: "put the file back from a backup, or take the state directory away: the host joins as a new one then",
  })
}
