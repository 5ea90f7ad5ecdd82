import { createHash } from "node:crypto"
import { LariatError } from "../errors.ts"
import type { HostIdentity } from "./identity.ts"
import { openIdentity, sealIdentity } from "./identity_record.ts"
import type { Keyspace } from "./keyspace.ts"
import type { PreSharedKey } from "./psk.ts"
import { MAX_HOST_NUMBER } from "./spi.ts"
import type { Store } from "./store.ts"

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
 * as after the store was put back from an older snapshot, is registered again with its number.
 *
 * @returns the host's number
 * @throws LariatError `store-away`; `peer-refused` when the store has another key for this host;
 *   `busy`
 */
export async function register(options: RegistrationOptions): Promise<number> {
  const { store, keys, hostId, identity, psk } = options
  const key = keys.identity(hostId)
  let number = options.number ?? placeOf(hostId)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const standing = await store.get(key)
    if (standing !== undefined) return checkOwn(standing.value, options)
    const numberKey = keys.number(number)
    const taken = await store.get(numberKey)
    const owner = taken?.value
    if (owner !== undefined && owner !== hostId) {
      if (options.number !== undefined) {
        throw new LariatError(
          `Cannot register this host: its number ${number} is host ${owner}'s in the store`,
          {
            code: "peer-refused",
            hint: "two hosts share a copied state directory, or the store is another cluster's",
          },
        )
      }
      number = (number % MAX_HOST_NUMBER) + 1
      continue
    }
    const value = sealIdentity(identity, { key, hostId, psk, number })
    const conditions = [
      { key, revision: 0 },
      { key: numberKey, revision: taken?.revision ?? 0 },
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

/** The number in a record that must be our own. */
function checkOwn(text: string, { keys, hostId, identity, psk }: RegistrationOptions): number {
  const record = openIdentity(text, { key: keys.identity(hostId), hostId, psk })
  if (record.publicKey === identity.publicKey) return record.number
  throw new LariatError(
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
