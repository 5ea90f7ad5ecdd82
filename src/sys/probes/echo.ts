/**
 * Asking many hosts at once whether a packet of some size reaches them and comes back: ICMP echo
 * that is never fragmented, spread over time.
 *
 * No thread is needed: the kernel stamps each reply when it comes, so that reading it a tick later
 * does not lengthen its round-trip time, and the sockets hold what comes between two ticks. While
 * nothing is asked nothing runs.
 */

import { type Family, familyOf } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { EMSGSIZE, SystemError } from "../ffi/errno.ts"
import { MessageBuffer } from "../net/message_header.ts"
import { ipSocketAddress, type SocketAddress } from "../net/socket_address.ts"
import { echoPacketLimits, encodeEcho } from "./echo_packet.ts"
import { addressBytes, type EchoError, EchoSocket, realtimeMs } from "./echo_socket.ts"

/** One question: does a packet of this size get there and back? */
export interface EchoProbe {
  readonly destination: string
  /** The address to send from. Default: what the routes say. */
  readonly source?: string | undefined
  /** Of the whole IP packet: 36 bytes or more over IPv4, 56 over IPv6. */
  readonly packetBytes: number
}

/** The answer. */
export type EchoResult =
  /** `rttMs` is missing where the wall clock was set meanwhile. */
  | { readonly kind: "answered"; readonly rttMs: number | undefined }
  | { readonly kind: "timeout" }
  /**
   * The packet is too large for this host's interface or tunnel (`local`), or for one on the way;
   * `mtu` is the largest that goes on there, where it was said.
   */
  | { readonly kind: "too-big"; readonly mtu: number | undefined; readonly local: boolean }
  /** A router, or this host's neighbour discovery, says that it cannot be reached. */
  | { readonly kind: "unreachable"; readonly errno: number }
  /**
   * This host did not send it: ENETUNREACH is no route; EINVAL and ENETUNREACH a source that is not
   * its own; with IPsec EPERM is the policy that blocks clear text. A policy without its
   * association is a time-out: the kernel takes the packet, counts XfrmOutNoStates and drops it.
   */
  | { readonly kind: "unsent"; readonly errno: number }

/** Options of a round of probes. */
export interface EchoRoundOptions {
  /** How long each waits for its reply, ms. Default 1000. */
  readonly timeoutMs?: number
  /** The sends are spread evenly over this time, ms. Default 0: at once. */
  readonly spreadMs?: number
}

/** Options of a prober. */
export interface EchoProberOptions {
  /** Shortest time between two looks at the sockets, ms: a burst costs one wake-up. Default 50. */
  readonly tickMs?: number
}

/** include/uapi/asm-generic/errno.h */
const EAFNOSUPPORT = 97

/** Most probes that wait for a reply at once: a sequence number has 16 bits. */
const MAX_ECHO_FLIGHTS = 32_768

/** Sends of one tick, so that a long list does not hold up the event loop. */
const MAX_SENDS_PER_TICK = 512

interface Round {
  readonly probes: readonly EchoProbe[]
  readonly startMs: number
  readonly spreadMs: number
  readonly timeoutMs: number
  readonly results: (EchoResult | undefined)[]
  sent: number
  open: number
  readonly done: PromiseWithResolvers<readonly EchoResult[]>
}

interface Flight {
  readonly round: Round
  readonly index: number
  readonly family: 4 | 6
  readonly to: Uint8Array
  readonly cookie: bigint
  readonly sentMs: number
  readonly expiresMs: number
}

/** Sends echo requests and matches their replies, in the network namespace where it was opened. */
export class EchoProber {
  readonly #sockets: ReadonlyMap<4 | 6, EchoSocket>
  readonly #tickMs: number
  readonly #rounds = new Set<Round>()
  readonly #flights = new Map<number, Flight>()
  #sequence = randomU16()
  #timer: ReturnType<typeof setTimeout> | undefined
  #closed = false

  private constructor(sockets: ReadonlyMap<4 | 6, EchoSocket>, tickMs: number) {
    this.#sockets = sockets
    this.#tickMs = tickMs
  }

