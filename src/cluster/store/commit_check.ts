/** What no store takes as a commit, so that all of them refuse the same. */

import { LariatError } from "../../errors.ts"
import type { Condition, Write } from "./store.ts"

/** etcd's --max-txn-ops, which counts conditions and writes each for itself. */
export const MAX_OPERATIONS = 128
/** Of keys and values in all, bytes: etcd's --max-request-bytes is 1.5 MiB, with its framing. */
export const MAX_COMMIT_BYTES = 1024 * 1024

/**
 * Refuses what a caller must never ask for.
 *
 * @throws LariatError internal
 */
export function checkCommit(conditions: readonly Condition[], writes: readonly Write[]): void {
  const refuse = (why: string): never => {
    throw new LariatError(`Cannot write to the store: ${why}`, { code: "internal" })
  }
  for (const [what, list] of [
    ["conditions", conditions],
    ["writes", writes],
  ] as const) {
    if (list.length > MAX_OPERATIONS) {
      refuse(`${list.length} ${what} in one commit, at most ${MAX_OPERATIONS}`)
    }
  }
  let bytes = 0
  const written = new Set<string>()
  for (const { key, value } of writes) {
    checkKey(key)
    if (written.has(key)) refuse(`${key} is written twice in one commit`)
    written.add(key)
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value ?? "")
  }
  if (bytes > MAX_COMMIT_BYTES) refuse(`${bytes} bytes in one commit, at most ${MAX_COMMIT_BYTES}`)
  for (const { key, revision } of conditions) {
    checkKey(key)
    if (!Number.isSafeInteger(revision) || revision < 0) {
      refuse(`${revision} is no revision that ${key} could have`)
    }
  }
}

/** @throws LariatError internal when it is empty */
export function checkKey(key: string): void {
  if (key === "") {
    throw new LariatError("Cannot use the store: a key is empty", { code: "internal" })
  }
}
