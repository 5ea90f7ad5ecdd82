/** Listens to a store for tests, and to its errors. */
import type { Change, Listing, WatchListener } from "../../src/cluster/store/store.ts"
import { LariatError } from "../../src/errors.ts"
import { waitFor } from "../clients/program.ts"

/** Keeps what a watch hears, as changes and as the state that they come to. */
export class Ear implements WatchListener {
  readonly listings: Listing[] = []
  readonly heard: Change[] = []
  readonly revisions: number[] = []
  readonly state = new Map<string, string>()

  snapshot(listing: Listing): void {
    this.listings.push(listing)
    this.state.clear()
    for (const { key, value } of listing.entries) this.state.set(key, value)
  }

  changes(changes: readonly Change[], revision: number): void {
    this.revisions.push(revision)
    for (const change of changes) {
      this.heard.push(change)
      if (change.value === undefined) this.state.delete(change.key)
      else this.state.set(change.key, change.value)
    }
  }

  /** Waits for a value of a key; undefined: that it is gone. */
  async hears(key: string, value: string | undefined, timeoutMs = 15_000): Promise<void> {
    const there = () =>
      this.listings.length > 0 && this.state.get(key) === value ? true : undefined
    await waitFor(`${key} to be ${value}`, there, timeoutMs)
  }
}

/** @throws what a store throws for a call that must fail */
export async function errorOf(call: Promise<unknown>): Promise<LariatError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof LariatError) return error
  throw new Error(`expected a LariatError, got ${String(error)}`)
}
