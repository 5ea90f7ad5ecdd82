/** The associations of one network in the kernel. */

import { createHash, randomBytes } from "node:crypto"
import type { Cipher } from "../../core/encapsulation.ts"
import type { NetlinkError } from "../../netlink/error.ts"
import type { NetlinkSocket } from "../../netlink/socket.ts"
import { MAX_REPLAY_WINDOW } from "../../netlink/xfrm/constants.ts"
import {
  deleteState,
  listStates,
  newState,
  type StateId,
  type StateInfo,
  spiText,
  updateState,
  type XfrmEncapsulation,
} from "../../netlink/xfrm/state.ts"
import { EEXIST, ESRCH } from "../../sys/ffi/errno.ts"
import { throwAll } from "../failures.ts"
import { keyBytes, protectionOf } from "./ciphers.ts"
import { hostOfReqid } from "./policies.ts"

/** One direction. */
export interface SaPairKey {
  /** Host byte order. */
  readonly spi: number
  /** As many bytes as the cipher needs. */
  readonly key: Uint8Array
}

/** Both directions of one pair of keys. */
export interface SaPair {
  readonly inbound: SaPairKey
  readonly outbound: SaPairKey
  /** Whether to send on it; of all of a peer at most one. */
  readonly send: boolean
}

/** Where a peer's associations run. */
export interface TunnelEndpoints {
  readonly reqid: number
  readonly local: string
  readonly remote: string
  readonly encapsulation: { readonly ourPort: number; readonly peerPort: number } | undefined
}

/** Where what is sent in UDP goes. */
export interface UdpRemote {
  readonly address: string
  readonly ourPort: number
  readonly peerPort: number
}

/** What of a network's associations is the same for all peers. */
export interface SaPairsOptions {
  /** The network's number. */
  readonly network: number
  readonly cipher: Cipher
  /** Of the XFRM interface; undefined where there is none. */
  readonly ifId: number | undefined
  /** Packets sent under one key after which the kernel says so. Default: never. */
  readonly softPackets?: bigint | undefined
}

/** One that is in the kernel. */
interface Standing extends StateId {
  readonly reqid: number
  /** Of its key; undefined for one of an earlier process. */
  readonly digest: string | undefined
  /** It takes this kind alone, with UDP or without, for as long as it lives. */
  readonly encapsulation: XfrmEncapsulation | undefined
}

/**
 * What is in the kernel, by what was put there and what is heard of it. A key is used once: an
 * association that somebody deleted is never made again, since its sequence would begin anew under
 * a key that has seen it (RFC 4106 §2, §8).
 */
export class SaPairs {
  readonly #socket: Pick<NetlinkSocket, "tryAll" | "dump">
  readonly #options: SaPairsOptions
  readonly #standing = new Map<string, Standing>()
  /**
   * By reqid: keys that were in the kernel once and are still named, as digests, and whether it was
   * said already that they are lost. Not by SPI and address: a peer that moves has another address,
   * and would be sent to under the same key from sequence number 1 again.
   */
  readonly #used = new Map<number, Map<string, { told: boolean }>>()

  constructor(socket: Pick<NetlinkSocket, "tryAll" | "dump">, options: SaPairsOptions) {
    this.#socket = socket
    this.#options = options
  }

