/**
 * ESP in UDP: for each network and host whether, and by which address and ports. Joins what two
 * hosts configured with what they learn of NATs between them, and tells the drivers.
 */

import type { Logger } from "@logtape/logtape"
import type { DirectoryPeer } from "../../../cluster/directory/directory.ts"
import {
  type Endpoint,
  KEEPALIVE_MS,
  type NatDatagram,
  NatDetection,
} from "../../../cluster/nat/nat_detection.ts"
import { sameEndpoint } from "../../../cluster/nat/nat_message.ts"
import type { PreSharedKey } from "../../../cluster/records/psk.ts"
import type { Network } from "../../../config/network.ts"
import { familyOf } from "../../../core/address.ts"
import type { Driver } from "../../../drivers/driver.ts"
import { addressOf, ownFamily } from "../../../drivers/underlay_address.ts"
import { messageOf } from "../../../errors.ts"
import type { XfrmEvent } from "../../../netlink/xfrm/event.ts"
import type { UdpDatagram } from "../../../sys/net/udp_encap_reader.ts"
import type { Health } from "../../health.ts"
import { OwnEncapsulation } from "./own_encapsulation.ts"

/** How long keys wait for a host's first answer: one that is away is not to hold them up, ms. */
const FIRST_ANSWER_MS = 3000
/** More of it for each host that is asked before: 32 are in each 100 ms. */
const TURN_MS = 4
/** Between two looks at what is due, ms. */
const LEAST_MS = 10
const MOST_MS = 60_000

/** What {@link Encapsulation} works with. */
export interface EncapsulationDependencies {
  readonly hostId: string
  /** Where other hosts reach this one. */
  readonly underlay: () => readonly string[]
  readonly psk: PreSharedKey | undefined
  readonly health: Health
  readonly log: Logger
  /** Monotonic milliseconds. */
  readonly clock: () => number
  readonly random: (bytes: number) => Uint8Array
  /** Descriptors that the service manager kept. */
  readonly kept: ReadonlyMap<string, readonly number[]>
  readonly drivers: () => readonly { readonly network: string; readonly driver: Driver }[]
  /** A host is to be put again: its first keys may be made now, or there is a socket now. */
  readonly onSettled: (hostId: string) => void
  /** What other hosts must know of this one is another now; resolves when they can know it. */
  readonly onParameters: () => Promise<void>
  /** A port is not used any more: nor, perhaps, is the room for it in each packet. */
  readonly onPortClosed: () => void
}

/** What two hosts say of a network; both have a socket. */
interface Pair {
  readonly ourPort: number
  readonly announced: Endpoint
  /** Either of both wants UDP whatever is found. */
  readonly always: boolean
}

interface Peer {
  readonly number: number
  readonly pairs: Map<string, Pair | undefined>
  /** Until when its first keys wait; undefined once they do not. */
  waitsUntil: number | undefined
}

