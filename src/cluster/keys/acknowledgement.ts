/** What a host says it has done with the announcements of all others: one record for all. */

import * as z from "zod/mini"
import { HOST_ID } from "../records/envelope.ts"
import { bodyReader, integer } from "../records/record_body.ts"
import { MAX_ERA } from "./announcement.ts"

/** More hosts than this are not named one by one: `*` says that all must wait. */
const MAX_REFUSED = 512
/** Names every host. */
const ALL = "*"

/** The record under `acks/<hostId>`. */
export interface Acknowledgement {
  /** The era that the revision is of; see {@link Announcement.era}. */
  readonly era: number
  /**
   * Everything under `keys/` and `acks/` up to this revision of the store has been acted on here:
   * inbound associations are in the kernel, and what could be switched to newer ones was.
   */
  readonly revision: number
  /** The own newest generation then: pairs were made with it. */
  readonly generation: number
  /** Hosts whose announcement was not taken, sorted: for them the record says nothing. */
  readonly refused: readonly string[]
}

/** The acknowledgement as JSON for an envelope; more than 512 refused hosts become `*`. */
export function acknowledgementBody(acknowledgement: Acknowledgement): unknown {
  const { era, revision, generation, refused } = acknowledgement
  return { era, revision, generation, refused: refused.length > MAX_REFUSED ? [ALL] : refused }
}

const refusedHost = z.string().check(z.refine((host) => host === ALL || HOST_ID.test(host)))

/** @throws PeerRefusedError (`peer-refused`) naming what is wrong */
export const parseAcknowledgement: (body: unknown) => Acknowledgement = bodyReader(
  "acknowledgement",
  z.object({
    era: integer(0, MAX_ERA),
    revision: integer(0, Number.MAX_SAFE_INTEGER),
    generation: integer(1, Number.MAX_SAFE_INTEGER),
    refused: z.array(refusedHost).check(z.maxLength(MAX_REFUSED)),
  }),
)

/** Whether the record says that it did not take the announcement of a host. */
export function refuses(acknowledgement: Acknowledgement, hostId: string): boolean {
  return acknowledgement.refused.includes(hostId) || acknowledgement.refused.includes(ALL)
}

/** Whether two records say the same. */
export function sameAcknowledgement(one: Acknowledgement, other: Acknowledgement): boolean {
  return JSON.stringify(acknowledgementBody(one)) === JSON.stringify(acknowledgementBody(other))
}