  /**
   * Opens the sockets. A host without IPv6 gets a prober for IPv4 alone.
   *
   * @throws SystemError permission without CAP_NET_RAW
   */
  static open(options: EchoProberOptions = {}): EchoProber {
    const { tickMs = 50 } = options
    const buffer = new MessageBuffer(65_536)
    const id = randomU16()
    const sockets = new Map<4 | 6, EchoSocket>([[4, EchoSocket.open(4, id, buffer)]])
    try {
      sockets.set(6, EchoSocket.open(6, id, buffer))
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "kernel-unsupported") {
        sockets.get(4)?.close()
        throw error
      }
    }
    return new EchoProber(sockets, tickMs)
  }

  /**
   * Sends one round of probes. Rounds may overlap.
   *
   * @returns a result for each probe, in their order, when the last is known
   * @throws LariatError usage for an address that is none, or a size no packet can have; busy when
   * more than {@link MAX_ECHO_FLIGHTS} would wait; the promise rejects with `internal` on `close`
   */
  probe(
    probes: readonly EchoProbe[],
    options: EchoRoundOptions = {},
  ): Promise<readonly EchoResult[]> {
    const { timeoutMs = 1000, spreadMs = 0 } = options
    if (this.#closed)
      throw new LariatError("Cannot probe: the prober is closed", { code: "internal" })
    for (const probe of probes) checkProbe(probe)
    const waiting = [...this.#rounds].reduce((sum, { open }) => sum + open, probes.length)
    if (waiting > MAX_ECHO_FLIGHTS) {
      throw new LariatError(
        `Cannot probe ${probes.length} targets: ${waiting} would wait at once, and ${MAX_ECHO_FLIGHTS} can`,
        { code: "busy", hint: "Probe less often, or wait less long for replies." },
      )
    }
    const round: Round = {
      probes,
      startMs: performance.now(),
      spreadMs,
      timeoutMs,
      results: new Array(probes.length).fill(undefined),
      sent: 0,
      open: probes.length,
      done: Promise.withResolvers(),
    }
    if (probes.length === 0) return Promise.resolve([])
    this.#rounds.add(round)
    this.#schedule(0)
    return round.done.promise
  }

  /** Closes the sockets; what is under way ends with an error. May be called twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    for (const socket of this.#sockets.values()) socket.close()
    this.#fail(new LariatError("Cannot finish the probes: closed", { code: "internal" }))
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Wakes after `delayMs` at the latest. */
  #schedule(delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#tick(), delayMs)
  }

  #tick(): void {
    try {
      this.#receive()
      this.#expire()
      this.#sendDue()
      // A reply on the same host, or on a fast link, is there already: no second wake-up for it.
      if (this.#flights.size > 0) this.#receive()
    } catch (error) {
      // A socket that cannot be read; whoever waits must hear of it.
      this.#fail(error)
    }
    this.#deliver()
    const next = this.#nextWake()
    if (next !== undefined && !this.#closed) this.#schedule(next)
  }

  #fail(error: unknown): void {
    for (const { done } of this.#rounds) done.reject(error)
    this.#rounds.clear()
    this.#flights.clear()
  }

  #sendDue(): void {
    const now = performance.now()
    let budget = MAX_SENDS_PER_TICK
    for (const round of this.#rounds) {
      while (round.sent < round.probes.length && budget > 0) {
        if (dueMs(round, round.sent) > now) break
        this.#send(round, round.sent)
        round.sent++
        budget--
      }
    }
  }

  #send(round: Round, index: number): void {
    const probe = round.probes[index]
    if (probe === undefined) return
    const to = ipSocketAddress(probe.destination, 0)
    const family = familyOf(probe.destination)
    const socket = this.#sockets.get(family)
    if (socket === undefined) {
      settle(round, index, { kind: "unsent", errno: EAFNOSUPPORT })
      return
    }
    const sequence = this.#nextSequence()
    const cookie = randomU64()
    const message = encodeEcho(family, { id: socket.id, sequence, cookie }, probe.packetBytes)
    const source = probe.source === undefined ? undefined : ipSocketAddress(probe.source, 0)
    const sentMs = realtimeMs()
    const failure = this.#sendTwice(socket, message, to, source)
    if (failure !== undefined) {
      settle(round, index, failure)
      return
    }
    const expiresMs = performance.now() + round.timeoutMs
    const flight = { round, index, family, to: addressBytes(to), cookie, sentMs, expiresMs }
    this.#flights.set(sequence, flight)
  }

  /**
   * The first failure may be an older error of the path, which the kernel hands to whoever calls
   * next; the second is this packet's own.
   */
  #sendTwice(
    socket: EchoSocket,
    message: Uint8Array,
    to: SocketAddress,
    source: SocketAddress | undefined,
  ): EchoResult | undefined {
    if (socket.send(message, to, source) === 0) return undefined
    this.#takeErrors(socket)
    const errno = socket.send(message, to, source)
    if (errno === 0) return undefined
    const own = this.#takeErrors(socket).findLast((error) => error.local)
    if (errno !== EMSGSIZE) return { kind: "unsent", errno }
    return { kind: "too-big", mtu: own?.mtu, local: true }
  }

  /** Settles what the path reported; returns all errors. */
  #takeErrors(socket: EchoSocket): readonly EchoError[] {
    const errors = socket.errors()
    for (const { quoted, errno, mtu } of errors) {
      const flight = quoted === undefined ? undefined : this.#flights.get(quoted.sequence)
      if (quoted === undefined || flight === undefined || flight.family !== socket.family) continue
      // Where a router quotes enough, nobody who does not see the packets can make up its error.
      if (quoted.cookie !== undefined && quoted.cookie !== flight.cookie) continue
      this.#flights.delete(quoted.sequence)
      settle(
        flight.round,
        flight.index,
        errno === EMSGSIZE
          ? { kind: "too-big", mtu, local: false }
          : { kind: "unreachable", errno },
      )
    }
    return errors
  }

  #receive(): void {
    for (const socket of this.#sockets.values()) {
      this.#takeErrors(socket)
      for (let reply = socket.receive(); reply !== undefined; reply = socket.receive()) {
        const flight = this.#flights.get(reply.sequence)
        if (flight === undefined || flight.family !== socket.family) continue
        const probe = flight.round.probes[flight.index]
        if (reply.cookie !== flight.cookie || reply.packetBytes !== probe?.packetBytes) continue
        if (!sameBytes(reply.from, flight.to)) continue
        this.#flights.delete(reply.sequence)
        const rttMs = roundTrip(flight, reply.receivedMs)
        settle(flight.round, flight.index, { kind: "answered", rttMs })
      }
    }
  }

  #expire(): void {
    const now = performance.now()
    for (const [sequence, { round, index, expiresMs }] of this.#flights) {
      if (expiresMs > now) continue
      this.#flights.delete(sequence)
      settle(round, index, { kind: "timeout" })
    }
  }

  #deliver(): void {
    for (const round of this.#rounds) {
      if (round.open > 0) continue
      this.#rounds.delete(round)
      round.done.resolve(round.results.map((one) => one ?? { kind: "timeout" }))
    }
  }

  /** How long to sleep, ms; undefined when nothing is under way. */
  #nextWake(): number | undefined {
    if (this.#rounds.size === 0) return undefined
    const now = performance.now()
    let at = this.#flights.size > 0 ? now + this.#tickMs : Number.POSITIVE_INFINITY
    for (const round of this.#rounds) {
      if (round.sent < round.probes.length) at = Math.min(at, dueMs(round, round.sent))
    }
    return Math.max(at - now, this.#tickMs)
  }

  #nextSequence(): number {
    do this.#sequence = (this.#sequence + 1) & 0xffff
    while (this.#flights.has(this.#sequence))
    return this.#sequence
  }
}

