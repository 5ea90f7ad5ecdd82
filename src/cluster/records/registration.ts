import { createHash } from "node:crypto"
import { LariatError } from "../../errors.ts"
import type { Store } from "../store/store.ts"
import { PeerRefusedError } from "./envelope.ts"
import type { HostIdentity } from "./identity.ts"
import {
  type IdentityPlace,
  type IdentityRecord,
  openIdentity,
  sealIdentity,
} from "./identity_record.ts"
import type { Keyspace } from "./keyspace.ts"
import type { PreSharedKey } from "./psk.ts"
import { MAX_HOST_NUMBER } from "./spi.ts"

/** What a host is registered with. */
export interface RegistrationOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly hostId: string
  readonly identity: HostIdentity
  readonly psk: PreSharedKey | undefined
  /** The number it had before, if any. */
  readonly number?: number | undefined
}

/** Each failed commit means that another host took the number. */
const MAX_ATTEMPTS = 256

/**
 * Makes a host known to the cluster: its identity, written once, and a number that no other host
 * has. May be called again: a host that is registered stays as it is, and one whose record is gone,
 * as after the store was put back from an older snapshot, is registered again with its number. One
 * that was registered before has the better right to its own key: what somebody else wrote there, or
 * at its number without being known by it, is written over.
 *
 * @returns the host's number
 * @throws LariatError `store-away`; `peer-refused` when the store has another key for this host that
 *   was there first, or its number is another host's; `busy`
 */
export async function register(options: RegistrationOptions): Promise<number> {
  const { store, keys, hostId, identity, psk } = options
  const key = keys.identity(hostId)
  let number = options.number ?? placeOf(hostId)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const standing = await store.get(key)
    const record = standing && ownRecord(standing.value, options)
    if (record !== undefined && options.number !== record.number) return record.number
    if (standing !== undefined && record === undefined && options.number === undefined) {
      throw taken(hostId)
    }
    const numberKey = keys.number(number)
    const entry = await store.get(numberKey)
    const owner = entry?.value
    if (record !== undefined && owner === hostId) return number
    if (owner !== undefined && owner !== hostId) {
      if (options.number === undefined) {
        number = (number % MAX_HOST_NUMBER) + 1
        continue
      }
      if (record === undefined && (await isKnownBy(owner, number, options))) {
        throw new LariatError(
          `Cannot register this host: its number ${number} is host ${owner}'s in the store`,
          {
            code: "peer-refused",
            hint: "two hosts share a copied state directory, or the store is another cluster's",
          },
        )
      }
    }
    const value = sealIdentity(identity, { key, hostId, psk, number })
    const conditions = [
      { key, revision: standing?.revision ?? 0 },
      { key: numberKey, revision: entry?.revision ?? 0 },
    ]
    const { committed } = await store.commit(conditions, [
      { key, value },
      { key: numberKey, value: hostId },
    ])
    if (committed) return number
  }
  throw new LariatError("Cannot register this host: other hosts were quicker each time", {
    code: "busy",
    hint: "try again",
  })
}

/** The record that stands at this host's key; undefined where it is not of its own making. */
function ownRecord(text: string, options: RegistrationOptions): IdentityRecord | undefined {
  const { keys, hostId, identity, psk } = options
  const record = opened(text, { key: keys.identity(hostId), hostId, psk })
  return record?.publicKey === identity.publicKey ? record : undefined
}

/** Whether a host has an identity with a number. */
async function isKnownBy(
  hostId: string,
  number: number,
  { store, keys, psk }: RegistrationOptions,
): Promise<boolean> {
  const key = keys.identity(hostId)
  // Anybody can write anything there.
  if (keys.parse(key) === undefined) return false
  const entry = await store.get(key)
  return entry !== undefined && opened(entry.value, { key, hostId, psk })?.number === number
}

function opened(text: string, place: IdentityPlace): IdentityRecord | undefined {
  try {
    return openIdentity(text, place)
  } catch (error) {
    if (error instanceof PeerRefusedError) return undefined
    throw error
  }
}

function taken(hostId: string): LariatError {
  return new LariatError(
    `Cannot register this host: the store knows host ${hostId} by another key`,
    {
      code: "peer-refused",
      hint: "another host has this one's id, perhaps a copy of its disk; give each its own state directory",
    },
  )
}

/** The number that a host asks for first. */
function placeOf(hostId: string): number {
  return (createHash("sha256").update(hostId).digest().readUInt32BE(4) % MAX_HOST_NUMBER) + 1
}
