/** A watch on a prefix of etcd that goes on whatever happens, and tells each change once. */

import { Backoff } from "../../../backoff.ts"
import { LariatError } from "../../../errors.ts"
import type { Dependencies } from "../dependencies.ts"
import { quietly, repeat } from "../repeat.ts"
import type { Change, Subscription, WatchListener } from "../store.ts"
import type { EtcdClient } from "./client.ts"
import type { MessageStream } from "./exchange.ts"
import { EtcdFailure, isOutOfRange, quote } from "./failure.ts"
import { listPrefix } from "./list.ts"
import {
  encodePrefix,
  encodeText,
  type Header,
  headerAnswer,
  rangeAnswer,
  type WatchAnswer,
  watchAnswer,
} from "./messages.ts"

export interface EtcdWatchOptions {
  /** A member that says nothing for so long is asked whether it is there, ms. Default 5 s. */
  readonly suspectMs?: number
  /** Hears why the watch cannot go on at present, or what the listener threw. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** How far a watch has come. */
interface Position {
  /** Which history it is, and up to which of its revisions everything was told. */
  readonly header: Header
  /** The last change, or the newest entry of a listing; undefined when that was empty. */
  readonly last: Change | undefined
}

/** More revisions than a member should read through for one watch: it reads those of all keys. */
const MAX_SPAN = 20_000
/** Of an answer that comes in parts, together: more than that is read as a listing instead. */
const MAX_PARTED_EVENTS = 100_000
/** A watch that hears nothing of what its member has is opened anew so rarely at last, ms. */
const LONGEST_DOUBT_MS = 60_000

export class EtcdWatch implements Subscription {
  readonly #client: EtcdClient
  readonly #dependencies: Dependencies
  readonly #prefix: string
  readonly #listener: WatchListener
  readonly #options: EtcdWatchOptions
  readonly #suspectMs: number
  /** How long the member may have more than was told: it may be of other keys. */
  readonly #doubt: Backoff
  readonly #end = new AbortController()
  readonly #signal: AbortSignal
  #position: Position | undefined
  #stream: MessageStream | undefined

  constructor(
    client: EtcdClient,
    dependencies: Dependencies,
    prefix: string,
    listener: WatchListener,
    options: EtcdWatchOptions = {},
  ) {
    this.#client = client
    this.#dependencies = dependencies
    this.#prefix = prefix
    this.#listener = listener
    this.#options = options
    this.#suspectMs = options.suspectMs ?? 5000
    this.#doubt = new Backoff(dependencies.random, {
      firstMs: 2 * this.#suspectMs,
      longestMs: LONGEST_DOUBT_MS,
    })
    this.#signal = AbortSignal.any([this.#end.signal, client.signal])
    this.#signal.addEventListener("abort", () => this.#stream?.close(), { once: true })
    const work = (worked: () => void) => this.#follow(worked)
    void repeat(dependencies, this.#signal, { work, onError: (error) => this.#report(error) })
  }

  close(): void {
    this.#end.abort()
  }

