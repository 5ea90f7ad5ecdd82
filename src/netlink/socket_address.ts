/** Socket addresses within attributes: struct sockaddr_in and sockaddr_in6 (linux/in.h, in6.h). */

import { formatAddress, parseAddress } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { familyNumber, familyOfNumber } from "./addr_codec.ts"

/** An address with a port, of UDP for instance. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** sin_family (2), sin_port (2), sin_addr (4), padding (8). */
const SOCKADDR_IN_BYTES = 16
/** sin6_family (2), sin6_port (2), sin6_flowinfo (4), sin6_addr (16), sin6_scope_id (4). */
const SOCKADDR_IN6_BYTES = 28

/** Family in host order, port in network order. @throws LariatError config-invalid */
export function encodeEndpoint({ address, port }: Endpoint): Uint8Array {
  const { family, bytes } = parseAddress(address)
  const encoded = new Uint8Array(family === 4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES)
  const view = new DataView(encoded.buffer)
  view.setUint16(0, familyNumber(family), true)
  view.setUint16(2, port, false)
  encoded.set(bytes, family === 4 ? 4 : 8)
  return encoded
}

/** @throws LariatError decode when it is too short; undefined for another family */
export function decodeEndpoint(payload: Uint8Array): Endpoint | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const family = payload.byteLength < 2 ? undefined : familyOfNumber(view.getUint16(0, true))
  if (family === undefined) return undefined
  if (payload.byteLength < (family === 4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES)) {
    throw new LariatError(`Cannot read a socket address: it has ${payload.byteLength} bytes`, {
      code: "decode",
    })
  }
  const bytes = family === 4 ? payload.subarray(4, 8) : payload.subarray(8, 24)
  return { address: formatAddress({ family, bytes }), port: view.getUint16(2, false) }
}