  /** Reads the kernel's, those of an earlier instance among them. @throws NetlinkError */
  load(): void {
    const before = new Map(this.#standing)
    this.#standing.clear()
    for (const { destination, spi, reqid, encapsulation } of this.#list()) {
      const id = idText({ destination, spi })
      const digest = before.get(id)?.digest
      this.#standing.set(id, { destination, spi, reqid, digest, encapsulation })
    }
  }

  /**
   * Makes what a peer's associations need: every inbound one, and the outbound one that is sent on.
   * What stands keeps its encapsulation, and an outbound one has that of its inbound one: the peer
   * made both at a time too.
   *
   * @returns what is lost: it was there, and is to be replaced by one with another key. Each is told
   *   once: whoever rotates keys names the old ones for a while yet
   * @throws NetlinkError
   */
  install(route: TunnelEndpoints, saPairs: readonly SaPair[]): string[] {
    const { reqid } = route
    const wanted = saPairs.flatMap(({ inbound, outbound, send }) => [
      {
        ...{ ...inbound, source: route.remote, destination: route.local, outward: false },
        encapsulation: ports(route, route.local),
      },
      ...(send
        ? [
            {
              ...{ ...outbound, source: route.local, destination: route.remote, outward: true },
              encapsulation: this.#outward(route, inbound.spi),
            },
          ]
        : []),
    ])
    const used = this.#stillNamed(reqid, saPairs)
    this.#used.set(reqid, used)
    const missing = wanted
      .filter((one) => !this.#standing.has(idText(one)))
      .map((one) => ({ ...one, digest: digestOf(one.key) }))
    const lost = missing.filter(({ digest }) => used.has(digest))
    const fresh = missing.filter((one) => !lost.includes(one))
    const messages = fresh.map(({ spi, key, source, destination, outward, encapsulation }) =>
      newState({
        source,
        destination,
        spi,
        reqid,
        protection: protectionOf(this.#options.cipher, key),
        replayWindow: MAX_REPLAY_WINDOW,
        ifId: this.#options.ifId,
        encapsulation,
        lifetimes: outward ? { softPackets: this.#options.softPackets } : undefined,
      }),
    )
    const refusals: NetlinkError[] = []
    this.#socket.tryAll(messages).forEach(({ error }, at) => {
      const one = fresh[at]
      if (one === undefined) return
      if (error === undefined) {
        const { destination, spi, digest, encapsulation } = one
        this.#standing.set(idText(one), { destination, spi, reqid, digest, encapsulation })
        used.set(digest, { told: false })
      } else if (error.errno === EEXIST) {
        used.set(one.digest, { told: false })
        lost.push(one)
      } else refusals.push(error)
    })
    throwAll(refusals)
    return lost.filter(({ digest }) => this.#tell(reqid, digest)).map(({ spi }) => spiText(spi))
  }

  /** Whether an association to a peer is there. */
  has(id: StateId): boolean {
    return this.#standing.has(idText(id))
  }

  /** Deletes a peer's associations but those that are named. @throws NetlinkError */
  keepOnly(reqid: number, kept: readonly StateId[]): void {
    const names = new Set(kept.map(idText))
    const gone = [...this.#standing].filter(
      ([id, standing]) => standing.reqid === reqid && !names.has(id),
    )
    // First forgotten: what the kernel says of them is no news then.
    for (const [id] of gone) this.#standing.delete(id)
    const outcomes = this.#socket.tryAll(gone.map(([, id]) => deleteState(id)))
    const failures = gone.flatMap(([id, standing], at) => {
      const error = outcomes[at]?.error
      if (error === undefined || error.errno === ESRCH) return []
      this.#standing.set(id, standing)
      return [error]
    })
    throwAll(failures)
  }

  /**
   * Gives a peer's associations in UDP other ports; keys and sequences go on, so nothing is lost.
   *
   * @returns whether all have them now: not where one is without UDP, or is gone
   */
  movePorts(route: TunnelEndpoints): boolean {
    const { cipher, ifId, softPackets } = this.#options
    const own = [...this.#standing.values()].filter(({ reqid }) => reqid === route.reqid)
    const inUdp = own.filter(({ encapsulation }) => encapsulation !== undefined)
    const moving = inUdp.filter(
      ({ destination, encapsulation }) => !samePorts(encapsulation, ports(route, destination)),
    )
    const messages = moving.map(({ destination, spi, reqid }) => {
      const outward = destination === route.remote
      return updateState({
        source: outward ? route.local : route.remote,
        destination,
        spi,
        reqid,
        // Not used; random, so that nobody could read what a kernel sent with it after all.
        protection: protectionOf(cipher, Uint8Array.from(randomBytes(keyBytes(cipher)))),
        replayWindow: MAX_REPLAY_WINDOW,
        ifId,
        encapsulation: ports(route, destination),
        lifetimes: outward ? { softPackets } : undefined,
      })
    })
    const outcomes = this.#socket.tryAll(messages)
    moving.forEach((one, at) => {
      if (outcomes[at]?.error !== undefined) return
      this.#standing.set(idText(one), { ...one, encapsulation: ports(route, one.destination) })
    })
    return inUdp.length === own.length && outcomes.every(({ error }) => error === undefined)
  }

  /** This host's UDP ports that associations come in by. @param local addresses of this host */
  ourPorts(local: readonly string[]): Set<number> {
    return new Set(
      [...this.#standing.values()].flatMap(({ destination, encapsulation }) =>
        encapsulation !== undefined && local.includes(destination)
          ? [encapsulation.destinationPort]
          : [],
      ),
    )
  }

  /** Where associations in UDP are sent to, by reqid. @param local addresses of this host */
  udpRemotes(local: readonly string[]): Map<number, UdpRemote> {
    return new Map(
      [...this.#standing.values()].flatMap(({ reqid, destination, encapsulation }) => {
        if (encapsulation === undefined || local.includes(destination)) return []
        const { sourcePort: ourPort, destinationPort: peerPort } = encapsulation
        return [[reqid, { address: destination, ourPort, peerPort }]]
      }),
    )
  }

  /** Whether keys that were named are in the kernel, as far as is known. */
  inUse(reqid: number): boolean {
    return [...(this.#used.get(reqid)?.values() ?? [])].some(({ told }) => !told)
  }

  /** Of what is known of a peer's keys: none is of use any more, and that was said. */
  abandon(reqid: number): void {
    for (const state of this.#used.get(reqid)?.values() ?? []) state.told = true
    this.keepOnly(reqid, [])
  }

  /** Forgets a peer's keys: they are never named again. */
  forget(reqid: number): void {
    this.#used.delete(reqid)
  }

  /** The reqids that have associations. */
  reqids(): Set<number> {
    return new Set([...this.#standing.values()].map(({ reqid }) => reqid))
  }

  /**
   * Somebody deleted one, or it ended.
   *
   * @returns its reqid when it was not this object's doing, and was not told before
   */
  lost(id: StateId): number | undefined {
    const standing = this.#standing.get(idText(id))
    this.#standing.delete(idText(id))
    return standing !== undefined && this.#tell(standing.reqid, standing.digest)
      ? standing.reqid
      : undefined
  }

  /** Compares with the kernel. @returns the reqids that newly lost one @throws NetlinkError */
  check(): Set<number> {
    const before = new Map(this.#standing)
    this.load()
    const gone = [...before].filter(([id]) => !this.#standing.has(id))
    const news = gone.filter(([, { reqid, digest }]) => this.#tell(reqid, digest))
    return new Set(news.map(([, { reqid }]) => reqid))
  }

  /** What passed, by reqid. @throws NetlinkError */
  usage(): ReadonlyMap<number, readonly StateInfo[]> {
    return Map.groupBy(this.#list(), ({ reqid }) => reqid)
  }

  /** How what is sent with the other half of an inbound association is to go. */
  #outward(route: TunnelEndpoints, inboundSpi: number): XfrmEncapsulation | undefined {
    const wanted = ports(route, route.remote)
    const inbound = this.#standing.get(idText({ destination: route.local, spi: inboundSpi }))
    if (inbound === undefined) return wanted
    if (inbound.encapsulation === undefined) return undefined
    const { sourcePort, destinationPort } = inbound.encapsulation
    return wanted ?? { sourcePort: destinationPort, destinationPort: sourcePort }
  }

  /** Whether it is news that a key is lost; it is none from now on. */
  #tell(reqid: number, digest: string | undefined): boolean {
    const state = this.#used.get(reqid)?.get(digest ?? "")
    if (state === undefined) return true
    const news = !state.told
    state.told = true
    return news
  }

  /** Of the keys that were used, those that are named again: the others can be forgotten. */
  #stillNamed(reqid: number, saPairs: readonly SaPair[]): Map<string, { told: boolean }> {
    const keys = saPairs.flatMap(({ inbound, outbound }) => [inbound.key, outbound.key])
    const named = new Set(keys.map(digestOf))
    return new Map([...(this.#used.get(reqid) ?? [])].filter(([digest]) => named.has(digest)))
  }

  #list(): StateInfo[] {
    const { network, ifId = 0 } = this.#options
    return listStates(this.#socket).filter(
      (state) => hostOfReqid(network, state.reqid) !== undefined && state.ifId === ifId,
    )
  }
}

function ports(route: TunnelEndpoints, destination: string): XfrmEncapsulation | undefined {
  if (route.encapsulation === undefined) return undefined
  const { ourPort, peerPort } = route.encapsulation
  return destination === route.remote
    ? { sourcePort: ourPort, destinationPort: peerPort }
    : { sourcePort: peerPort, destinationPort: ourPort }
}

function samePorts(a: XfrmEncapsulation | undefined, b: XfrmEncapsulation | undefined): boolean {
  return a?.sourcePort === b?.sourcePort && a?.destinationPort === b?.destinationPort
}

function digestOf(key: Uint8Array): string {
  return createHash("sha256").update(key).digest("base64")
}

function idText({ destination, spi }: StateId): string {
  return `${destination} ${spi}`
}
