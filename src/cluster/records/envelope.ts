/** The one text format of every record that a host signs, and the checks on the way in. */

import { timingSafeEqual } from "node:crypto"
import { type ErrorDetails, LariatError } from "../../errors.ts"
import { MAX_VALUE_BYTES } from "../store/store.ts"
import { type HostIdentity, verifySignature } from "./identity.ts"
import type { PreSharedKey } from "./psk.ts"

/**
 * The most that an envelope has, bytes: little enough that a store full of them costs no host its
 * memory.
 */
export const MAX_ENVELOPE_BYTES = MAX_VALUE_BYTES
/** Format and version; the first word of the text. */
const MAGIC = "lariat1"
const LABEL = "envelope"
/** Bytes of HMAC-SHA-256 and of an Ed25519 signature. */
const MAC_BYTES = 32
const SIGNATURE_BYTES = 64

/** Visible ASCII without blanks: what stands in the first line cannot end it. */
const WORD = /^[\x21-\x7e]{1,512}$/
const KIND = /^[a-z][a-z0-9-]{0,31}$/
/** A host's id: `/` would make another key of the store of it. */
export const HOST_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const SEQUENCE = /^(0|[1-9][0-9]{0,15})$/
const BASE64URL = /^[A-Za-z0-9_-]+$/

/** The checks of an envelope, in the order in which they are made. */
export type EnvelopeCheck =
  | "size"
  | "format"
  | "kind"
  | "key"
  | "host"
  | "mac"
  | "signature"
  | "sequence"

/** Another host's word that does not hold; `check` says which check it failed. */
export class PeerRefusedError extends LariatError {
  override readonly name = "PeerRefusedError"
  readonly check: string

  constructor(check: string, message: string, details: Omit<ErrorDetails, "code"> = {}) {
    super(message, { ...details, code: "peer-refused" })
    this.check = check
  }
}

/** What is signed beside the body. */
export interface SignOptions {
  /** The store's key under which it will stand: nobody can move it to another one. */
  readonly key: string
  readonly hostId: string
  /** Grows with each envelope of the host under the key; a safe integer from 0. */
  readonly sequence: number
  readonly identity: HostIdentity
  /** Undefined in a cluster that has none. */
  readonly psk: PreSharedKey | undefined
}

/**
 * Seals a record. The text has two lines: `lariat1 <mac or -> <kind> <key> <host> <sequence>
 * <signature>`, then the body's JSON, byte for byte as it was signed, so that nothing depends on how
 * JSON is written. The signature covers all but itself and the MAC, under a label of its own; the
 * MAC covers all but itself.
 *
 * @param kind what the body is: lower-case letters, digits, hyphens
 * @throws LariatError config-invalid when it is longer than 64 KiB; internal for a bad kind, key,
 *   host or sequence
 */
export function sign(kind: string, body: unknown, options: SignOptions): string {
  const { key, hostId, sequence, identity, psk } = options
  const json = JSON.stringify(body)
  const valid =
    KIND.test(kind) &&
    WORD.test(key) &&
    HOST_ID.test(hostId) &&
    Number.isSafeInteger(sequence) &&
    sequence >= 0 &&
    json !== undefined
  if (!valid) {
    throw new LariatError(
      `Cannot sign a record: kind ${kind}, key ${key}, host ${hostId} or sequence ${sequence} is none`,
      { code: "internal" },
    )
  }
  const head = `${kind} ${key} ${hostId} ${sequence}`
  const signature = text64(identity.sign(LABEL, signedText(head, json)))
  const rest = `${head} ${signature}\n${json}`
  const text = `${MAGIC} ${psk === undefined ? "-" : text64(psk.mac(rest))} ${rest}`
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_ENVELOPE_BYTES) {
    throw new LariatError(
      `Cannot publish ${key}: it has ${bytes} bytes, and ${MAX_ENVELOPE_BYTES} is the most`,
      { code: "config-invalid", hint: "give the host or the container fewer or shorter labels" },
    )
  }
  return text
}

/** What an envelope must be. */
export interface VerifyOptions {
  readonly kind: string
  /** The store's key at which it was read. */
  readonly key: string
  readonly hostId: string
  /** The host's, from where it is pinned. */
  readonly publicKey: string
  /** Undefined in a cluster that has none; an envelope with a MAC is refused then. */
  readonly psk: PreSharedKey | undefined
  /** The highest sequence seen of this host under this key; default none. */
  readonly lastSequence?: number | undefined
}

/** What is in an envelope that passed all checks. */
export interface Verified {
  /** JSON; what it means is for its own parser to check. */
  readonly body: unknown
  /** At least {@link VerifyOptions.lastSequence}; the same means the same record read again. */
  readonly sequence: number
}

/** An envelope taken apart and nothing of it believed. */
interface Parts {
  readonly mac: string
  readonly kind: string
  readonly key: string
  readonly hostId: string
  readonly sequence: number
  readonly signature: Uint8Array
  readonly json: string
  /** What the MAC covers. */
  readonly rest: string
}

/**
 * Opens an envelope. The MAC is checked before the signature: it costs a hundredth, so whoever
 * does not hold the key cannot keep a host busy with signatures.
 *
 * @throws PeerRefusedError (`peer-refused`) naming the check: size, format, kind, key, host, mac,
 *   signature, sequence
 */
