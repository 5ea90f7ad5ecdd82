/**
 * Whether a NAT stands between this host and its peers, and where each peer is reached (IKEv2 learns
 * it by NAT_DETECTION_*_IP, RFC 7296 §2.23): a request tells from where it was sent and to where; the
 * answer, from where it was seen to come; a confirmation shows the peer that the one who asks is
 * really there, since only who got the answer knows its cookie. No clock is compared, nothing is
 * kept for strangers, and no message is longer than the one it answers.
 *
 * Who sees and changes all packets between two hosts can move the endpoints that they learn, as with
 * IKE; he gains no more than dropping their packets would give him.
 */

import { createHmac, timingSafeEqual } from "node:crypto"
import { Backoff } from "../../backoff.ts"
import {
  decodeNatMessage,
  type Endpoint,
  encodeNatMessage,
  type NatMessage,
  NONCE_BYTES,
  sameEndpoint,
} from "./nat_message.ts"

export type { Endpoint } from "./nat_message.ts"

/** How to reach a peer. */
export interface NatOutcome {
  readonly encapsulate: boolean
  readonly peerAddress: string
  /** The peer's UDP port; of use with `encapsulate` alone. */
  readonly peerPort: number
}

/** A peer as it announces itself. */
export interface NatPeer {
  /** Its encapsulation socket. */
  readonly announced: Endpoint
  /** This host's own socket and address that face it, of the same family. */
  readonly own: Endpoint
  /** Shared with it alone; both ends derive the same. */
  readonly key: Uint8Array
}

/** A datagram to send. */
export type NatDatagram =
  | {
      readonly kind: "message"
      readonly to: Endpoint
      readonly from: Endpoint
      readonly bytes: Uint8Array
    }
  /** One byte 0xff without the marker: RFC 3948 §2.3. */
  | { readonly kind: "keepalive"; readonly to: Endpoint; readonly from: Endpoint }

/** What a datagram came to. */
export interface NatReaction {
  readonly send: readonly NatDatagram[]
  /** The peer whose outcome changed. */
  readonly changed: number | undefined
}

/** What a {@link NatDetection} works with. */
export interface NatDetectionOptions {
  /** This host's number in the cluster. */
  readonly number: number
  /** Random bytes, unguessable. */
  readonly random: (length: number) => Uint8Array
}

/** Between two exchanges with a peer that answers, ms. */
const REFRESH_MS = 60_000
/** Between two keepalives, ms: RFC 3948 §4. */
export const KEEPALIVE_MS = 20_000
/** Waits for an answer. */
const RETRIES = { firstMs: 500, longestMs: REFRESH_MS }
/** After news the exchange is made twice more, lest the peer missed the confirmation. */
const REPEATS = 2
const REPEAT_MS = 1000
/** Requests are paced, so that their answers find room in the socket: 320 a second. */
const REQUESTS_AT_ONCE = 32
const PACE_MS = 100
/** How long an answer is taken for one to a request. */
const ANSWER_MS = 10_000
/** A cookie holds in the period in which it was made and the next. */
const COOKIE_PERIOD_MS = 30_000

const NOTHING: NatReaction = { send: [], changed: undefined }

interface Asked {
  readonly nonce: Uint8Array
  readonly to: Endpoint
  readonly untilMs: number
}

interface State {
  peer: NatPeer
  /** As it is known to this host; undefined before any exchange. */
  learned: { readonly encapsulate: boolean; readonly endpoint: Endpoint } | undefined
  /** Where the peer sees this host; undefined before an answer of it. */
  outside: Endpoint | undefined
  asked: Asked | undefined
  askAtMs: number
  readonly retries: Backoff
  repeats: number
  keepaliveAtMs: number
}

/** All peers; times are the caller's, monotonic, in ms. */
export class NatDetection {
  readonly #options: NatDetectionOptions
  readonly #secret: Uint8Array
  readonly #peers = new Map<number, State>()
  #lastDueMs = Number.NEGATIVE_INFINITY

  constructor(options: NatDetectionOptions) {
    this.#options = options
    this.#secret = options.random(32)
  }

