/** Addresses of links: what can be asked of the kernel about them. */

import { parsePrefix } from "../../core/address.ts"
import { type AddressInfo, decodeAddress, putAddress } from "../addr_codec.ts"
import * as c from "../constants.ts"
import { MessageWriter } from "../message.ts"
import { dumpOfLink, type NetlinkSocket } from "../socket.ts"

export type { AddressInfo } from "../addr_codec.ts"

export interface NewAddressOptions {
  /** No route to the prefix comes with the address. Default false. */
  readonly noPrefixRoute?: boolean
  /** Succeed when the address is there already, updating its flags. Default false. */
  readonly replace?: boolean
}

/**
 * The message that adds an address to a link, ready at once: IPv6 looks for no duplicates. Without `replace` it fails with EEXIST when the
 * address is there.
 *
 * @param address with prefix length
 * @throws LariatError code `config-invalid` when `address` is none
 */
export function newAddress(
  index: number,
  address: string,
  options: NewAddressOptions = {},
): MessageWriter {
  const existing = options.replace ? c.NLM_F_REPLACE : c.NLM_F_EXCL
  const writer = new MessageWriter(c.RTM_NEWADDR, c.NLM_F_CREATE | existing, {
    operation: `add address ${address} to link ${index}`,
  })
  const prefix = parsePrefix(address)
  const ready = prefix.family === 6 ? c.IFA_F_NODAD : 0
  const flags = ready | (options.noPrefixRoute ? c.IFA_F_NOPREFIXROUTE : 0)
  putAddress(writer, { prefix, index, flags })
  return writer
}

/** The message that takes an address from a link; EADDRNOTAVAIL when it is not there. */
export function deleteAddress(index: number, address: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELADDR, 0, {
    operation: `delete address ${address} of link ${index}`,
  })
  putAddress(writer, { prefix: parsePrefix(address), index })
  return writer
}

/**
 * The addresses of one link, or of all, in the kernel's order: the first is the primary one.
 *
 * @param index 0 or left out: of all links. A link that is gone has none
 * @throws NetlinkError
 */
export function listAddresses(socket: NetlinkSocket, index = 0): AddressInfo[] {
  const writer = new MessageWriter(c.RTM_GETADDR, 0, { operation: "list addresses" })
  writer.zeros(4).i32(index)
  const found: AddressInfo[] = []
  for (const message of dumpOfLink(socket, writer)) {
    const info = message.type === c.RTM_NEWADDR ? decodeAddress(message) : undefined
    // Kernels before 4.20 ignore the index.
    if (info !== undefined && (index === 0 || info.index === index)) found.push(info)
  }
  return found
}
