/**
 * ESP in UDP: for each network and host whether, and by which address and ports. Joins what two
 * hosts configured with what they learn of NATs between them, and tells the drivers.
 */

import type { Logger } from "@logtape/logtape"
import type { DirectoryPeer } from "../../cluster/directory.ts"
import { type Endpoint, type NatDatagram, NatDetection } from "../../cluster/nat_detection.ts"
import type { PreSharedKey } from "../../cluster/psk.ts"
import type { Network, UdpEncapsulation } from "../../config/network.ts"
import type { Driver } from "../../drivers/driver.ts"
import { IpsecDriver } from "../../drivers/ipsec/ipsec_driver.ts"
import { addressOf, ownFamily } from "../../drivers/underlay_address.ts"
import { messageOf } from "../../errors.ts"
import type { XfrmEvent } from "../../netlink/xfrm_event.ts"
import { ESP_UDP_PORT } from "../../sys/udp_encap.ts"
import type { UdpDatagram } from "../../sys/udp_encap_reader.ts"
import type { Health } from "../health.ts"
import { EncapSockets } from "./encap_sockets.ts"

/** How long keys wait for a host's first answer: one that is away is not to hold them up, ms. */
const FIRST_ANSWER_MS = 3000
/** More of it for each host that is asked before: 32 are in each 100 ms. */
const TURN_MS = 4
/** How often sockets that could not be opened are tried again, ms. */
const REOPEN_MS = 5000
/** Between two looks at what is due, ms. */
const LEAST_MS = 10
const MOST_MS = 60_000

/** What {@link Encapsulation} works with. */
export interface EncapsulationParts {
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
  /** What other hosts must know of this one is another now. */
  readonly onParameters: () => void
}

/** What this host's configuration says of a network. */
interface Own {
  readonly mode: Exclude<UdpEncapsulation, "none">
  readonly port: number
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
  readonly #parts: EncapsulationParts
  readonly #sockets: EncapSockets
  readonly #own = new Map<string, Own>()
  readonly #peers = new Map<string, Peer>()
  /** By this host's port. */
  readonly #detections = new Map<number, NatDetection>()
  #number: number | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #reopenAt = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(parts: EncapsulationParts) {
    this.#parts = parts
    const { kept, health, log } = parts
    const onDatagrams = (datagrams: readonly UdpDatagram[]) => this.#hear(datagrams)
    this.#sockets = new EncapSockets({ kept, health, log, onDatagrams })
  }

  /** Takes the networks' settings in, and opens their ports. */
  configure(networks: readonly Network[]): void {
    this.#own.clear()
    for (const { name, driver, carriage } of networks) {
      const { udp: mode, port = ESP_UDP_PORT } = carriage
      if (driver === "ipsec" && mode !== "none") this.#own.set(name, { mode, port })
    }
    this.#open()
    this.#wake()
  }

  /** Begins to ask other hosts, by this host's number in the cluster. */
  begin(number: number): void {
    this.#number = number
    this.#wake()
  }

  /** What other hosts must know of this one's part in a network. */
  parameters(network: string): Readonly<Record<string, string>> {
    const own = this.#own.get(network)
    const family = this.#family()
    if (own === undefined || family === undefined) return {}
    // Without a socket nothing in UDP could be taken in.
    if (this.#sockets.get(family, own.port) === undefined) return {}
    return { port: String(own.port), udp: own.mode }
  }

  /** Takes a host's part in a network in, or what changed of it; before its driver does. */
  putPeer(network: string, peer: DirectoryPeer): void {
    const { hostId, number } = peer
    const old = this.#peers.get(hostId)
    const known = old?.number === number ? old : undefined
    const waitsUntil = this.#parts.clock() + FIRST_ANSWER_MS + TURN_MS * this.#peers.size
    const entry = known ?? { number, pairs: new Map(), waitsUntil }
    this.#peers.set(hostId, entry)
    const pair = this.#pairOf(network, peer)
    entry.pairs.set(network, pair)
    if (pair !== undefined) this.#detect(hostId, number, pair)
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
    for (const { network, driver } of this.#parts.drivers()) {
      const hostId = driver instanceof IpsecDriver ? driver.hostOf(reqid) : undefined
      const peer = this.#peers.get(hostId ?? "")
      const pair = peer?.pairs.get(network)
      if (hostId === undefined || peer === undefined || pair === undefined) continue
      const detection = this.#detections.get(pair.ourPort)
      const now = this.#parts.clock()
      if (detection?.moved(peer.number, { address, port }, now) === true) this.#applyAll(hostId)
    }
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#sockets.stop()
  }

  #family(): 4 | 6 | undefined {
    return ownFamily(this.#parts.underlay())
  }

  #open(): void {
    const family = this.#family()
    const ports = [...new Set([...this.#own.values()].map(({ port }) => port))]
    const complete = family === undefined || this.#sockets.ensure(family, ports)
    this.#reopenAt = complete ? Number.POSITIVE_INFINITY : this.#parts.clock() + REOPEN_MS
  }

  #reopen(): void {
    this.#open()
    if (this.#reopenAt !== Number.POSITIVE_INFINITY) return
    this.#parts.onParameters()
    for (const hostId of this.#peers.keys()) this.#parts.onSettled(hostId)
  }

  #pairOf(network: string, { underlay, parameters }: DirectoryPeer): Pair | undefined {
    const own = this.#own.get(network)
    const family = this.#family()
    const port = Number(parameters.port)
    if (own === undefined || family === undefined || this.#parts.psk === undefined) return undefined
    if (this.#sockets.get(family, own.port) === undefined) return undefined
    if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined
    const address = addressOf(underlay, family)
    if (address === undefined) return undefined
    const always = own.mode === "udp" || parameters.udp === "udp"
    return { ourPort: own.port, announced: { address, port }, always }
  }

  #detect(hostId: string, number: number, { ourPort, announced }: Pair): void {
    const { psk, hostId: own, random, clock, underlay } = this.#parts
    const family = this.#family()
    const address = family === undefined ? undefined : addressOf(underlay(), family)
    if (psk === undefined || address === undefined || this.#number === undefined) return
    const detection =
      this.#detections.get(ourPort) ??
      new NatDetection({ mode: "auto", number: this.#number, random })
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
    if (this.#parts.clock() < peer.waitsUntil && !this.#knows(peer)) return true
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
    const { drivers, log } = this.#parts
    const driver = drivers().find((one) => one.network === network)?.driver
    if (!(driver instanceof IpsecDriver)) return
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
    const now = this.#parts.clock()
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
      this.#parts.onSettled(hostId)
    }
  }

  #send(datagrams: readonly NatDatagram[]): void {
    for (const one of datagrams) {
      const socket = this.#sockets.get(one.to.address.includes(":") ? 6 : 4, one.from.port)
      // What cannot be sent now is sent again when the answer stays away.
      if (one.kind === "keepalive") socket?.keepAlive(one.to, one.from.address)
      else socket?.send(one.bytes, one.to, one.from.address)
    }
  }

  #work(): void {
    const now = this.#parts.clock()
    try {
      if (now >= this.#reopenAt) this.#reopen()
      for (const detection of this.#detections.values()) this.#send(detection.due(now))
      this.#settle()
    } catch (error) {
      this.#parts.log.info("NAT detection: {why}", { why: messageOf(error) })
    }
    this.#wake()
  }

  /** Sets the timer to what is due next. */
  #wake(): void {
    if (this.#stopped) return
    const now = this.#parts.clock()
    const times = [
      this.#reopenAt,
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
