/** The associations of one network in the kernel. */

import type { Cipher } from "../../core/encapsulation.ts"
import type { NetlinkError } from "../../netlink/error.ts"
import type { NetlinkSocket } from "../../netlink/socket.ts"
import { MAX_REPLAY_WINDOW } from "../../netlink/xfrm_constants.ts"
import {
  deleteState,
  listStates,
  newState,
  type StateId,
  type StateInfo,
  spiText,
  type XfrmEncapsulation,
} from "../../netlink/xfrm_state.ts"
import { EEXIST, ESRCH } from "../../sys/errno.ts"
import { protectionOf } from "./ciphers.ts"
import { hostOfReqid } from "./policies.ts"

/** One direction. */
export interface AssociationKey {
  /** Host byte order. */
  readonly spi: number
  /** As many bytes as the cipher needs. */
  readonly key: Uint8Array
}

/** Both directions of one pair of keys. */
export interface Association {
  readonly inbound: AssociationKey
  readonly outbound: AssociationKey
  /** Whether to send on it; of all of a peer at most one. */
  readonly send: boolean
}

/** Where a peer's associations run. */
export interface Route {
  readonly reqid: number
  readonly local: string
  readonly remote: string
  readonly encapsulation: { readonly ourPort: number; readonly peerPort: number } | undefined
}

/** What of a network's associations is the same for all peers. */
export interface AssociationsOptions {
  /** The network's number. */
  readonly network: number
  readonly cipher: Cipher
  /** Of the XFRM interface; undefined where there is none. */
  readonly ifId: number | undefined
}

/** One that is in the kernel. */
interface Standing extends StateId {
  readonly reqid: number
}

/**
 * What is in the kernel, by what was put there and what is heard of it. A key is used once: an
 * association that somebody deleted is never made again, since its sequence would begin anew under
 * a key that has seen it (RFC 4106 §2, §8).
 */
export class Associations {
  readonly #socket: NetlinkSocket
  readonly #options: AssociationsOptions
  readonly #standing = new Map<string, Standing>()
  /** Ids of associations that were there once under a key that is still named. */
  readonly #spent = new Set<string>()

  constructor(socket: NetlinkSocket, options: AssociationsOptions) {
    this.#socket = socket
    this.#options = options
  }

  /** Reads the kernel's, those of an earlier instance among them. @throws NetlinkError */
  load(): void {
    this.#standing.clear()
    for (const { destination, spi, reqid } of this.#list()) {
      this.#standing.set(idText({ destination, spi }), { destination, spi, reqid })
    }
  }

  /**
   * Makes what a peer's associations need: every inbound one, and the outbound one that is sent on.
   *
   * @returns what is lost: it was there, and is to be replaced by one with another key
   * @throws NetlinkError
   */
  install(route: Route, associations: readonly Association[]): string[] {
    const lost: string[] = []
    const wanted = associations.flatMap(({ inbound, outbound, send }) => [
      { key: inbound, source: route.remote, destination: route.local },
      ...(send ? [{ key: outbound, source: route.local, destination: route.remote }] : []),
    ])
    const fresh = wanted.filter(({ key: { spi }, destination }) => {
      const id = idText({ destination, spi })
      if (this.#standing.has(id)) return false
      if (!this.#spent.has(id)) return true
      lost.push(spiText(spi))
      return false
    })
    const messages = fresh.map(({ key, source, destination }) =>
      newState({
        source,
        destination,
        spi: key.spi,
        reqid: route.reqid,
        protection: protectionOf(this.#options.cipher, key.key),
        replayWindow: MAX_REPLAY_WINDOW,
        ifId: this.#options.ifId,
        encapsulation: ports(route, destination),
      }),
    )
    const refusals: NetlinkError[] = []
    this.#socket.tryAll(messages).forEach(({ error }, at) => {
      const { key, destination } = fresh[at] ?? { key: undefined, destination: "" }
      if (key === undefined) return
      const id = { destination, spi: key.spi }
      if (error !== undefined && error.errno !== EEXIST) refusals.push(error)
      else if (error !== undefined) lost.push(spiText(key.spi))
      else this.#standing.set(idText(id), { ...id, reqid: route.reqid })
      if (error === undefined) this.#spent.add(idText(id))
    })
    const [refusal] = refusals
    if (refusal !== undefined) throw refusal
    return lost
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
    for (const [id] of gone) {
      this.#standing.delete(id)
      this.#spent.delete(id)
    }
    for (const { error } of this.#socket.tryAll(gone.map(([, id]) => deleteState(id)))) {
      if (error !== undefined && error.errno !== ESRCH) throw error
    }
  }

  /** The reqids that have associations. */
  reqids(): Set<number> {
    return new Set([...this.#standing.values()].map(({ reqid }) => reqid))
  }

  /** Somebody deleted one, or it ended. @returns its reqid when it was not this object's doing */
  lost(id: StateId): number | undefined {
    const standing = this.#standing.get(idText(id))
    this.#standing.delete(idText(id))
    return standing?.reqid
  }

  /** Compares with the kernel. @returns the reqids that lost one @throws NetlinkError */
  check(): Set<number> {
    const before = new Map(this.#standing)
    this.load()
    const lost = new Set<number>()
    for (const [id, { reqid }] of before) if (!this.#standing.has(id)) lost.add(reqid)
    return lost
  }

  /** What passed, by reqid. @throws NetlinkError */
  usage(): StateInfo[] {
    return this.#list()
  }

  #list(): StateInfo[] {
    const { network, ifId = 0 } = this.#options
    return listStates(this.#socket).filter(
      (state) => hostOfReqid(network, state.reqid) !== undefined && state.ifId === ifId,
    )
  }
}

function ports(route: Route, destination: string): XfrmEncapsulation | undefined {
  if (route.encapsulation === undefined) return undefined
  const { ourPort, peerPort } = route.encapsulation
  return destination === route.remote
    ? { sourcePort: ourPort, destinationPort: peerPort }
    : { sourcePort: peerPort, destinationPort: ourPort }
}

function idText({ destination, spi }: StateId): string {
  return `${destination} ${spi}`
}
