/** An address with a port as the kernel tells it: struct sockaddr_in and sockaddr_in6. */

import { formatAddress } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { AF_INET, AF_INET6 } from "./socket_address.ts"

/** An address with a port, of UDP for instance. */
export interface IpEndpoint {
  readonly address: string
  readonly port: number
}

/** sin_family (2), sin_port (2), sin_addr (4), padding (8). */
const SOCKADDR_IN_BYTES = 16
/** sin6_family (2), sin6_port (2), sin6_flowinfo (4), sin6_addr (16), sin6_scope_id (4). */
const SOCKADDR_IN6_BYTES = 28

/** Undefined for another family. @throws LariatError decode when it is too short */
export function decodeEndpoint(bytes: Uint8Array): IpEndpoint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const family = bytes.byteLength < 2 ? undefined : view.getUint16(0, true)
  if (family !== AF_INET && family !== AF_INET6) return undefined
  if (bytes.byteLength < (family === AF_INET ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES)) {
    throw new LariatError(`Cannot read a socket address: it has ${bytes.byteLength} bytes`, {
      code: "decode",
    })
  }
  const address =
    family === AF_INET
      ? formatAddress({ family: 4, bytes: bytes.subarray(4, 8) })
      : formatAddress({ family: 6, bytes: bytes.subarray(8, 24) })
  return { address, port: view.getUint16(2, false) }
}
