import { parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { parseBlockClaim } from "./block_claim.ts"
import type { DirectoryListener } from "./directory_events.ts"
import { parseEndpointRecord } from "./endpoint_record.ts"
import { PeerRefusedError, peek } from "./envelope.ts"
import { parseHostRecord } from "./host_record.ts"
import { openIdentity } from "./identity_record.ts"
import type { Keyspace, ParsedKey } from "./keyspace.ts"
import { KnownHost } from "./known_host.ts"
import type { Pins } from "./pins.ts"
import type { PreSharedKey } from "./psk.ts"
import type { Refusals } from "./refusals.ts"
import type { Change, Listing, WatchListener } from "./store.ts"

/** What a {@link Directory} works with. */
export interface DirectoryOptions {
  readonly keys: Keyspace
  /** This host: its own records are its own business. */
  readonly selfId: string
  readonly pins: Pins
  readonly psk: PreSharedKey | undefined
  readonly refusals: Refusals
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** How long a host whose presence has ended stays on the mesh, milliseconds. */
  readonly graceMs: number
  /** Names or ids of the hosts that are let in. Default: all that hold the key. */
  readonly allow?: readonly string[] | undefined
  /** Whether a network of this host is cut into such a block. */
  readonly isBlock: (network: string, block: string) => boolean
  /** Whether this host holds a block: nobody else can. */
  readonly isMine: (network: string, block: string) => boolean
  /** How long a host must be silent before its block may be another's, milliseconds. */
  readonly reuseMs: number
  readonly listener: DirectoryListener
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

type PlacedChange = Change & { readonly parsed: ParsedKey }

/** More refused records than this are not looked at again until they change. */
const MAX_REFUSED = 16_384

/** Records of one kind are looked at after those that they stand on. */
const ORDER: readonly ParsedKey["kind"][] = [
  "identity",
  "host",
  "alive",
  "block",
  "endpoint",
  "keys",
  "ack",
]

/**
 * Who else is there and what is whose, from what the store tells. Every record is verified; what
 * does not hold is refused, told once, and changes nothing. A change costs what changed.
 */
export class Directory implements WatchListener {
  readonly #options: DirectoryOptions
  readonly #hosts = new Map<string, KnownHost>()
  /** What stands in the store, as text: the same again is nothing new. */
  readonly #texts = new Map<string, string>()
  /** By network and block. */
  readonly #holders = new Map<string, string>()
  /** By network and address. */
  readonly #owners = new Map<string, string>()
  /** What stands in the store and is not believed now. */
  readonly #refused = new Map<string, PlacedChange>()
  #revision = 0

  constructor(options: DirectoryOptions) {
    this.#options = options
  }

  /** Every other host whose identity holds. */
  hosts(): readonly KnownHost[] {
    return [...this.#hosts.values()]
  }

  host(hostId: string): KnownHost | undefined {
    return this.#hosts.get(hostId)
  }

  /** The other host that holds a block. */
  holderOf(network: string, block: string): KnownHost | undefined {
    return this.#hosts.get(this.#holders.get(`${network} ${block}`) ?? "")
  }

  /** Whether the block's holder has been silent for so long that others may take it. */
  mayTakeOver(network: string, block: string): boolean {
    const holder = this.holderOf(network, block)
    if (holder === undefined) return true
    const { absentSince } = holder
    const { clock, reuseMs } = this.#options
    return absentSince !== undefined && clock() - absentSince >= reuseMs
  }

  /** A host's part in a network; undefined where it is off the mesh or has none. */
  peer(network: string, hostId: string): DirectoryPeer | undefined {
    const host = this.#hosts.get(hostId)
    const part = host?.record?.networks[network]
    if (host?.member !== true || host.record === undefined || part === undefined) return undefined
    const blocks = host.blocksOf(network)
    return {
      hostId,
      name: host.record.name,
      number: host.number,
      underlay: host.record.underlay,
      overlay: part.overlay.filter((address) => isWithin(address, blocks)),
      blocks,
      mtu: undefined,
      parameters: part.parameters,
    }
  }

  /** Hosts that have been silent for longer than they may be go off the mesh. To be called often. */
  tick(): void {
    const { clock, graceMs, listener } = this.#options
    const now = clock()
    this.#retry()
    for (const host of this.#hosts.values()) {
      if (!host.member || host.absentSince === undefined) continue
      if (now - host.absentSince < graceMs) continue
      host.member = false
      listener.hostGone(host.hostId)
    }
  }

  /** Forgets when hosts were last seen: nobody may be called silent who could not be heard. */
  storeWasAway(): void {
    const now = this.#options.clock()
    for (const host of this.#hosts.values()) if (!host.present) host.absentSince = now
  }

  /** All announcements and acknowledgements are to be told again with the next snapshot. */
  retellKeys(): void {
    const { keys } = this.#options
    for (const key of this.#texts.keys()) {
      const kind = keys.parse(key)?.kind
      if (kind === "keys" || kind === "ack") this.#texts.delete(key)
    }
  }

  snapshot({ entries, revision }: Listing): void {
    if (revision < this.#revision) {
      this.#options.listener.putBack(revision)
      this.retellKeys()
    }
    const there = new Set(entries.map(({ key }) => key))
    const changes: Change[] = [...this.#texts.keys()]
      .filter((key) => !there.has(key))
      .map((key) => ({ key, value: undefined, revision }))
    this.changes([...changes, ...entries], revision)
  }

  changes(changes: readonly Change[], revision: number): void {
    this.#revision = revision
    const parsed = changes.flatMap((change) => {
      const key = this.#options.keys.parse(change.key)
      return key === undefined || key.kind === "number" ? [] : [{ ...change, parsed: key }]
    })
    for (const kind of ORDER) {
      for (const change of parsed) if (change.parsed.kind === kind) this.#take(change)
    }
    this.#options.listener.caughtUp(revision)
  }

  #retry(): void {
    for (const change of [...this.#refused.values()]) this.#try(change)
  }

  #take(change: PlacedChange): void {
    const { key, value, parsed } = change
    const { selfId, listener } = this.#options
    const own = "hostId" in parsed && parsed.hostId === selfId
    // Its own keys are told too: the key ring needs to know what the store has of them.
    if (own && parsed.kind !== "keys" && parsed.kind !== "ack") return
    if (parsed.kind === "endpoint" && value !== undefined && peek(value)?.hostId === selfId) {
      listener.ownEndpoint(key)
    }
    if (value !== undefined && this.#texts.get(key) === value && parsed.kind !== "alive") return
    this.#refused.delete(key)
    if (value === undefined) this.#texts.delete(key)
    else this.#texts.set(key, value)
    this.#try(change)
  }

  /** What is refused may hold later: once its host's identity is there, or a block is released. */
  #try(change: PlacedChange): void {
    const { key, value, parsed } = change
    try {
      this.#apply(change)
      this.#refused.delete(key)
    } catch (error) {
      if (!(error instanceof PeerRefusedError)) throw error
      if (this.#refused.size < MAX_REFUSED) this.#refused.set(key, change)
      if (parsed.kind === "keys") this.#options.listener.keysRefused(parsed.hostId)
      const hostId = claimedHost(parsed, value)
      const known = hostId !== undefined && this.#hosts.has(hostId) ? hostId : undefined
      this.#options.refusals.report({ hostId: known, kind: parsed.kind, error })
    }
  }

  #apply({ key, value, revision, parsed }: PlacedChange): void {
    switch (parsed.kind) {
      case "identity":
        if (value !== undefined) this.#identity(key, parsed.hostId, value)
        break
      case "host":
        if (value !== undefined) this.#record(key, parsed.hostId, value)
        break
      case "alive":
        this.#presence(key, parsed.hostId, value !== undefined)
        break
      case "block":
        // A key that is gone is no release: anybody who can write to the store can delete it.
        if (value !== undefined) this.#block(key, parsed.network, parsed.block, value)
        break
      case "endpoint":
        if (value === undefined) this.#removeEndpoint(`${parsed.network} ${parsed.address}`)
        else this.#endpoint(key, parsed.network, parsed.address, value)
        break
      case "keys":
      case "ack":
        this.#keyExchange(key, parsed.kind, parsed.hostId, value, revision)
        break
    }
  }

  /** An identity is believed when nobody was known by its id or number before. */
  #identity(key: string, hostId: string, text: string): void {
    const { pins, psk, listener } = this.#options
    const record = openIdentity(text, { key, hostId, psk })
    pins.take(hostId, record)
    if (this.#hosts.has(hostId)) return
    this.#hosts.set(hostId, new KnownHost(hostId, record.number))
    listener.hostChanged(hostId)
    this.#retry()
  }

  #record(key: string, hostId: string, text: string): void {
    const host = this.#known(hostId, key)
    const record = parseHostRecord(this.#open(text, "host", key, hostId))
    const { allow, listener } = this.#options
    if (allow !== undefined && !allow.includes(hostId) && !allow.includes(record.name)) {
      throw new PeerRefusedError(
        "allow",
        `Cannot take host ${hostId} (${record.name}): allow: it is not in allowHosts`,
        {
          hint: "add its name to allowHosts of this host if it is to be let in",
        },
      )
    }
    for (const other of this.#hosts.values()) {
      const both = other.record?.underlay.find((address) => record.underlay.includes(address))
      if (other === host || both === undefined || !other.member) continue
      throw new PeerRefusedError(
        "underlay",
        `Cannot take host ${hostId} (${record.name}): underlay: ${both} is host ${other.record?.name}'s`,
        { hint: "two hosts cannot have one address; set hostIp where it is wrong" },
      )
    }
    host.record = record
    this.#accepted(host, "host")
    listener.hostChanged(hostId)
  }

  #presence(key: string, hostId: string, present: boolean): void {
    if (!present && !this.#hosts.has(hostId)) return
    const host = this.#known(hostId, key)
    const { clock, listener } = this.#options
    host.present = present
    host.absentSince = present ? undefined : (host.absentSince ?? clock())
    if (!present || host.member) return
    host.member = true
    listener.hostChanged(hostId)
  }

  #block(key: string, network: string, block: string, text: string): void {
    const place = `${network} ${block}`
    const hostId = peek(text)?.hostId ?? ""
    const { isBlock, isMine, selfId, listener } = this.#options
    if (hostId === selfId) {
      this.#unhold(place)
      return
    }
    const host = this.#known(hostId, key)
    const { state } = parseBlockClaim(this.#open(text, "block", key, hostId))
    const holder = this.#holders.get(place)
    if (state === "released") {
      if (holder === hostId) this.#unhold(place)
      return
    }
    const refuse = (check: string, why: string) =>
      new PeerRefusedError(
        check,
        `Cannot take block ${block} of network ${network} for host ${hostId}: ${check}: ${why}`,
      )
    if (!isBlock(network, block)) throw refuse("no-block", "the network is not cut so")
    if (isMine(network, block)) throw refuse("mine", "this host holds it")
    if (holder !== undefined && holder !== hostId && !this.mayTakeOver(network, block)) {
      throw refuse("held", `host ${this.#hosts.get(holder)?.record?.name ?? holder} holds it`)
    }
    if (holder === hostId) return
    if (holder !== undefined) this.#unhold(place)
    this.#holders.set(place, hostId)
    const blocks = host.blocks.get(network) ?? new Set()
    host.blocks.set(network, blocks.add(block))
    this.#accepted(host, "block")
    listener.hostChanged(hostId)
  }

  #unhold(place: string): void {
    const hostId = this.#holders.get(place)
    if (hostId === undefined) return
    this.#holders.delete(place)
    const [network, block] = splitPlace(place)
    const host = this.#hosts.get(hostId)
    host?.blocks.get(network)?.delete(block)
    for (const one of host?.endpoints.keys() ?? []) {
      const [itsNetwork, address] = splitPlace(one)
      if (itsNetwork === network && isWithin(address, [block])) this.#removeEndpoint(one)
    }
    this.#options.listener.hostChanged(hostId)
  }

  #endpoint(key: string, network: string, address: string, text: string): void {
    const place = `${network} ${address}`
    const hostId = peek(text)?.hostId ?? ""
    if (hostId === this.#options.selfId) return
    const host = this.#known(hostId, key)
    const record = parseEndpointRecord(this.#open(text, "endpoint", key, hostId))
    const refuse = (check: string, why: string) =>
      new PeerRefusedError(
        check,
        `Cannot take ${address} of network ${network} for host ${hostId}: ${check}: ${why}`,
      )
    if (!record.addresses.includes(address)) throw refuse("address", "its record has another one")
    if (!isWithin(address, host.blocksOf(network))) {
      throw refuse("outside", "it is in no block that the host holds")
    }
    if (this.#owners.get(place) !== hostId) this.#removeEndpoint(place)
    this.#owners.set(place, hostId)
    host.endpoints.set(place, record)
    this.#accepted(host, "endpoint")
    this.#options.listener.endpointPut(network, hostId, record)
  }

  #removeEndpoint(place: string): void {
    const host = this.#hosts.get(this.#owners.get(place) ?? "")
    const record = host?.endpoints.get(place)
    if (host === undefined || record === undefined) return
    host.endpoints.delete(place)
    this.#owners.delete(place)
    const [network] = splitPlace(place)
    const others = record.addresses.some((address) => host.endpoints.has(`${network} ${address}`))
    if (!others) this.#options.listener.endpointRemoved(network, host.hostId, record)
  }

  #keyExchange(
    key: string,
    kind: "keys" | "ack",
    hostId: string,
    text: string | undefined,
    revision: number,
  ): void {
    const { listener, selfId } = this.#options
    if (hostId !== selfId) {
      if (text === undefined && !this.#hosts.has(hostId)) return
      this.#known(hostId, key)
    }
    const body = text === undefined ? undefined : this.#open(text, kind, key, hostId)
    if (kind === "keys") listener.keysAnnounced(hostId, body, revision)
    else listener.keysAcknowledged(hostId, body, revision)
  }

  #open(text: string, kind: string, key: string, hostId: string): unknown {
    const { pins, psk } = this.#options
    return pins.open(text, { kind, key, hostId, psk })
  }

  #known(hostId: string, key: string): KnownHost {
    const host = this.#hosts.get(hostId)
    if (host !== undefined) return host
    throw new PeerRefusedError(
      "unknown-host",
      `Cannot take ${key}: unknown-host: no identity of host ${JSON.stringify(hostId)} holds`,
    )
  }

  #accepted(host: KnownHost, kind: string): void {
    this.#options.refusals.clear(host.hostId, kind)
  }
}

function isWithin(address: string, blocks: readonly string[]): boolean {
  const parsed = parseAddress(address)
  return blocks.some((block) => prefixContains(parsePrefix(block), parsed))
}

/** The host that a record says it is of; anybody's word. */
function claimedHost(parsed: ParsedKey, text: string | undefined): string | undefined {
  if ("hostId" in parsed) return parsed.hostId
  return text === undefined ? undefined : peek(text)?.hostId
}

/** A place is a network and a block or address; only the network's name may hold blanks. */
function splitPlace(place: string): [network: string, rest: string] {
  const blank = place.lastIndexOf(" ")
  return [place.slice(0, blank), place.slice(blank + 1)]
}
