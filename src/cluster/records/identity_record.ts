/** The record under `identities/<hostId>`: a host's public key and number, signed by that key. */

import * as z from "zod/mini"
import { peek, sign, verify } from "./envelope.ts"
import { type HostIdentity, isPublicKey } from "./identity.ts"
import type { PreSharedKey } from "./psk.ts"
import { bodyReader, integer, text } from "./record_body.ts"
import { MAX_HOST_NUMBER } from "./spi.ts"

const KIND = "identity"
const PUBLIC_KEY = /^[A-Za-z0-9_-]{43}$/

/** Who a host says it is. */
export interface IdentityRecord {
  /** Ed25519, 43 characters of base64url. */
  readonly publicKey: string
  /** Unique in the cluster, 1 to 65535. */
  readonly number: number
}

const read: (body: unknown) => IdentityRecord = bodyReader(
  KIND,
  z.object({ publicKey: text(PUBLIC_KEY), number: integer(1, MAX_HOST_NUMBER) }),
)

/** Where an identity record stands. */
export interface IdentityPlace {
  /** The store's key. */
  readonly key: string
  readonly hostId: string
  readonly psk: PreSharedKey | undefined
}

/** Seals the record of a host's own identity. It is written once, so its sequence is 0. */
export function sealIdentity(
  identity: HostIdentity,
  options: IdentityPlace & { readonly number: number },
): string {
  const { number, ...place } = options
  const record: IdentityRecord = { publicKey: identity.publicKey, number }
  return sign(KIND, record, { ...place, sequence: 0, identity })
}

/**
 * Opens an identity record with the key that it brings: it proves that who wrote it holds that key
 * and the cluster's PSK, and nothing else. Whether to believe it is for the pins to say.
 *
 * @throws PeerRefusedError (`peer-refused`) naming the check
 */
export function openIdentity(text: string, place: IdentityPlace): IdentityRecord {
  const claimed = peek(text)
  const publicKey = claimed === undefined ? "" : publicKeyOf(claimed.body)
  const { body } = verify(text, { ...place, kind: KIND, publicKey })
  return read(body)
}

function publicKeyOf(body: unknown): string {
  if (typeof body !== "object" || body === null || !("publicKey" in body)) return ""
  const { publicKey } = body
  return typeof publicKey === "string" && isPublicKey(publicKey) ? publicKey : ""
}
