/**
 * From two hosts' published values to the keys of their associations: "IPsec Key Exchange using a
 * Controller" (draft-carrel-ipsecme-controller-ike-01) with the arithmetic of IKEv2.
 *
 * As in the draft, each device gives one Diffie-Hellman public value and one nonce to the controller
 * (here: the store) for all its peers, and each pair makes its keys from both without a message to
 * each other. As in IKEv2 (RFC 7296), prf is HMAC-SHA-256 (RFC 4868) and the group is Curve25519
 * (RFC 8031). What differs, and why, is said at each step.
 */

import { createHmac, createPrivateKey, createPublicKey, diffieHellman } from "node:crypto"
import type { Cipher } from "../../core/encapsulation.ts"
import { LariatError } from "../../errors.ts"
import { PeerRefusedError } from "../records/envelope.ts"
import { encodeSpi } from "../records/spi.ts"
import { PUBLIC_VALUE_BYTES, type PublicGeneration } from "./announcement.ts"

/** DER of an X25519 private key (PKCS#8) and a public one (SPKI) before their 32 bytes, RFC 8410. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex")
const SPKI_HEAD = Buffer.from("302a300506032b656e032100", "hex")
/** Bytes that HMAC-SHA-256 gives, and of the keys it takes here. */
const PRF_BYTES = 32

/**
 * Bytes of keying material per direction. AEADs: the key, then the salt of 4 bytes (RFC 4106 §8.1,
 * RFC 7634 §2). Others: the encryption key, then the integrity key (RFC 7296 §2.17), of 16 or 32
 * bytes, and as long as its hash (RFC 2404 §3, RFC 4868 §2.1.1).
 */
const KEYMAT_BYTES: Readonly<Record<Cipher, number>> = {
  aes256gcm16: 32 + 4,
  aes128gcm16: 16 + 4,
  chacha20poly1305: 32 + 4,
  "aes128-sha1": 16 + 20,
  "aes128-sha256": 16 + 32,
  "aes256-sha512": 32 + 64,
}

/** One direction of an association: what the kernel needs besides addresses and cipher. */
export interface SaPairKey {
  /** Host byte order. */
  readonly spi: number
  /** As the kernel takes it: see {@link keymatBytes}. */
  readonly key: Uint8Array
}

/** One side of a pair of generations. */
export interface PairSide {
  readonly hostId: string
  /** Host number, 1 to 65535. */
  readonly number: number
  readonly generation: PublicGeneration
}

/** A network that a pair has keys for. */
export interface KeyedNetwork {
  /** 0 to 15. */
  readonly number: number
  readonly cipher: Cipher
}

/** Bytes of key for one direction: AEAD key and salt, or encryption key and integrity key. */
export function keymatBytes(cipher: Cipher): number {
  return KEYMAT_BYTES[cipher]
}

/** prf of RFC 7296 §2.13: HMAC-SHA-256. */
function prf(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(data).digest()
}

/**
 * prf+ of RFC 7296 §2.13: T1 = prf(K, S | 0x01), T2 = prf(K, T1 | S | 0x02), … one after another.
 * It is HKDF-Expand (RFC 5869 §2.3) by another name.
 *
 * @param length bytes, at most 255 × 32
 */
export function prfPlus(key: Uint8Array, seed: Uint8Array, length: number): Uint8Array {
  const blocks = Math.ceil(length / PRF_BYTES)
  if (!Number.isInteger(length) || length < 1 || blocks > 255) {
    throw new LariatError(`Cannot make ${length} bytes of keying material`, { code: "internal" })
  }
  const output = new Uint8Array(blocks * PRF_BYTES)
  let last: Uint8Array = new Uint8Array(0)
  for (let block = 1; block <= blocks; block++) {
    last = createHmac("sha256", key).update(last).update(seed).update(Uint8Array.of(block)).digest()
    output.set(last, (block - 1) * PRF_BYTES)
  }
  output.fill(0, length)
  return output.subarray(0, length)
}

/** The public value of a private one. @throws LariatError internal for another length than 32 */
export function publicValueOf(privateValue: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKey(privateValue)).export({ format: "der", type: "spki" })
  return Uint8Array.from(spki.subarray(SPKI_HEAD.length))
}

/**
 * g^ir: X25519 of the own private and the peer's public value (RFC 7748 §6.1, RFC 8031 §3).
 *
 * @param privateValue 32 random bytes
 * @throws PeerRefusedError `public-value` where the peer's lies in a small subgroup: the secret
 *   would be zero whatever the own one is, so RFC 7748 §6.1 has it checked
 */
export function sharedSecret(privateValue: Uint8Array, publicValue: Uint8Array): Uint8Array {
  let secret: Uint8Array
  try {
    if (publicValue.length !== PUBLIC_VALUE_BYTES) throw new RangeError("no 32 bytes")
    const der = Buffer.concat([SPKI_HEAD, publicValue])
    secret = diffieHellman({
      privateKey: privateKey(privateValue),
      publicKey: createPublicKey({ key: der, format: "der", type: "spki" }),
    })
  } catch (cause) {
    if (cause instanceof LariatError) throw cause
    throw smallSubgroup(cause)
  }
  // The runtimes' libraries refuse a zero themselves; that they do is nothing to rely on.
  if (secret.every((byte) => byte === 0)) throw smallSubgroup(undefined)
  return secret
}

