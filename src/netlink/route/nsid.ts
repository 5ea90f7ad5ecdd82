/** Numbers that one network namespace has for others: how a veth says where its peer is. */

import { parseAttributes, readI32 } from "../attribute.ts"
import * as c from "../constants.ts"
import { MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"

/** Bytes of struct rtgenmsg (family, 1), padded. */
const RTGENMSG_BYTES = 4

/**
 * The number that the socket's namespace has for another one, or undefined when it has none: then
 * no link of the socket's namespace has its peer there.
 *
 * @param netnsFd descriptor of the other namespace
 * @throws NetlinkError
 */
export function netnsIdOf(socket: NetlinkSocket, netnsFd: number): number | undefined {
  const writer = new MessageWriter(c.RTM_GETNSID, 0, { operation: "read a namespace's number" })
  writer.zeros(RTGENMSG_BYTES).attrU32(c.NETNSA_FD, netnsFd)
  const [answer] = socket.request(writer)
  if (answer === undefined) return undefined
  const id = parseAttributes(answer.payload.subarray(RTGENMSG_BYTES)).get(c.NETNSA_NSID)
  const value = id === undefined ? c.NETNSA_NSID_NOT_ASSIGNED : readI32(id)
  return value === c.NETNSA_NSID_NOT_ASSIGNED ? undefined : value
}