/** When a probe is to be sent, on the clock of performance.now(). */
function dueMs({ startMs, spreadMs, probes }: Round, index: number): number {
  return startMs + (spreadMs * index) / probes.length
}

function settle(round: Round, index: number, result: EchoResult): void {
  if (round.results[index] !== undefined) return
  round.results[index] = result
  round.open--
}

/** By the kernel's stamp; the wall clock may have been set between it and the send. */
function roundTrip({ sentMs, round }: Flight, receivedMs: number | undefined): number | undefined {
  if (receivedMs === undefined) return undefined
  const rtt = receivedMs - sentMs
  return rtt >= 0 && rtt <= round.timeoutMs * 2 ? rtt : undefined
}

function checkProbe({ destination, source, packetBytes }: EchoProbe): void {
  const family = checkedFamily(destination)
  const { min, max } = echoPacketLimits(family)
  if (!Number.isInteger(packetBytes) || packetBytes < min || packetBytes > max) {
    throw new LariatError(
      `Cannot probe ${destination} with ${packetBytes} bytes: an IPv${family} echo has ${min} to ${max}`,
      { code: "usage" },
    )
  }
  if (source !== undefined && checkedFamily(source) !== family) {
    throw new LariatError(`Cannot probe ${destination} from ${source}: another family`, {
      code: "usage",
    })
  }
}

/** @throws LariatError usage when it is no address */
function checkedFamily(address: string): Family {
  ipSocketAddress(address, 0)
  return familyOf(address)
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

function randomU16(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0] ?? 0
}

function randomU64(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n
}