  /** Takes a peer in, or what changed of it: what was learned at another place is forgotten. */
  setPeer(number: number, peer: NatPeer, nowMs: number): void {
    const old = this.#peers.get(number)
    if (
      old !== undefined &&
      sameEndpoint(old.peer.announced, peer.announced) &&
      sameEndpoint(old.peer.own, peer.own)
    ) {
      old.peer = peer
      return
    }
    this.#peers.set(number, {
      peer,
      learned: undefined,
      outside: undefined,
      asked: undefined,
      askAtMs: nowMs,
      // Pacing keeps peers out of step.
      retries: new Backoff(() => 1, RETRIES),
      repeats: 0,
      keepaliveAtMs: nowMs,
    })
  }

  removePeer(number: number): void {
    this.#peers.delete(number)
  }

  /** How to reach a peer, as far as is known. Undefined for one that was never set. */
  outcome(number: number): NatOutcome | undefined {
    const state = this.#peers.get(number)
    if (state === undefined) return undefined
    const endpoint = state.learned?.endpoint ?? state.peer.announced
    return {
      encapsulate: state.learned?.encapsulate === true,
      peerAddress: endpoint.address,
      peerPort: endpoint.port,
    }
  }

  /** Whether an exchange with a peer told where it is. */
  knows(number: number): boolean {
    return this.#peers.get(number)?.learned !== undefined
  }

  /**
   * A peer's ESP, verified by its key, came from another endpoint: its NAT gave it one. Asked at
   * once whether it is there, since anybody can send a packet of another's on from elsewhere.
   *
   * @returns whether the outcome is another than before
   */
  moved(number: number, endpoint: Endpoint, nowMs: number): boolean {
    const state = this.#peers.get(number)
    if (state === undefined) return false
    const changed = this.#learn(number, state, { encapsulate: true, endpoint })
    if (changed) {
      state.asked = undefined
      state.askAtMs = nowMs
      state.retries.reset()
    }
    return changed
  }

  /**
   * Under which address and port a peer sees this host: another one than its own behind a NAT.
   * Undefined before the peer's first answer.
   */
  outside(number: number): Endpoint | undefined {
    return this.#peers.get(number)?.outside
  }

  /** What is to be sent now: keepalives and a few requests, of peers that waited longest first. */
  due(nowMs: number): NatDatagram[] {
    this.#lastDueMs = nowMs
    const send: NatDatagram[] = []
    const asking = [...this.#peers].filter(([, { askAtMs }]) => nowMs >= askAtMs)
    asking.sort(([, a], [, b]) => a.askAtMs - b.askAtMs)
    for (const [number, state] of asking.slice(0, REQUESTS_AT_ONCE)) {
      send.push(this.#ask(number, state, nowMs))
    }
    for (const state of this.#peers.values()) {
      if (this.#keepsAlive(state) && nowMs >= state.keepaliveAtMs) {
        state.keepaliveAtMs = nowMs + KEEPALIVE_MS
        const to = state.learned?.endpoint ?? state.peer.announced
        send.push({ kind: "keepalive", to, from: state.peer.own })
      }
    }
    return send
  }

  /** When `due` has something next, ms; Infinity for never. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const state of this.#peers.values()) {
      next = Math.min(next, state.askAtMs)
      if (this.#keepsAlive(state)) next = Math.min(next, state.keepaliveAtMs)
    }
    return Math.max(next, this.#lastDueMs + PACE_MS)
  }

  /**
   * Takes in a datagram of the encapsulation socket, without its marker. What is no message of a
   * peer is ignored.
   *
   * @param source where it came from
   * @param local the own address and port that it came to
   */
  receive(bytes: Uint8Array, source: Endpoint, local: Endpoint, nowMs: number): NatReaction {
    const message = decodeNatMessage(bytes, (sender) => this.#peers.get(sender)?.peer.key)
    const state = message === undefined ? undefined : this.#peers.get(message.sender)
    if (message === undefined || state === undefined) return NOTHING
    if (message.receiver !== this.#options.number) return NOTHING
    if (message.kind === "request") return this.#answer(message, state, source, local, nowMs)
    if (message.kind === "answer") return this.#conclude(message, state, source, nowMs)
    return this.#believe(message, state, source, local, nowMs)
  }

  #ask(number: number, state: State, nowMs: number): NatDatagram {
    const nonce = this.#options.random(NONCE_BYTES)
    // Where it was last seen first; when it does not answer there, where it says it is.
    const { announced, own, key } = state.peer
    const to = state.asked === undefined ? (state.learned?.endpoint ?? announced) : announced
    state.asked = { nonce, to, untilMs: nowMs + ANSWER_MS }
    state.askAtMs = nowMs + state.retries.next()
    return this.#message(
      { kind: "request", receiver: number, nonce, cookie: new Uint8Array(NONCE_BYTES), far: to },
      { near: own, key, to },
    )
  }

  /** Keeps nothing: what the request says is believed when its confirmation comes. */
  #answer(
    { sender, nonce }: NatMessage,
    { peer }: State,
    source: Endpoint,
    local: Endpoint,
    nowMs: number,
  ): NatReaction {
    const cookie = this.#cookie(sender, nonce, source, nowMs)
    const answer = this.#message(
      { kind: "answer", receiver: sender, nonce, cookie, far: source },
      { near: local, key: peer.key, to: source },
    )
    return { send: [answer], changed: undefined }
  }

  #conclude(message: NatMessage, state: State, source: Endpoint, nowMs: number): NatReaction {
    const { asked, peer } = state
    if (asked === undefined || nowMs > asked.untilMs) return NOTHING
    if (!timingSafeEqual(asked.nonce, message.nonce)) return NOTHING
    state.asked = undefined
    state.outside = message.far
    const peerNatted = !sameEndpoint(message.near, asked.to)
    const encapsulate = peerNatted || !sameEndpoint(message.far, peer.own)
    const changed = this.#learn(message.sender, state, { encapsulate, endpoint: source })
    state.retries.reset()
    if (changed) state.repeats = REPEATS
    const again = state.repeats > 0
    if (again) state.repeats--
    state.askAtMs = nowMs + (again ? REPEAT_MS : REFRESH_MS)
    const { nonce, cookie, sender } = message
    const confirm = this.#message(
      { kind: "confirm", receiver: sender, nonce, cookie, far: asked.to, encapsulate },
      { near: peer.own, key: peer.key, to: source },
    )
    return { send: [confirm], changed: changed ? sender : undefined }
  }

  #believe(
    message: NatMessage,
    state: State,
    source: Endpoint,
    local: Endpoint,
    nowMs: number,
  ): NatReaction {
    const { sender, nonce, cookie } = message
    const fresh = [nowMs, nowMs - COOKIE_PERIOD_MS].some((then) =>
      timingSafeEqual(cookie, this.#cookie(sender, nonce, source, then)),
    )
    if (!fresh) return NOTHING
    // The same judgement as the peer's, of the same packets; its own word settles what differs.
    const natted = !sameEndpoint(message.near, source) || !sameEndpoint(message.far, local)
    const encapsulate = natted || message.encapsulate
    const changed = this.#learn(sender, state, { encapsulate, endpoint: source })
    return { send: [], changed: changed ? sender : undefined }
  }

  /** Whether the outcome is another than before. */
  #learn(number: number, state: State, learned: NonNullable<State["learned"]>): boolean {
    const before = this.outcome(number)
    state.learned = learned
    const after = this.outcome(number)
    return (
      before?.encapsulate !== after?.encapsulate ||
      before?.peerAddress !== after?.peerAddress ||
      before?.peerPort !== after?.peerPort
    )
  }

  #keepsAlive({ outside, peer }: State): boolean {
    return outside !== undefined && !sameEndpoint(outside, peer.own)
  }

  #cookie(sender: number, nonce: Uint8Array, { address, port }: Endpoint, nowMs: number) {
    const period = Math.floor(nowMs / COOKIE_PERIOD_MS)
    return createHmac("sha256", this.#secret)
      .update(`${sender} ${address} ${port} ${period} `)
      .update(nonce)
      .digest()
      .subarray(0, NONCE_BYTES)
  }

  #message(
    message: Omit<NatMessage, "sender" | "near" | "encapsulate"> & {
      readonly encapsulate?: boolean
    },
    { near, key, to }: { readonly near: Endpoint; readonly key: Uint8Array; readonly to: Endpoint },
  ): NatDatagram {
    const whole = { encapsulate: false, ...message, sender: this.#options.number, near }
    return { kind: "message", to, from: near, bytes: encodeNatMessage(whole, key) }
  }
}
