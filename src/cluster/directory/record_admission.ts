/** What each kind of record must be to be believed, and what follows from it. */

import { parseBlockClaim } from "../records/block_claim.ts"
import { parseEndpointRecord } from "../records/endpoint_record.ts"
import { PeerRefusedError } from "../records/envelope.ts"
import { type HostRecord, parseHostRecord } from "../records/host_record.ts"
import { openIdentity } from "../records/identity_record.ts"
import type { ParsedKey } from "../records/keyspace.ts"
import type { Pins } from "../records/pins.ts"
import type { PreSharedKey } from "../records/psk.ts"
import type { DirectoryListener } from "./events.ts"
import { KnownHost } from "./known_host.ts"
import type { DirectoryModel, UnderlayConflict } from "./model.ts"
import type { PlacedChange } from "./refused_records.ts"

/** What an {@link Admission} works with. */
export interface AdmissionOptions {
  /** This host: its own records are its own business. */
  readonly selfId: string
  /** This host is pinned there too. */
  readonly pins: Pins
  readonly psk: PreSharedKey | undefined
  /** Names or ids of the hosts that are let in. Default: all that hold the key. */
  readonly allow?: readonly string[] | undefined
  /** Whether a network of this host is cut into such a block. */
  readonly isBlock: (network: string, block: string) => boolean
  /** Whether this host holds a block: nobody else can. */
  readonly isMine: (network: string, block: string) => boolean
  readonly listener: DirectoryListener
}

/** What an {@link Admission} asks of the directory that it is part of. */
export interface AdmissionContext {
  readonly model: DirectoryModel
  /** Monotonic milliseconds in which the store was heard. */
  readonly now: () => number
  /** Whether a holder lost a block, without a word, to who claims it now. */
  readonly hasLost: (holder: KnownHost, network: string, block: string) => boolean
  /** Refused records of a host may hold now. */
  readonly ready: (hostId: string) => void
  readonly report: (hostId: string, kind: string, error: PeerRefusedError) => void
  /** What was reported of a host and a kind is over. */
  readonly clear: (hostId: string, kind: string) => void
}

type OfBlock = Extract<ParsedKey, { kind: "block" }>
type OfEndpoint = Extract<ParsedKey, { kind: "endpoint" }>

