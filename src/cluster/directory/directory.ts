import { CONSENT_MS } from "../blocks/own_claims.ts"
import { PeerRefusedError } from "../records/envelope.ts"
import type { Keyspace, ParsedKey } from "../records/keyspace.ts"
import type { Change, Listing, WatchListener } from "../store/store.ts"
import { HeardClock } from "./heard_clock.ts"
import { KnownHost } from "./known_host.ts"
import { DirectoryModel, splitPlace } from "./model.ts"
import { Admission, type AdmissionOptions } from "./record_admission.ts"
import type { Refusals } from "./refusals.ts"
import { type PlacedChange, RefusedRecords } from "./refused_records.ts"
import { WorkQueue } from "./work_queue.ts"

/** What a {@link Directory} works with. */
export interface DirectoryOptions extends AdmissionOptions {
  readonly keys: Keyspace
  readonly refusals: Refusals
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** How long a host whose presence has ended stays on the mesh, milliseconds. */
  readonly graceMs: number
  /**
   * How long nobody goes off the mesh after the store came back, milliseconds: other hosts find out
   * later than this one, and their presence may have ended meanwhile. Default 0.
   */
  readonly returnMs?: number
  /** Where other hosts reach this one: nobody else is reached there. */
  readonly ownUnderlay: () => readonly string[]
  /**
   * Calls back once others had their turn, as setImmediate does: a signature costs 0.1 ms, and a
   * large cluster has tens of thousands. Default: everything is taken in at once.
   */
  readonly later?: ((go: () => void) => void) | undefined
  /** How long a host must be silent before its block may be another's, milliseconds. */
  readonly reuseMs: number
  /**
   * How a host stood when a former process ended, where it was on the mesh then: it is not off it
   * because this process begins while its presence has ended. Default: none was.
   */
  readonly former?: ((hostId: string) => FormerMember | undefined) | undefined
}

/** A host that was on the mesh. */
export interface FormerMember {
  /** Since when it was silent, monotonic milliseconds; undefined where it was not. */
  readonly absentSince: number | undefined
}

/** Another host's part in a network; the same shape as a driver's `OverlayPeer`. */
export interface DirectoryPeer {
  readonly hostId: string
  readonly name: string
  readonly number: number
  readonly underlay: readonly string[]
  readonly overlay: readonly string[]
  readonly blocks: readonly string[]
  readonly mtu: undefined
  readonly parameters: Readonly<Record<string, string>>
}

/** Records of one kind are looked at after those that they stand on. */
const ORDER = ["identity", "host", "alive", "block", "endpoint", "keys", "ack"] as const
/** Of these only the last one of a batch counts; of the others each does. */
const STATES: ReadonlySet<ParsedKey["kind"]> = new Set(["host", "alive", "endpoint"])
/** So many keys are parsed in the time of a few signatures. */
const PARSED_AT_ONCE = 256
/** What the record itself fails: nothing that happens elsewhere makes it good. */
const LASTING: ReadonlySet<string> = new Set([
  ...["size", "format", "kind", "key", "host", "mac", "signature", "sequence"],
  ...["identity", "claim", "endpoint", "allow", "address"],
])
/** No envelope's first line is longer: it has a key of 512 characters at most. */
const MAX_FIRST_LINE = 1024

/**
 * Who else is there and what is whose, from what the store tells. Every record is verified; what
 * does not hold is refused, told once, and changes nothing. A change costs what changed.
 *
 * Who held a block first holds it until a release with its own signature, until it is silent for so
 * long that another one may take it, or until it bears another's claim for minutes though it is
 * there. A key that is gone, or that another host wrote over, is no release.
 */
export class Directory implements WatchListener {
  readonly #options: DirectoryOptions
  readonly #model: DirectoryModel
  readonly #admission: Admission
  /** By key, the revision of what was looked at last: the same again is nothing new. */
  readonly #seen = new Map<string, number>()
  readonly #refused = new RefusedRecords()
  readonly #queue: WorkQueue
  /** Hosts whose refused records may hold now. */
  readonly #ready = new Set<string>()
  /** Hosts that named own addresses which were not in their blocks. */
  readonly #doubtful = new Set<string>()
  #revision = 0
  /** Whether the store was heard once. */
  #begun = false
  /** While the records of a store that was put back are read. */
  #restoring = false
  readonly #clock: HeardClock

