/** Trust at first sight: which key and number each host had when this one first met it. */

import { LariatError } from "../../errors.ts"
import { PeerRefusedError, type VerifyOptions, verify } from "./envelope.ts"
import { fingerprint, isPublicKey } from "./identity.ts"
import type { IdentityRecord } from "./identity_record.ts"
import { MAX_HOST_NUMBER } from "./spi.ts"

/**
 * Records of one host at a time: a bound on what a host that went bad can make the others remember.
 * More than a host has (a bridge holds 1,024 ports).
 */
export const MAX_KEYS_PER_HOST = 32_768
/** Records of one host that are gone and whose sequence is remembered one by one. */
const MAX_GONE_PER_HOST = 4096

/** What ends a dispute about an id or a number: pins are for good. */
const JOIN_ANEW = "start it with an empty state directory: it joins as a new host"

/** One pinned host, as it is stored. */
export interface PinRow {
  readonly hostId: string
  readonly publicKey: string
  readonly number: number
}

/** The highest sequence seen of one record, as it is stored. */
export interface SequenceRow {
  readonly hostId: string
  /** The store's key of the record. */
  readonly key: string
  readonly sequence: number
}

/** What is to be stored. */
export interface PinRows {
  readonly pins: readonly PinRow[]
  readonly sequences: readonly SequenceRow[]
}

interface Pin extends IdentityRecord {
  readonly sequences: Map<string, number>
  /** Keys of {@link sequences} whose record is gone, in the order in which they went. */
  readonly gone: Set<string>
  /** No record that was not seen yet is as old: it is one of those that went, put back by somebody. */
  floor: number
}

/**
 * The hosts that this one knows. The first key and number of a host are kept for good, whatever the
 * store says later: who can write to the store, and who holds the PSK, still cannot speak as a host
 * that was seen before.
 */
export class Pins {
  readonly #pins = new Map<string, Pin>()
  readonly #hostOfNumber = new Map<number, string>()

  /**
   * @param rows as {@link rows} gave them; default none
   * @throws LariatError decode where they contradict each other
   */
  constructor(rows: PinRows = { pins: [], sequences: [] }) {
    for (const { hostId, publicKey, number } of rows.pins) {
      const bad =
        !isPublicKey(publicKey) ||
        !Number.isInteger(number) ||
        number < 1 ||
        number > MAX_HOST_NUMBER ||
        this.#pins.has(hostId) ||
        this.#hostOfNumber.has(number)
      if (bad) throw unreadable(`host ${hostId} with number ${number} is no good row`)
      this.#put(hostId, { publicKey, number })
    }
    for (const { hostId, key, sequence } of rows.sequences) {
      const pin = this.#pins.get(hostId)
      if (pin === undefined) throw unreadable(`a sequence of host ${hostId}, which is not pinned`)
      if (!Number.isSafeInteger(sequence) || sequence < 0) throw unreadable(`sequence ${sequence}`)
      pin.sequences.set(key, sequence)
    }
  }

  /** The pinned key and number of a host; undefined where it was never seen. */
  get(hostId: string): IdentityRecord | undefined {
    const pin = this.#pins.get(hostId)
    return pin && { publicKey: pin.publicKey, number: pin.number }
  }

  /** The host that has a number. */
  hostOf(number: number): string | undefined {
    return this.#hostOfNumber.get(number)
  }

