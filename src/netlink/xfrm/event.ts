/** What the kernel tells of associations: groups XFRMNLGRP_ACQUIRE, EXPIRE, SA, MAPPING. */

import type { Family } from "../../core/address.ts"
import { AF_INET6 } from "../constants.ts"
import type { Message } from "../message.ts"
import * as x from "./constants.ts"
import { decodeState, type StateId, tooShort } from "./state.ts"
import { readXfrmAddress } from "./struct.ts"

/** Something that happened. */
export type XfrmEvent =
  /** An association reached its soft limit (`hard` false), or has ended. */
  | {
      readonly kind: "expired"
      readonly id: StateId
      readonly reqid: number
      readonly hard: boolean
    }
  /** Somebody deleted an association. */
  | { readonly kind: "deleted"; readonly id: StateId }
  /** A packet found a policy, and no association for it. */
  | { readonly kind: "wanted"; readonly destination: string }
  /** A peer behind a NAT sends from another address or port now. */
  | {
      readonly kind: "moved"
      readonly reqid: number
      readonly address: string
      readonly port: number
    }
  /** Everything was deleted at once. */
  | { readonly kind: "flushed" }

/** Reads a notification; undefined for one that is of no matter here. @throws LariatError `decode` */
export function parseXfrmEvent({ type, payload }: Message): XfrmEvent | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const need = (bytes: number): void => {
    if (payload.length < bytes) throw tooShort("a notification", payload)
  }
  switch (type) {
    case x.XFRM_MSG_EXPIRE: {
      need(x.XFRM_USERSA_INFO_BYTES + 1)
      const state = decodeState({ payload: payload.subarray(0, x.XFRM_USERSA_INFO_BYTES) })
      if (state === undefined) return undefined
      const { destination, spi, reqid } = state
      const hard = view.getUint8(x.XFRM_USERSA_INFO_BYTES) !== 0
      return { kind: "expired", id: { destination, spi }, reqid, hard }
    }
    case x.XFRM_MSG_DELSA: {
      need(x.XFRM_USERSA_ID_BYTES)
      if (view.getUint8(22) !== x.IPPROTO_ESP) return undefined
      const family = familyAt(view, 20)
      const destination = readXfrmAddress(view, 0, family)
      return { kind: "deleted", id: { destination, spi: view.getUint32(16, false) } }
    }
    case x.XFRM_MSG_ACQUIRE: {
      // struct xfrm_user_acquire: id (24), saddr (16), selector, whose family is at 40 in it.
      need(24 + 16 + x.XFRM_SELECTOR_BYTES)
      return { kind: "wanted", destination: readXfrmAddress(view, 0, familyAt(view, 40 + 40)) }
    }
    case x.XFRM_MSG_MAPPING: {
      // struct xfrm_user_mapping: id (24), reqid, old and new address, old and new port.
      need(64)
      return {
        kind: "moved",
        reqid: view.getUint32(24, true),
        address: readXfrmAddress(view, 44, familyAt(view, 20)),
        port: view.getUint16(62, false),
      }
    }
    case x.XFRM_MSG_FLUSHSA:
      return { kind: "flushed" }
    default:
      return undefined
  }
}

function familyAt(view: DataView, offset: number): Family {
  return view.getUint16(offset, true) === AF_INET6 ? 6 : 4
}
