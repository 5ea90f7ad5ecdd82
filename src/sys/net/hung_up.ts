/** Whether somebody is still at the other end of a unix socket. */

import type { Socket } from "node:net"
import { waitFor } from "../ffi/poll.ts"

// include/uapi/asm-generic/poll.h
const POLLERR = 0x8
const POLLHUP = 0x10
const POLLNVAL = 0x20

/**
 * Whether the other end of a unix socket is closed, as the kernel knows it at this moment: before
 * the runtime has read what came before that. An end that was only shut down for writing is there.
 *
 * @throws SystemError
 */
export function hasHungUp(socket: Socket): boolean {
  if (socket.destroyed) return true
  const fd = descriptorOf(socket)
  if (fd === undefined) return false
  return (waitFor(fd, 0, 0) & (POLLERR | POLLHUP | POLLNVAL)) !== 0
}

/** Both runtimes have it where Node has it; no public name leads there. */
function descriptorOf(socket: Socket): number | undefined {
  if (!("_handle" in socket)) return undefined
  const { _handle: handle } = socket
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined
  return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined
}
