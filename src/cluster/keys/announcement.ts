/** What a host publishes for the agreement of keys: its public values, never anything secret. */

import * as z from "zod/mini"
import { bodyReader, bytes, integer } from "../records/record_body.ts"

/** Generations that may be in force at once: the one in use, the next, and two for stragglers. */
export const MAX_LIVE_GENERATIONS = 4
/** Bytes of an X25519 public value, RFC 7748 §5. */
export const PUBLIC_VALUE_BYTES = 32
/** Bytes of a nonce: RFC 7296 §2.10 wants at least half the prf's key, 16. */
export const NONCE_BYTES = 32
/** Eras are counted in 32 bits; see {@link Announcement.era}. */
export const MAX_ERA = 0xffff_ffff

/** The public part of one generation of a host's keys. */
export interface PublicGeneration {
  /** 1, 2, … never used twice by a host. */
  readonly generation: number
  /** X25519, 32 bytes. */
  readonly publicValue: Uint8Array
  /** 32 bytes. */
  readonly nonce: Uint8Array
}

/** The record under `keys/<hostId>`. */
export interface Announcement {
  /**
   * How often the store was put back from a snapshot, as far as the host knows: a clock after
   * Lamport. Revisions are only compared within one era, since a store that was put back gives the
   * same revisions to other writes.
   */
  readonly era: number
  /** Those in force, oldest first, one to four. New pairs are made with the last one. */
  readonly generations: readonly PublicGeneration[]
}

/** The announcement as JSON for an envelope. */
export function announcementBody(announcement: Announcement): unknown {
  return {
    era: announcement.era,
    generations: announcement.generations.map(({ generation, publicValue, nonce }) => ({
      generation,
      publicValue: Buffer.from(publicValue).toString("base64url"),
      nonce: Buffer.from(nonce).toString("base64url"),
    })),
  }
}

const generation = z.object({
  generation: integer(1, Number.MAX_SAFE_INTEGER),
  publicValue: bytes(PUBLIC_VALUE_BYTES),
  nonce: bytes(NONCE_BYTES),
})
const generations = z
  .array(generation)
  .check(z.minLength(1), z.maxLength(MAX_LIVE_GENERATIONS))
  .check(
    z.refine(
      (all) => all.every((one, at) => one.generation > (all[at - 1]?.generation ?? 0)),
      "do not go up",
    ),
  )

/** @throws PeerRefusedError (`peer-refused`) naming what is wrong */
export const parseAnnouncement: (body: unknown) => Announcement = bodyReader(
  "announcement",
  z.object({ era: integer(0, MAX_ERA), generations }),
)

/** Whether two announcements say the same. */
export function sameAnnouncement(one: Announcement, other: Announcement): boolean {
  return JSON.stringify(announcementBody(one)) === JSON.stringify(announcementBody(other))
}