export function verify(text: string, options: VerifyOptions): Verified {
  const { kind, key, hostId, publicKey, psk, lastSequence = 0 } = options
  const refuse = (check: EnvelopeCheck, why: string, hint?: string): PeerRefusedError =>
    new PeerRefusedError(check, `Cannot take ${key} of host ${hostId}: ${check}: ${why}`, { hint })

  const parts = takeApart(text, refuse)
  if (parts.kind !== kind) throw refuse("kind", `it is ${shown(parts.kind)} and not ${kind}`)
  if (parts.key !== key) throw refuse("key", `it was written to ${shown(parts.key)}`)
  if (parts.hostId !== hostId) throw refuse("host", `it is of ${shown(parts.hostId)}`)
  checkMac(parts, psk, refuse)
  const signed = signedText(`${kind} ${key} ${hostId} ${parts.sequence}`, parts.json)
  if (!verifySignature(publicKey, LABEL, signed, parts.signature)) {
    throw refuse("signature", "it is not by the key that the host is known by")
  }
  if (parts.sequence < lastSequence) {
    throw refuse("sequence", `${parts.sequence} is older than ${lastSequence}, seen before`)
  }
  try {
    return { body: JSON.parse(parts.json), sequence: parts.sequence }
  } catch (cause) {
    throw new PeerRefusedError(
      "format",
      `Cannot take ${key} of host ${hostId}: format: its body is no JSON`,
      { cause },
    )
  }
}

/**
 * What an envelope says without a single check: for the record that brings its own public key, and
 * for diagnosis. Whoever uses it must {@link open} the envelope before believing it.
 *
 * @returns undefined where it is no envelope
 */
export function peek(
  text: string,
): { readonly hostId: string; readonly body: unknown } | undefined {
  try {
    const parts = takeApart(text, (check, why) => new PeerRefusedError(check, why))
    return { hostId: parts.hostId, body: JSON.parse(parts.json) }
  } catch {
    return undefined
  }
}

type Refuse = (check: EnvelopeCheck, why: string, hint?: string) => PeerRefusedError

function takeApart(text: string, refuse: Refuse): Parts {
  // The length in UTF-16 units is never more than that in bytes: the cheap test comes first.
  if (text.length > MAX_ENVELOPE_BYTES || Buffer.byteLength(text) > MAX_ENVELOPE_BYTES) {
    throw refuse("size", `it has more than ${MAX_ENVELOPE_BYTES} bytes`)
  }
  const end = text.indexOf("\n")
  const words = end < 0 ? [] : text.slice(0, end).split(" ", 8)
  const [magic, mac, kind, key, hostId, sequence, signature] = words
  if (
    words.length !== 7 ||
    magic === undefined ||
    mac === undefined ||
    kind === undefined ||
    key === undefined ||
    hostId === undefined ||
    sequence === undefined ||
    signature === undefined
  ) {
    throw refuse("format", "its first line is not that of an envelope")
  }
  if (magic !== MAGIC) {
    throw refuse(
      "format",
      `it is ${shown(magic)} and not ${MAGIC}`,
      "are the agents of all hosts of versions that go together?",
    )
  }
  const signatureBytes = bytes64(signature, SIGNATURE_BYTES)
  const valid = KIND.test(kind) && WORD.test(key) && HOST_ID.test(hostId) && SEQUENCE.test(sequence)
  if (!valid || signatureBytes === undefined || !Number.isSafeInteger(Number(sequence))) {
    throw refuse("format", "a word of its first line is out of shape")
  }
  return {
    ...{ mac, kind, key, hostId },
    sequence: Number(sequence),
    signature: signatureBytes,
    json: text.slice(end + 1),
    rest: text.slice(MAGIC.length + 1 + mac.length + 1),
  }
}

function checkMac(parts: Parts, psk: PreSharedKey | undefined, refuse: Refuse): void {
  if (psk === undefined) {
    if (parts.mac === "-") return
    const hint = "set pskFile on this host"
    throw refuse("mac", "it has one, and this host has no pre-shared key", hint)
  }
  const hint = "give all hosts the same PSK file"
  if (parts.mac === "-") throw refuse("mac", "it has none: the host has no pre-shared key", hint)
  const mac = bytes64(parts.mac, MAC_BYTES)
  if (mac === undefined || !timingSafeEqual(mac, psk.mac(parts.rest))) {
    throw refuse("mac", "it was not made with this cluster's pre-shared key", hint)
  }
}

function signedText(head: string, json: string): string {
  return `${head}\n${json}`
}

function text64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url")
}

/** The bytes of base64url; undefined where they are not so many or not written in the one way. */
function bytes64(text: string, length: number): Uint8Array | undefined {
  if (!BASE64URL.test(text)) return undefined
  const bytes = Buffer.from(text, "base64url")
  return bytes.length === length && bytes.toString("base64url") === text ? bytes : undefined
}

/** A stranger's word in a message: short, and in quotes. */
function shown(word: string): string {
  return JSON.stringify(word.length > 64 ? `${word.slice(0, 64)}…` : word)
}