/** Verifies records and enters what they say into the model. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #context: AdmissionContext

  constructor(options: AdmissionOptions, context: AdmissionContext) {
    this.#options = options
    this.#context = context
  }

  /**
   * Takes a change in.
   *
   * @param hostId whose the record says it is, where its key does not
   * @throws PeerRefusedError naming the check that it failed; nothing was changed then
   */
  apply({ key, value, revision, parsed }: PlacedChange, hostId: string): void {
    const { model } = this.#context
    switch (parsed.kind) {
      case "identity":
        if (value !== undefined) this.#identity(key, hostId, value)
        break
      case "host":
        if (value !== undefined) this.#record(key, hostId, value)
        break
      case "alive":
        this.#presence(key, hostId, value !== undefined)
        break
      case "block":
        // A key that is gone is no release: anybody who can write to the store can delete it.
        if (value !== undefined) this.#block(key, hostId, parsed, value)
        break
      case "endpoint":
        if (value === undefined) {
          model.removeEndpoint(parsed.network, parsed.address)
          this.#options.pins.forget(key)
        } else this.#endpoint(key, hostId, parsed, value)
        break
      case "keys":
      case "ack":
        this.#keyExchange(key, hostId, { kind: parsed.kind, text: value, revision })
        break
    }
  }

  /** Gives a host its underlay addresses, and then those that wait for the ones that it had. */
  admit(host: KnownHost): void {
    const { model } = this.#context
    const waited = model.displaced.has(host)
    this.#admitOne(host)
    if (waited) return
    for (const other of [...model.displaced]) if (other !== host) this.#admitOne(other)
  }

  #admitOne(host: KnownHost): void {
    const { model, report, clear } = this.#context
    const conflict = model.admit(host)
    if (conflict === undefined) clear(host.hostId, "underlay")
    else report(host.hostId, "underlay", this.#displacement(host, conflict))
  }

  #displacement({ hostId, record }: KnownHost, conflict: UnderlayConflict): PeerRefusedError {
    const { address, owner } = conflict
    const whose = owner === undefined ? "this host's" : `host ${this.#nameOf(owner)}'s`
    return new PeerRefusedError(
      "underlay",
      `Cannot reach host ${record?.name ?? hostId}: underlay: ${address} is ${whose}`,
      { hint: "two hosts cannot have one address; set hostIp where it is wrong" },
    )
  }

  /** An identity is believed when nobody was known by its id or number before. */
  #identity(key: string, hostId: string, text: string): void {
    const { pins, psk } = this.#options
    const { model, now, ready } = this.#context
    const record = openIdentity(text, { key, hostId, psk })
    pins.take(hostId, record)
    if (model.hosts.has(hostId)) return
    model.add(new KnownHost(hostId, record.number, now()))
    ready(hostId)
  }

  #record(key: string, hostId: string, text: string): void {
    const host = this.#known(hostId, key)
    const record = parseHostRecord(this.#verify(text, "host", key, hostId))
    this.#expectAllowed(hostId, record)
    host.record = record
    this.#context.ready(hostId)
    this.admit(host)
  }

  #expectAllowed(hostId: string, { name }: HostRecord): void {
    const { allow } = this.#options
    if (allow === undefined || allow.includes(hostId) || allow.includes(name)) return
    throw new PeerRefusedError(
      "allow",
      `Cannot take host ${hostId} (${name}): allow: it is not in allowHosts`,
      { hint: "add its name to allowHosts of this host if it is to be let in" },
    )
  }

  #presence(key: string, hostId: string, present: boolean): void {
    const { model, now } = this.#context
    if (!present && !model.hosts.has(hostId)) return
    const host = this.#known(hostId, key)
    host.presentSince = present ? (host.presentSince ?? now()) : undefined
    host.absentSince = present ? undefined : (host.absentSince ?? now())
    if (!present || host.member) return
    host.member = true
    this.admit(host)
  }

  #block(key: string, hostId: string, { network, block }: OfBlock, text: string): void {
    const { isBlock, isMine, selfId } = this.#options
    const { model, hasLost, ready } = this.#context
    const own = hostId === selfId
    const host = own ? undefined : this.#known(hostId, key)
    const { state } = parseBlockClaim(this.#verify(text, "block", key, hostId))
    const holder = model.holderOf(network, block)
    if (state === "released") {
      if (holder === host) model.unhold(network, block)
      return
    }
    if (host === undefined) {
      // Taken over from a host that is gone, or given up by one.
      if (isMine(network, block)) model.unhold(network, block)
      return
    }
    if (holder === host) return
    const refuse = (check: string, why: string) =>
      new PeerRefusedError(
        check,
        `Cannot take block ${block} of network ${network} for host ${this.#nameOf(hostId)}: ${check}: ${why}`,
      )
    if (!isBlock(network, block)) throw refuse("no-block", "the network is not cut so")
    if (isMine(network, block)) throw refuse("mine", "this host has addresses of it")
    if (holder !== undefined && !hasLost(holder, network, block)) {
      throw refuse("held", `host ${this.#nameOf(holder.hostId)} holds it`)
    }
    model.hold(host, network, block)
    ready(hostId)
  }

  #endpoint(key: string, hostId: string, { network, address }: OfEndpoint, text: string): void {
    const host = this.#known(hostId, key)
    const record = parseEndpointRecord(this.#verify(text, "endpoint", key, hostId))
    const refuse = (check: string, why: string) =>
      new PeerRefusedError(
        check,
        `Cannot take ${address} of network ${network} for host ${this.#nameOf(hostId)}: ${check}: ${why}`,
      )
    if (host.record === undefined) throw refuse("no-record", "the host has not told of itself")
    if (!record.addresses.includes(address)) throw refuse("address", "its record has another one")
    const outside = record.addresses.find((one) => !host.holds(network, one))
    if (outside !== undefined) {
      throw refuse("outside", `${outside} is in no block that the host holds`)
    }
    this.#context.model.putEndpoint(host, network, address, record)
  }

  #keyExchange(
    key: string,
    hostId: string,
    record: { kind: "keys" | "ack"; text: string | undefined; revision: number },
  ): void {
    const { listener, selfId } = this.#options
    const { kind, text, revision } = record
    if (hostId !== selfId) {
      if (text === undefined && !this.#context.model.hosts.has(hostId)) return
      this.#known(hostId, key)
    }
    const body = text === undefined ? undefined : this.#verify(text, kind, key, hostId)
    if (kind === "keys") listener.keysAnnounced(hostId, body, revision)
    else listener.keysAcknowledged(hostId, body, revision)
  }

  #verify(text: string, kind: string, key: string, hostId: string): unknown {
    const { pins, psk } = this.#options
    return pins.verify(text, { kind, key, hostId, psk })
  }

  #known(hostId: string, key: string): KnownHost {
    const host = this.#context.model.hosts.get(hostId)
    if (host !== undefined) return host
    if (hostId === "") {
      throw new PeerRefusedError("format", `Cannot take ${key}: format: it is no envelope`)
    }
    throw new PeerRefusedError(
      "unknown-host",
      `Cannot take ${key}: unknown-host: no identity of host ${JSON.stringify(hostId)} holds`,
    )
  }

  #nameOf(hostId: string): string {
    return this.#context.model.hosts.get(hostId)?.record?.name ?? hostId
  }
}