  constructor(options: DirectoryOptions) {
    this.#options = options
    this.#clock = new HeardClock(options.clock)
    this.#queue = new WorkQueue(options)
    this.#model = new DirectoryModel(options.listener, options.ownUnderlay)
    this.#admission = new Admission(options, {
      model: this.#model,
      now: () => this.#clock.now(),
      hasLost: (holder, network, block) => this.#hasLost(holder, network, block),
      ready: (hostId) => this.#ready.add(hostId),
      report: (hostId, kind, error) => this.#report(hostId, kind, error),
      clear: (hostId, kind) => options.refusals.clear(hostId, kind),
    })
  }

  /** Every other host whose identity holds. */
  hosts(): readonly KnownHost[] {
    return [...this.#model.hosts.values()]
  }

  host(hostId: string): KnownHost | undefined {
    return this.#model.hosts.get(hostId)
  }

  /** The other host that holds a block. */
  holderOf(network: string, block: string): KnownHost | undefined {
    return this.#model.holderOf(network, block)
  }

  /** Whether a host that claims a block has been silent for so long that others may take it. */
  mayTakeOver(network: string, block: string, hostId: string): boolean {
    const { keys, reuseMs } = this.#options
    const host = this.host(hostId)
    // Of a host that nobody knows only the claim itself has an age.
    const claim = host ?? this.#refused.get(keys.block(network, block))
    const since = claim instanceof KnownHost ? claim.absentSince : claim?.since
    return since !== undefined && this.#clock.now() - since >= reuseMs
  }

  /** A host's part in a network; undefined where it is off the mesh or has none. */
  peer(network: string, hostId: string): DirectoryPeer | undefined {
    const host = this.host(hostId)
    const record = host?.record
    if (host?.member !== true || !host.reachable || record === undefined) return undefined
    if (!Object.hasOwn(record.networks, network)) return undefined
    const part = record.networks[network]
    if (part === undefined) return undefined
    return {
      hostId,
      name: record.name,
      number: host.number,
      underlay: record.underlay,
      overlay: part.overlay.filter((address) => host.holds(network, address)),
      blocks: host.blocksOf(network),
      mtu: undefined,
      parameters: part.parameters,
    }
  }

  /** All hosts that have a part in a network now. */
  peers(network: string): readonly DirectoryPeer[] {
    return [...this.#model.hosts.keys()].flatMap((hostId) => this.peer(network, hostId) ?? [])
  }

  /**
   * Lets time pass: hosts that have been silent for longer than they may be go off the mesh, and
   * blocks of hosts that are gone may be others'. To be called every second or so.
   */
  tick(): void {
    const { graceMs, returnMs = 0, listener } = this.#options
    const now = this.#clock.now()
    const returning = this.#clock.returnedWithin(returnMs)
    for (const host of this.#model.hosts.values()) {
      if (returning || !host.member || host.absentSince === undefined) continue
      if (now - host.absentSince < graceMs) continue
      host.member = false
      this.#model.retire(host)
      listener.hostGone(host.hostId)
    }
    for (const { change, hostId } of this.#refused.ofKind("block")) {
      if (hostId !== undefined && this.#mayHold(change, hostId)) this.#try(change)
    }
    for (const host of [...this.#model.displaced]) this.#admission.admit(host)
    this.#doubt()
    this.#queue.add(this.#settle())
  }

  /** The store was lost, or is heard again. Nobody grows silent who could not be heard. */
  storeReachable(reachable: boolean): void {
    const deafMs = this.#clock.hears(reachable)
    if (deafMs === 0) return
    for (const host of this.#model.hosts.values()) host.postpone(deafMs)
    this.#refused.postpone(deafMs)
  }

  /** All announcements and acknowledgements are to be told again with the next snapshot. */
  retellKeys(): void {
    const { keys } = this.#options
    for (const key of this.#seen.keys()) {
      const kind = keys.parse(key)?.kind
      if (kind === "keys" || kind === "ack") this.#seen.set(key, -1)
    }
  }

  snapshot(listing: Listing): void {
    this.#queue.add(this.#relist(listing))
  }

  changes(changes: readonly Change[], revision: number): void {
    this.#queue.add(this.#takeAll(changes, revision))
  }

  /** Nothing is told any more. */
  close(): void {
    this.#queue.clear()
  }

  *#relist({ entries, revision }: Listing): Generator<void> {
    // Within one history no revision goes back, neither the store's nor a key's.
    const older = entries.some((entry) => entry.revision < (this.#seen.get(entry.key) ?? 0))
    if (older || revision < this.#revision) {
      this.#clock.returned()
      this.#options.listener.putBack(revision)
      // Revisions are given anew: the same one may be of another value.
      for (const key of this.#seen.keys()) this.#seen.set(key, -1)
      this.#restoring = true
    }
    const there = new Set(entries.map(({ key }) => key))
    const gone = [...this.#seen.keys()].filter((key) => !there.has(key))
    const changes = [...gone.map((key) => ({ key, value: undefined, revision })), ...entries]
    yield* this.#takeAll(changes, revision)
    this.#restoring = false
  }

  /** Hosts that a former process had on the mesh have their time, as if it had not ended. */
  #keepFormer(): void {
    const { graceMs, former } = this.#options
    const now = this.#clock.now()
    for (const host of this.#model.hosts.values()) {
      const known = host.member ? undefined : former?.(host.hostId)
      if (known === undefined) continue
      host.absentSince = known.absentSince ?? now
      if (now - host.absentSince >= graceMs) continue
      host.member = true
      this.#admission.admit(host)
    }
  }

  *#takeAll(changes: readonly Change[], revision: number): Generator<void> {
    this.#revision = revision
    const byKind = yield* this.#byKind(changes)
    for (const kind of ORDER) {
      for (const change of byKind.get(kind) ?? []) {
        this.#take(change)
        yield
      }
      // Of all that are there now: they come first where two have one address.
      if (kind === "alive" && !this.#begun) {
        this.#begun = true
        this.#keepFormer()
      }
      // What containers and keys stand on is told before them.
      if (kind === "block") yield* this.#settle()
    }
    yield* this.#settle()
    this.#options.listener.caughtUp(revision)
  }

  /** The changes that are of the cluster and not overtaken by later ones, by kind. */
  *#byKind(changes: readonly Change[]): Generator<void, Map<string, PlacedChange[]>> {
    const last = new Map(changes.map((change) => [change.key, change]))
    const byKind = new Map<string, PlacedChange[]>(ORDER.map((kind) => [kind, []]))
    for (const [index, change] of changes.entries()) {
      if (index % PARSED_AT_ONCE === 0) yield
      const parsed = this.#options.keys.parse(change.key)
      if (parsed === undefined) continue
      if (STATES.has(parsed.kind) && last.get(change.key) !== change) continue
      byKind.get(parsed.kind)?.push({ ...change, parsed })
    }
    return byKind
  }

  #take(change: PlacedChange): void {
    const { key, value, revision, parsed } = change
    const { selfId, listener } = this.#options
    const own = "hostId" in parsed && parsed.hostId === selfId
    // Its own keys are told too: the key ring needs to know what the store has of them.
    if (own && parsed.kind !== "keys" && parsed.kind !== "ack") return
    if (value !== undefined && this.#seen.get(key) === revision) return
    this.#refused.delete(key)
    if (value === undefined) this.#seen.delete(key)
    else this.#seen.set(key, revision)
    if (parsed.kind === "endpoint" && value !== undefined && writerOf(value) === selfId) {
      listener.ownEndpoint(key)
      return
    }
    if (parsed.kind === "block" && (value === undefined || writerOf(value) !== selfId)) {
      this.#tellOwn(parsed)
    }
    this.#try(change)
  }

  #try(change: PlacedChange): void {
    const { key, parsed } = change
    const hostId = hostOf(change)
    try {
      this.#admission.apply(change, hostId)
      this.#refused.delete(key)
      if (this.#model.hosts.has(hostId)) this.#options.refusals.clear(hostId, parsed.kind)
    } catch (error) {
      if (!(error instanceof PeerRefusedError)) throw error
      if (!LASTING.has(error.check)) this.#refused.put(change, hostId, this.#clock.now())
      if (parsed.kind === "keys") this.#options.listener.keysRefused(parsed.hostId)
      // An own word from before, that the block is free for instance.
      if (parsed.kind === "block" && hostId === this.#options.selfId) this.#tellOwn(parsed)
      // A snapshot's records are older than what was seen: that is no replay.
      if (!(this.#restoring && error.check === "sequence")) this.#report(hostId, parsed.kind, error)
    }
  }

  /** The store's record of a block is not this host's good claim: if the block is, it is told. */
  #tellOwn({ network, block }: Extract<ParsedKey, { kind: "block" }>): void {
    const { isMine, listener } = this.#options
    if (isMine(network, block)) listener.ownBlock(network, block)
  }

  #report(hostId: string, kind: string, error: PeerRefusedError): void {
    const { keys, refusals } = this.#options
    const unknown = error.check === "unknown-host"
    // What stands on another record that was refused: that one was told.
    if (unknown && this.#seen.has(keys.identity(hostId))) return
    if (error.check === "no-record" && this.#seen.has(keys.host(hostId))) return
    const known = this.#model.hosts.has(hostId) ? hostId : undefined
    refusals.report({ hostId: known, kind: unknown ? "identity" : kind, error })
  }

  /** Looks again at what waited for something that happened, then tells what changed. */
  *#settle(): Generator<void> {
    const { freedBlocks, changed } = this.#model
    const { keys, listener, refusals } = this.#options
    while (this.#ready.size + freedBlocks.size > 0) {
      const hosts = [...this.#ready]
      const places = [...freedBlocks]
      this.#ready.clear()
      freedBlocks.clear()
      for (const place of places) {
        const waiting = this.#refused.get(keys.block(...splitPlace(place)))
        if (waiting !== undefined) this.#try(waiting.change)
      }
      for (const hostId of hosts) {
        for (const { change } of this.#refused.of(hostId)) this.#try(change)
      }
    }
    for (const hostId of changed) {
      changed.delete(hostId)
      if (this.#outside(hostId).length > 0) this.#doubtful.add(hostId)
      else refusals.clear(hostId, "overlay")
      listener.hostChanged(hostId)
      yield
    }
  }

  /** Addresses that a host says to have on its networks and that are in no block of its own. */
  #outside(hostId: string): readonly string[] {
    const host = this.host(hostId)
    return Object.entries(host?.record?.networks ?? {}).flatMap(([network, { overlay }]) =>
      overlay.filter((address) => host?.holds(network, address) !== true),
    )
  }

  /** Tells of hosts that still have such an address: by now their blocks would be known. */
  #doubt(): void {
    for (const hostId of this.#doubtful) {
      const [address] = this.#outside(hostId)
      if (address === undefined) continue
      const error = new PeerRefusedError(
        "overlay",
        `Cannot take ${address} for host ${this.#nameOf(hostId)} itself: overlay: it is in no block that the host holds`,
      )
      this.#report(hostId, "overlay", error)
    }
    this.#doubtful.clear()
  }

  /** Whether a block's claim that was refused is worth another look. */
  #mayHold({ parsed }: PlacedChange, hostId: string): boolean {
    if (parsed.kind !== "block" || !this.#model.hosts.has(hostId)) return false
    const { network, block } = parsed
    const { isBlock, isMine } = this.#options
    if (!isBlock(network, block) || isMine(network, block)) return false
    const holder = this.holderOf(network, block)
    return holder === undefined || this.#hasLost(holder, network, block)
  }

  /**
   * Whether a holder lost its block to who claims it now, by being gone for long enough, or by its
   * consent: a host that is there takes back at once what another one writes over. One that does not
   * has given the block up, and its release was missed, as after a compaction of the store.
   */
  #hasLost(holder: KnownHost, network: string, block: string): boolean {
    if (this.mayTakeOver(network, block, holder.hostId)) return true
    const claim = this.#refused.get(this.#options.keys.block(network, block))
    if (claim === undefined || holder.presentSince === undefined) return false
    return this.#clock.now() - Math.max(claim.since, holder.presentSince) >= CONSENT_MS
  }

  #nameOf(hostId: string): string {
    return this.host(hostId)?.record?.name ?? hostId
  }
}

/** The host that a record says it is of; anybody's word. */
function hostOf({ parsed, value }: PlacedChange): string {
  if ("hostId" in parsed) return parsed.hostId
  return value === undefined ? "" : (writerOf(value) ?? "")
}

/** The host in an envelope's first line, without another look at it. */
function writerOf(text: string): string | undefined {
  const end = text.indexOf("\n")
  return end < 0 || end > MAX_FIRST_LINE ? undefined : text.slice(0, end).split(" ", 5)[4]
}
