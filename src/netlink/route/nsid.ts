/** Numbers that one network namespace has for others: how a veth says where its peer is. */

import { parseBody } from "../attribute.ts"
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
  const { attributes } = parseBody(answer.payload, RTGENMSG_BYTES, "a namespace's number")
  const id = attributes.i32(c.NETNSA_NSID)
  return id === c.NETNSA_NSID_NOT_ASSIGNED ? undefined : id
}