  /** Opens the watch and tells what comes, until it is to be opened anew at once. */
  async #follow(worked: () => void): Promise<number> {
    const from = await this.#start()
    if (this.#signal.aborted) return 0
    const stream = await this.#client.stream("/v3/watch", {
      create_request: {
        ...encodePrefix(this.#prefix),
        start_revision: String(from),
        progress_notify: true,
        fragment: true,
      },
    })
    this.#stream = stream
    try {
      await this.#listen(stream, worked)
    } finally {
      stream.close()
    }
    return 0
  }

  /** Tells what comes, until the stream is not to be relied on any more. */
  async #listen(stream: MessageStream, worked: () => void): Promise<void> {
    let doubtAtMs = this.#dependencies.now() + this.#doubt.next()
    /** What the member had when it was last asked: it would have come by now. */
    let hadRevision = 0
    let parts: Change[] = []
    while (!this.#signal.aborted) {
      const message = await stream.next(this.#suspectMs)
      if (this.#signal.aborted) return
      if (message === undefined) {
        const overdue = hadRevision > (this.#position?.header.revision ?? 0)
        if (overdue && this.#dependencies.now() >= doubtAtMs) return
        const path = "/v3/maintenance/status"
        const answer = await this.#client.call(path, {}, `watch ${this.#prefix}`, headerAnswer)
        // The member of this stream does not answer, or was left by others already.
        if (answer.endpoint !== stream.endpoint) return
        hadRevision = answer.value.revision
        continue
      }
      const answer = watchAnswer(message)
      if (answer.canceled) throw this.#canceled(answer)
      // A watch may be made and ended again and again, and what it is made at was not told yet.
      if (answer.created) continue
      worked()
      parts = parts.concat(answer.events)
      if (parts.length > MAX_PARTED_EVENTS) {
        this.#position = undefined
        return
      }
      if (answer.fragment) continue
      if (parts.length > 0) {
        this.#doubt.reset()
        doubtAtMs = this.#dependencies.now() + this.#doubt.next()
      }
      this.#tell(parts, answer)
      parts = []
    }
  }

  /** Where the watch begins: behind what was told, or behind a listing that is told now. */
  async #start(): Promise<number> {
    const before = this.#position
    if (before !== undefined && (await this.#stands(before))) return before.header.revision + 1
    const { entries, header } = await listPrefix(this.#client, this.#prefix)
    if (this.#signal.aborted) return 0
    const last = entries.reduce(
      (newest: Change | undefined, entry) =>
        newest === undefined || entry.revision > newest.revision ? entry : newest,
      undefined,
    )
    this.#position = { header, last }
    this.#call(() => this.#listener.snapshot({ entries, revision: header.revision }))
    return header.revision + 1
  }

  /**
   * Whether this etcd's history has the last change where it was: a store that was put back from a
   * snapshot has another history under the same revisions. Where that cannot be said for certain,
   * as after a compaction, it does not.
   */
  async #stands({ header, last }: Position): Promise<boolean> {
    if (last === undefined) return false
    const at = async (revision: number) => {
      const body = { key: encodeText(last.key), revision: String(revision) }
      const doing = `watch ${this.#prefix}`
      return (await this.#client.call("/v3/kv/range", body, doing, rangeAnswer)).value
    }
    try {
      const { header: now, entries } = await at(header.revision)
      // Nothing of these ever goes back within one history.
      if (now.clusterId !== header.clusterId || now.term < header.term) return false
      if (now.revision - header.revision > MAX_SPAN) return false
      if (last.value !== undefined) return entries[0]?.revision === last.revision
      // A deletion leaves nothing to look at but the entry before it.
      return entries.length === 0 && (await at(last.revision - 1)).entries.length > 0
    } catch (error) {
      if (isOutOfRange(error)) return false
      throw error
    }
  }

  #tell(events: readonly Change[], { header }: WatchAnswer): void {
    const position = this.#position
    if (position === undefined) return
    // Each once, also from a member that repeats itself.
    const told = position.last?.revision ?? 0
    const changes = events.filter(({ revision }) => revision > told)
    const last = changes.at(-1)
    // Changes may be older than the member is by now; with none it has told all.
    const heard = events.length > 0 ? (last?.revision ?? 0) : header.revision
    const revision = Math.max(position.header.revision, heard)
    this.#position = { header: { ...header, revision }, last: last ?? position.last }
    if (last !== undefined) this.#call(() => this.#listener.changes(changes, last.revision))
  }

  #canceled({
    cancel_reason: cancelReason,
    compact_revision: compactRevision,
  }: WatchAnswer): Error {
    if (compactRevision > 0) {
      this.#position = undefined
      return new EtcdFailure(`its history before revision ${compactRevision} is compacted`)
    }
    const reason = cancelReason === "" ? "etcd ended the watch" : quote(cancelReason)
    this.#client.renewToken()
    if (!/permission denied/i.test(cancelReason)) return new EtcdFailure(reason)
    return new LariatError(`Cannot watch ${this.#prefix}: ${reason}`, {
      code: "permission",
      hint: "give the user's role in etcd the right to read this prefix",
    })
  }

  #call(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      this.#report(error)
    }
  }

  /** A member's failure as an error of the watch; other errors as they are. */
  #report(error: unknown): void {
    const told =
      error instanceof EtcdFailure
        ? new LariatError(`Cannot watch ${this.#prefix}: ${error.message}`, {
            code: "store-away",
            cause: error,
          })
        : error
    quietly(() => this.#options.onError?.(told))
  }
}