  /**
   * Takes an identity that was opened, and pins it where the host is new.
   *
   * @throws PeerRefusedError `public-key` where the host is known by another key; `number` where it
   *   is known by another number or the number is another host's
   */
  take(hostId: string, record: IdentityRecord): void {
    const { publicKey, number } = record
    const known = this.#pins.get(hostId)
    if (known !== undefined && known.publicKey !== publicKey) {
      throw new PeerRefusedError(
        "public-key",
        `Cannot take the identity of host ${hostId}: public-key: it is ${fingerprint(publicKey)}, and the host is known by ${fingerprint(known.publicKey)}`,
        {
          hint: `give the host its identity back from a backup, or ${JOIN_ANEW}; else it is somebody who poses as it`,
        },
      )
    }
    const owner = this.#hostOfNumber.get(number)
    if (owner !== undefined && owner !== hostId) {
      throw new PeerRefusedError(
        "number",
        `Cannot take the identity of host ${hostId}: number: ${number} is host ${owner}'s`,
        { hint: `if host ${hostId} is one of yours, ${JOIN_ANEW}` },
      )
    }
    if (known !== undefined && known.number !== number) {
      throw new PeerRefusedError(
        "number",
        `Cannot take the identity of host ${hostId}: number: it is ${number}, and the host is known by ${known.number}`,
        { hint: `if it is one of yours, ${JOIN_ANEW}` },
      )
    }
    if (known === undefined) this.#put(hostId, record)
  }

  /**
   * Opens an envelope with what is pinned of its host, and remembers its sequence: an older one
   * under the same key is refused from now on.
   *
   * @returns the body
   * @throws PeerRefusedError `unknown-host` where the host has no pin; `limit` where it has more
   *   records than a host can have; else what {@link verify} says
   */
  verify(text: string, options: Omit<VerifyOptions, "publicKey" | "lastSequence">): unknown {
    const { hostId, key } = options
    const pin = this.#pins.get(hostId)
    if (pin === undefined) {
      throw new PeerRefusedError(
        "unknown-host",
        `Cannot take ${key} of host ${hostId}: unknown-host: its identity was not seen yet`,
      )
    }
    const last = pin.sequences.get(key) ?? (pin.floor > 0 ? pin.floor + 1 : undefined)
    const { body, sequence } = verify(text, {
      ...options,
      publicKey: pin.publicKey,
      lastSequence: last,
    })
    pin.gone.delete(key)
    const isNew = !pin.sequences.has(key)
    if (isNew && pin.sequences.size - pin.gone.size >= MAX_KEYS_PER_HOST) {
      throw new PeerRefusedError(
        "limit",
        `Cannot take ${key} of host ${hostId}: limit: it has ${MAX_KEYS_PER_HOST} records already`,
      )
    }
    pin.sequences.set(key, sequence)
    return body
  }

  /**
   * The record of a key is gone. An older one under it is refused yet: by its sequence, and when
   * many have gone after it, by the highest of theirs.
   */
  forget(key: string): void {
    for (const pin of this.#pins.values()) {
      if (!pin.sequences.has(key)) continue
      pin.gone.add(key)
      if (pin.gone.size > MAX_GONE_PER_HOST) dropOldest(pin)
    }
  }

  /** Everything, to be stored. */
  rows(): PinRows {
    const pins = [...this.#pins].map(([hostId, pin]) => rowOf(hostId, pin))
    const sequences = [...this.#pins].flatMap(([hostId, pin]) =>
      [...pin.sequences].map(([key, sequence]) => ({ hostId, key, sequence })),
    )
    return { pins, sequences }
  }

  #put(hostId: string, { publicKey, number }: IdentityRecord): void {
    this.#pins.set(hostId, {
      ...{ publicKey, number, sequences: new Map(), gone: new Set() },
      floor: 0,
    })
    this.#hostOfNumber.set(number, hostId)
  }
}

/** Remembers the first half of what went by one number. */
function dropOldest(pin: Pin): void {
  let left = pin.gone.size / 2
  for (const key of pin.gone) {
    if (left-- <= 0) break
    pin.floor = Math.max(pin.floor, pin.sequences.get(key) ?? 0)
    pin.sequences.delete(key)
    pin.gone.delete(key)
  }
}

function rowOf(hostId: string, pin: Pin): PinRow {
  return { hostId, publicKey: pin.publicKey, number: pin.number }
}

function unreadable(why: string): LariatError {
  return new LariatError(`Cannot read the pinned hosts: ${why}`, {
    code: "decode",
    hint: "the state of this host is damaged; put it back from a backup",
  })
}
