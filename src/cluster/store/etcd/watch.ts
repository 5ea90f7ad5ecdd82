/** A watch on a prefix of etcd that goes on whatever happens, and tells each change once. */

import { LariatError } from "../../../errors.ts"
import { Backoff } from "../backoff.ts"
import { type Dependencies, pause } from "../dependencies.ts"
import type { Subscription, WatchListener } from "../store.ts"
import { headerOf, type WatchAnswer, type WatchEvent, watchAnswer } from "./answer.ts"
import type { EtcdClient, MemberStream } from "./client.ts"
import { encodePrefix } from "./codec.ts"
import { EtcdFailure, inContext, quote } from "./failure.ts"
import { listPrefix, plainEntry } from "./list.ts"
import { resumeRevision, type WatchPosition } from "./resume.ts"
import { Silence, type SilenceOptions } from "./silence.ts"

export interface EtcdWatchOptions extends SilenceOptions {
  /** Hears why the watch cannot go on at present, or what the listener threw. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Of an answer that comes in parts, together: more than that is read as a listing instead. */
const MAX_PARTED_EVENTS = 100_000
/** The longest wait after etcd refused the watch: asking more often would not help. */
const REFUSED_MS = 10_000

export class EtcdWatch implements Subscription {
  readonly #client: EtcdClient
  readonly #world: Dependencies
  readonly #prefix: string
  readonly #listener: WatchListener
  readonly #onError: (error: unknown) => void
  readonly #silence: Silence
  readonly #backoff: Backoff
  readonly #refused: Backoff
  readonly #end = new AbortController()
  #position: WatchPosition | undefined
  #stream: MemberStream | undefined
  /** The revision that the member of this stream told of when it was last asked. */
  #asked = 0

  constructor(
    client: EtcdClient,
    world: Dependencies,
    prefix: string,
    listener: WatchListener,
    options: EtcdWatchOptions = {},
  ) {
    this.#client = client
    this.#world = world
    this.#prefix = prefix
    this.#listener = listener
    this.#onError = options.onError ?? (() => undefined)
    this.#silence = new Silence(options)
    this.#backoff = new Backoff(world.random)
    this.#refused = new Backoff(world.random, { firstMs: 1000, longestMs: REFUSED_MS })
    client.signal.addEventListener("abort", this.#close, { once: true })
    void this.#run()
  }

  close(): void {
    this.#close()
  }

  readonly #close = (): void => {
    this.#client.signal.removeEventListener("abort", this.#close)
    this.#end.abort()
    this.#stream?.close()
  }

