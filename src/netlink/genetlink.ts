/** Generic netlink: families of messages by name (linux/genetlink.h). */

import { ENOENT } from "../sys/ffi/errno.ts"
import { parseBody } from "./attribute.ts"
import { MessageWriter } from "./message.ts"
import type { NetlinkSocket } from "./socket.ts"

/** Bytes of struct genlmsghdr: command (1), version (1), reserved (2). */
export const GENL_HDRLEN = 4
/** The family of families. */
const GENL_ID_CTRL = 0x10
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR_FAMILY_ID = 1
const CTRL_ATTR_FAMILY_NAME = 2
const CTRL_VERSION = 1

/** A message of a family: its attributes are still to be written. */
export function genericMessage(
  family: number,
  command: number,
  options: { readonly version: number; readonly operation: string },
): MessageWriter {
  const writer = new MessageWriter(family, 0, { operation: options.operation })
  return writer.u8(command).u8(options.version).u16(0)
}

/** The message that asks for a family's number; the kernel loads its module for that. */
export function queryFamily(name: string): MessageWriter {
  return genericMessage(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, {
    version: CTRL_VERSION,
    operation: `find the ${name} family of netlink`,
  }).attrString(CTRL_ATTR_FAMILY_NAME, name)
}

/**
 * The number of a family, which is the type of its messages; undefined where the kernel has none
 * of that name.
 *
 * @param socket of NETLINK_GENERIC
 * @throws NetlinkError
 */
export function familyId(socket: NetlinkSocket, name: string): number | undefined {
  const answer = socket.attempt(queryFamily(name), ENOENT)
  if (answer === undefined) return undefined
  return parseBody(answer.payload, GENL_HDRLEN, "a family").attributes.u16(CTRL_ATTR_FAMILY_ID)
}