/**
 * SKEYSEED = prf(Ni | Nr, g^ir), RFC 7296 §2.14. The nonces are of full length: only prfs with a
 * fixed key size take half of them.
 */
export function skeyseed(nonces: Uint8Array, secret: Uint8Array): Uint8Array {
  return prf(nonces, secret)
}

/** The secret from which all keys of one pair of generations come, and what they are bound to. */
export class PairKeys {
  readonly #skD: Uint8Array
  readonly #nonces: Uint8Array
  readonly #own: PairSide
  readonly #peer: PairSide

  /**
   * @param own the own side, and `privateValue` of its generation
   * @param ppk of RFC 8784, from the PSK
   * @throws PeerRefusedError `public-value`, see {@link sharedSecret}
   */
  constructor(own: PairSide, privateValue: Uint8Array, peer: PairSide, ppk: Uint8Array) {
    this.#own = own
    this.#peer = peer
    // There is no initiator: neither side sends anything to the other. The one whose host id comes
    // first is called so: both know that without asking, and no published value can change it.
    const [initiator, responder] = own.hostId < peer.hostId ? [own, peer] : [peer, own]
    this.#nonces = concat(initiator.generation.nonce, responder.generation.nonce)

    const secret = sharedSecret(privateValue, peer.generation.publicValue)
    const seed = skeyseed(this.#nonces, secret)
    // RFC 7296 §2.14 and RFC 8784 §3: SK_d' is the first part of
    // prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). The other parts (SK_ai to SK_pr) protect and
    // authenticate IKE messages: there are none, the envelopes do that. Nor is there an IKE SA to
    // have SPIi and SPIr; in their place stand the hosts, generations and public values, so that a
    // key belongs to them and nobody else even where two secrets should be equal. IKE gets that
    // binding from its AUTH payload, which signs the messages.
    const context = concat(field("lariat 1 sa"), sideOf(initiator), sideOf(responder))
    const skD1 = prfPlus(seed, concat(this.#nonces, context), PRF_BYTES)
    // RFC 8784 §3: SK_d = prf+(PPK, SK_d'). Who breaks X25519 one day still lacks the PPK; who
    // learns the PSK still lacks g^ir.
    this.#skD = prfPlus(ppk, skD1, PRF_BYTES)
    for (const bytes of [secret, seed, skD1]) bytes.fill(0)
  }

  /** The keys of both directions on one network. */
  associationKeys(network: KeyedNetwork): { inbound: SaPairKey; outbound: SaPairKey } {
    return {
      inbound: this.#direction(this.#peer, this.#own, network),
      outbound: this.#direction(this.#own, this.#peer, network),
    }
  }

  /** Overwrites the secret; no more keys come from it. */
  wipe(): void {
    this.#skD.fill(0)
  }

  /**
   * RFC 7296 §2.17: KEYMAT = prf+(SK_d, Ni | Nr). IKE takes the keys of both directions of one Child
   * SA from one stream, initiator's first, and has new nonces for the next Child SA. Here all
   * networks share the nonces, so each direction has a stream of its own: the network, the cipher,
   * who sends, who receives and the SPI follow the nonces.
   */
  #direction(sender: PairSide, receiver: PairSide, network: KeyedNetwork): SaPairKey {
    const spi = encodeSpi({
      sender: sender.number,
      network: network.number,
      receiverGeneration: receiver.generation.generation,
      senderGeneration: sender.generation.generation,
    })
    const spiBytes = Buffer.alloc(4)
    spiBytes.writeUInt32BE(spi)
    const label = concat(
      field("lariat 1 esp"),
      field(network.cipher),
      Uint8Array.of(network.number),
      field(sender.hostId),
      field(receiver.hostId),
      spiBytes,
    )
    const key = prfPlus(this.#skD, concat(this.#nonces, label), keymatBytes(network.cipher))
    return { spi, key }
  }
}

function privateKey(privateValue: Uint8Array) {
  if (privateValue.length !== PRF_BYTES) {
    throw new LariatError(`Cannot use a private value of ${privateValue.length} bytes`, {
      code: "internal",
    })
  }
  const der = Buffer.concat([PKCS8_HEAD, privateValue])
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
  } finally {
    der.fill(0)
  }
}

function sideOf(side: PairSide): Uint8Array {
  const { generation, publicValue } = side.generation
  const number = Buffer.alloc(8)
  number.writeBigUInt64BE(BigInt(generation))
  return concat(field(side.hostId), number, publicValue)
}

/** Text with its length before it (16 bits, big endian): no two lists of fields are the same bytes. */
function field(text: string): Uint8Array {
  const bytes = Buffer.from(text)
  const head = Buffer.alloc(2)
  head.writeUInt16BE(bytes.length)
  return concat(head, bytes)
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

function smallSubgroup(cause: unknown): PeerRefusedError {
  return new PeerRefusedError(
    "public-value",
    "Cannot agree on a key: public-value: the peer's gives no secret",
    { cause },
  )
}