export class Encapsulation {
  readonly #dependencies: EncapsulationDependencies
  readonly #own: OwnEncapsulation
  readonly #peers = new Map<string, Peer>()
  /** By this host's port. */
  readonly #detections = new Map<number, NatDetection>()
  #number: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #keepAt = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(dependencies: EncapsulationDependencies) {
    this.#dependencies = dependencies
    const { kept, health, log } = dependencies
    const onDatagrams = (datagrams: readonly UdpDatagram[]) => this.#hear(datagrams)
    const family = () => this.#family()
    this.#own = new OwnEncapsulation(family, { kept, health, log, onDatagrams })
  }

  /**
   * Takes the networks' settings in, and opens their ports. What changed is told to the other hosts
   * first: they are to know it before the keys that are made by it.
   */
  configure(networks: readonly Network[]): void {
    const changed = this.#own.configure(networks, this.#dependencies.clock())
    this.#wake()
    if (changed && this.#number !== undefined) void this.#tellAll()
  }

  /**
   * Begins to ask other hosts, by this host's number in the cluster. Those that an earlier process
   * sent to in UDP hear of this host at once: which hosts there are the store has yet to say, and a
   * NAT forgets meanwhile.
   */
  begin(number: number): void {
    this.#number = number
    this.#keepOpen()
    this.#wake()
  }

  /** What other hosts must know of this one's part in a network. */
  parameters(network: string): Readonly<Record<string, string>> {
    const own = this.#own.of(network)
    return own === undefined ? {} : { port: String(own.port), udp: own.mode }
  }

  /** Takes a host's part in a network in, or what changed of it; before its driver does. */
  putPeer(network: string, peer: DirectoryPeer): void {
    const { hostId, number } = peer
    const old = this.#peers.get(hostId)
    const known = old?.number === number ? old : undefined
    const waitsUntil = this.#dependencies.clock() + FIRST_ANSWER_MS + TURN_MS * this.#peers.size
    const entry = known ?? { number, pairs: new Map(), waitsUntil }
    this.#peers.set(hostId, entry)
    const before = entry.pairs.get(network)
    const pair = this.#pairOf(network, peer)
    entry.pairs.set(network, pair)
    if (before?.ourPort !== pair?.ourPort) this.#forgetPort(entry, before?.ourPort)
    if (pair !== undefined) {
      if (!isSameWay(before, pair)) entry.waitsUntil = waitsUntil
      this.#detect(hostId, number, pair)
    }
    this.#apply(hostId, entry, network)
    this.#wake()
  }

  removePeer(network: string, hostId: string): void {
    const peer = this.#peers.get(hostId)
    if (peer?.pairs.delete(network) !== true || peer.pairs.size > 0) return
    this.#peers.delete(hostId)
    for (const detection of this.#detections.values()) detection.removePeer(peer.number)
  }

  /**
   * Whether a host's first keys can be made: how it is reached is known, or it did not say so in
   * time. An association takes one kind of encapsulation alone: made too early it is of no use.
   */
  isSettled(hostId: string): boolean {
    const peer = this.#peers.get(hostId)
    return peer === undefined || !this.#waits(peer)
  }

  /** Takes in that a peer's packets come from another place. */
  moved({ reqid, address, port }: XfrmEvent & { readonly kind: "moved" }): void {
    for (const { network, driver } of this.#dependencies.drivers()) {
      const hostId = driver.keyed?.hostOf(reqid)
      const peer = this.#peers.get(hostId ?? "")
      const pair = peer?.pairs.get(network)
      if (hostId === undefined || peer === undefined || pair === undefined) continue
      const detection = this.#detections.get(pair.ourPort)
      const now = this.#dependencies.clock()
      if (detection?.moved(peer.number, { address, port }, now) === true) this.#applyAll(hostId)
    }
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#own.stop()
  }

  #family(): 4 | 6 | undefined {
    return ownFamily(this.#dependencies.underlay())
  }

  /** This host's part is another now: each host is gone over with that, after it can know it. */
  async #tellAll(): Promise<void> {
    await this.#dependencies.onParameters()
    if (this.#stopped) return
    for (const hostId of [...this.#peers.keys()]) this.#dependencies.onSettled(hostId)
  }

  /** Keeps NATs open towards hosts that are sent to and that detection knows nothing of yet. */
  #keepOpen(): void {
    const remotes = this.#dependencies
      .drivers()
      .flatMap(({ driver }) => [...(driver.keyed?.udpRemotes() ?? [])])
    const detections = [...this.#detections.values()]
    const unknown = remotes.filter(([number]) => !detections.some((one) => one.knows(number)))
    for (const [, { address, ourPort, peerPort }] of unknown) {
      const family = familyOf(address)
      const from = addressOf(this.#dependencies.underlay(), family)
      this.#own.socket(family, ourPort)?.keepAlive({ address, port: peerPort }, from)
    }
    this.#keepAt =
      unknown.length === 0 ? Number.POSITIVE_INFINITY : this.#dependencies.clock() + KEEPALIVE_MS
  }

  /** Whether associations still come in by a port. */
  #isUsed(port: number): boolean {
    return this.#dependencies
      .drivers()
      .some(({ driver }) => driver.keyed?.encapsulationPorts().has(port) === true)
  }

  /** A peer is not reached from this port any more. */
  #forgetPort({ number, pairs }: Peer, port: number | undefined): void {
    if ([...pairs.values()].some((pair) => pair?.ourPort === port)) return
    this.#detections.get(port ?? 0)?.removePeer(number)
  }

  #pairOf(network: string, { underlay, parameters }: DirectoryPeer): Pair | undefined {
    const own = this.#own.of(network)
    const family = this.#family()
    const port = Number(parameters.port)
    if (own === undefined || family === undefined || this.#dependencies.psk === undefined)
      return undefined
    if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined
    const address = addressOf(underlay, family)
    if (address === undefined) return undefined
    const always = own.mode === "udp" || parameters.udp === "udp"
    return { ourPort: own.port, announced: { address, port }, always }
  }

  #detect(hostId: string, number: number, { ourPort, announced }: Pair): void {
    const { psk, hostId: own, random, clock, underlay } = this.#dependencies
    const family = this.#family()
    const address = family === undefined ? undefined : addressOf(underlay(), family)
    if (psk === undefined || address === undefined || this.#number === undefined) return
    const detection =
      this.#detections.get(ourPort) ?? new NatDetection({ number: this.#number, random })
    this.#detections.set(ourPort, detection)
    const key = psk.pairSecret("nat detection", own, hostId)
    detection.setPeer(number, { announced, own: { address, port: ourPort }, key }, clock())
  }

  #knows({ number, pairs }: Peer): boolean {
    return [...pairs.values()].every(
      (pair) => pair === undefined || this.#detections.get(pair.ourPort)?.knows(number) === true,
    )
  }

  #waits(peer: Peer): boolean {
    if (peer.waitsUntil === undefined) return false
    if (this.#dependencies.clock() < peer.waitsUntil && !this.#knows(peer)) return true
    peer.waitsUntil = undefined
    return false
  }

  #applyAll(hostId: string): void {
    const peer = this.#peers.get(hostId)
    if (peer === undefined) return
    for (const network of peer.pairs.keys()) this.#apply(hostId, peer, network)
  }

  /** Tells a network's driver how a host is reached, as far as that is known. */
  #apply(hostId: string, peer: Peer, network: string): void {
    const { drivers, log } = this.#dependencies
    const driver = drivers().find((one) => one.network === network)?.driver.keyed
    if (driver === undefined) return
    const pair = peer.pairs.get(network)
    const learned =
      pair === undefined || this.#detections.get(pair.ourPort)?.knows(peer.number) !== true
        ? undefined
        : this.#detections.get(pair.ourPort)?.outcome(peer.number)
    // What an earlier process learned holds until there is something newer.
    if (pair !== undefined && learned === undefined) {
      if (this.#waits(peer) || driver.encapsulationOf(hostId) !== undefined) return
    }
    try {
      if (pair !== undefined && (pair.always || learned?.encapsulate === true)) {
        const { announced, ourPort } = pair
        const peerPort = learned?.peerPort ?? announced.port
        const peerAddress = learned?.peerAddress ?? announced.address
        driver.setEncapsulation(hostId, { ourPort, peerPort, peerAddress })
      } else driver.setEncapsulation(hostId, undefined)
    } catch (error) {
      log.info("the way to a host cannot be changed: {why}", { why: messageOf(error) })
    }
  }

  #hear(datagrams: readonly UdpDatagram[]): void {
    const now = this.#dependencies.clock()
    for (const { payload, source, local } of datagrams) {
      const reaction = this.#detections.get(local.port)?.receive(payload, source, local, now)
      this.#send(reaction?.send ?? [])
      if (reaction?.changed === undefined) continue
      const number = reaction.changed
      for (const [hostId, peer] of this.#peers) if (peer.number === number) this.#applyAll(hostId)
    }
    this.#settle()
    this.#wake()
  }

  /** Lets keys be made with hosts that need not wait any more. */
  #settle(): void {
    for (const [hostId, peer] of this.#peers) {
      if (peer.waitsUntil === undefined || this.#waits(peer)) continue
      this.#applyAll(hostId)
      this.#dependencies.onSettled(hostId)
    }
  }

  #send(datagrams: readonly NatDatagram[]): void {
    for (const one of datagrams) {
      const socket = this.#own.socket(familyOf(one.to.address), one.from.port)
      // What cannot be sent now is sent again when the answer stays away.
      if (one.kind === "keepalive") socket?.keepAlive(one.to, one.from.address)
      else socket?.send(one.bytes, one.to, one.from.address)
    }
  }

  #work(): void {
    const now = this.#dependencies.clock()
    try {
      if (this.#own.reopen(now)) void this.#tellAll()
      if (this.#own.release(now, (port) => this.#isUsed(port))) {
        this.#dependencies.onPortClosed()
        void this.#tellAll()
      }
      if (now >= this.#keepAt) this.#keepOpen()
      for (const detection of this.#detections.values()) this.#send(detection.due(now))
      this.#settle()
    } catch (error) {
      this.#dependencies.log.info("NAT detection: {why}", { why: messageOf(error) })
    }
    this.#wake()
  }

  /** Sets the timer to what is due next. */
  #wake(): void {
    if (this.#stopped) return
    const now = this.#dependencies.clock()
    const times = [
      this.#own.nextMs,
      this.#keepAt,
      ...[...this.#detections.values()].map((detection) => detection.nextMs()),
      ...[...this.#peers.values()].flatMap(({ waitsUntil }) => waitsUntil ?? []),
    ]
    const wait = Math.min(Math.max(Math.min(...times) - now, LEAST_MS), MOST_MS)
    if (this.#timer !== undefined && now + wait >= this.#dueAt && this.#dueAt > now) return
    clearTimeout(this.#timer)
    this.#dueAt = now + wait
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#work()
    }, wait)
  }
}

/** Whether what was learned of one holds for the other. */
function isSameWay(before: Pair | undefined, { ourPort, announced }: Pair): boolean {
  return before?.ourPort === ourPort && sameEndpoint(before.announced, announced)
}