  get #closed(): boolean {
    return this.#end.signal.aborted || this.#client.signal.aborted
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      let waitMs = 0
      try {
        if (!(await this.#follow())) waitMs = this.#backoff.next()
      } catch (error) {
        if (this.#closed) return
        this.#report(error)
        const refused = error instanceof LariatError && error.code === "permission"
        waitMs = (refused ? this.#refused : this.#backoff).next()
      } finally {
        this.#stream?.close()
        this.#stream = undefined
      }
      if (waitMs > 0) await pause(this.#world, waitMs, this.#end.signal)
    }
  }

  /** Opens the watch and tells what comes, until it has to be opened anew: at once, or later. */
  async #follow(): Promise<boolean> {
    const from = await this.#start()
    if (this.#closed) return true
    const stream = await this.#client.stream("/v3/watch", {
      create_request: {
        ...encodePrefix(this.#prefix),
        start_revision: String(from),
        progress_notify: true,
        fragment: true,
      },
    })
    this.#stream = stream
    if (this.#closed) return true
    this.#silence.begin(this.#world.now())
    this.#asked = 0
    let parts: WatchEvent[] = []
    for (;;) {
      const fields = await stream.next(this.#silence.waitMs)
      if (this.#closed) return true
      if (fields === undefined) {
        if (await this.#suspect(stream.endpoint)) return true
        continue
      }
      const answer = watchAnswer(fields)
      const empty = answer.created ? "other" : "progress"
      this.#silence.heard(this.#world.now(), answer.events.length > 0 ? "changes" : empty)
      if (answer.canceled) {
        this.#canceled(answer)
        return false
      }
      // Not for a watch that is made and ended again and again.
      if (!answer.created) {
        this.#backoff.reset()
        this.#refused.reset()
      }
      parts = parts.length === 0 ? [...answer.events] : parts.concat(answer.events)
      if (parts.length > MAX_PARTED_EVENTS) {
        this.#position = undefined
        return false
      }
      if (answer.fragment) continue
      this.#tell(parts, answer)
      parts = []
    }
  }

  /** Where the watch begins: behind what was told, or behind a listing that is told now. */
  async #start(): Promise<number> {
    let restored = false
    if (this.#position !== undefined) {
      const from = await resumeRevision(this.#client, this.#prefix, this.#position)
      if (typeof from === "number") return from
      restored = from === "restored"
    }
    const { entries, header } = await listPrefix(this.#client, this.#prefix)
    if (this.#closed) return 0
    const { revision } = header
    const newest = entries.reduce(
      (last, entry) => (last === undefined || entry.revision > last.revision ? entry : last),
      entries[0],
    )
    this.#position = {
      header,
      last: newest && { key: newest.key, revision: newest.revision, deleted: false },
      count: entries.length,
      compacted: 0,
    }
    const listing = { entries: entries.map(plainEntry), revision }
    this.#call(() => this.#listener.snapshot(restored ? { ...listing, restored } : listing))
    return revision + 1
  }

  #tell(events: readonly WatchEvent[], { header }: WatchAnswer): void {
    const position = this.#position
    if (position === undefined) return
    const told = position.last?.revision ?? 0
    // Each once, also from a member that repeats itself.
    const changes = events.filter(({ revision }) => revision > told)
    const last = changes.at(-1)
    const made = changes.filter(({ created }) => created).length
    const gone = changes.filter(({ value }) => value === undefined).length
    this.#position = {
      ...position,
      header: header.revision > position.header.revision ? header : position.header,
      last: last
        ? { key: last.key, revision: last.revision, deleted: last.value === undefined }
        : position.last,
      count: position.count + made - gone,
    }
    if (last === undefined) return
    const plain = changes.map(({ key, value, revision }) => ({ key, value, revision }))
    this.#call(() => this.#listener.changes(plain, last.revision))
  }

  /** Whether the watch is to be opened anew after a silence. */
  async #suspect(endpoint: string): Promise<boolean> {
    const verdict = this.#silence.verdict(this.#world.now())
    if (verdict === "reopen") return true
    if (verdict === "ask") {
      try {
        const { revision } = await this.#client.askMember(
          endpoint,
          "/v3/maintenance/status",
          {},
          headerOf,
        )
        // What it knew when it was asked the last time would have come by now.
        const overdue = this.#asked > (this.#position?.header.revision ?? 0)
        this.#asked = revision
        return overdue && this.#silence.misses(this.#world.now())
      } catch {
        // What it said does not matter: the watch goes on at another member.
      }
    }
    this.#client.distrust(endpoint)
    return true
  }

  #canceled({ cancelReason, compactRevision }: WatchAnswer): void {
    const reason = cancelReason === "" ? "etcd ended the watch" : quote(cancelReason)
    if (compactRevision > 0 && this.#position !== undefined) {
      this.#position = { ...this.#position, compacted: compactRevision }
      return
    }
    this.#client.renewToken()
    if (/permission denied/i.test(cancelReason)) {
      throw new LariatError(`Cannot watch ${this.#prefix}: ${reason}`, {
        code: "permission",
        hint: "give the user's role in etcd the right to read this prefix",
      })
    }
    throw new EtcdFailure(reason)
  }

  #call(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      this.#report(error)
    }
  }

  #report(error: unknown): void {
    try {
      this.#onError(inContext(`watch ${this.#prefix}`, error))
    } catch {
      // Who is told of errors must not end the watch.
    }
  }
}
