/** Taking a container's port away. */

import { LariatError } from "../errors.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { isLinkThere } from "../sys/net/link_name.ts"
import { countPort } from "./bridge_ports.ts"
import { LIVE_GROUP, PARKED_GROUP } from "./host_link.ts"
import { type Kernel, openInside } from "./kernel.ts"
import { type Deletion, Removals } from "./removal.ts"

/** One millisecond is what timers of both runtimes can do. */
const POLL_MS = 1

const byKernel = new WeakMap<Kernel, Removals>()

/**
 * Deletes a port, both ends. A link that is gone already counts as deleted.
 *
 * @returns resolves as soon as the kernel shows the link no more, about 1 ms
 * @throws LariatError not-attached when the link is there but is none of Lariat's (its index may
 * have a new owner after a restart of the host); NetlinkError when the kernel refuses
 */
export async function removePort(kernel: Kernel, hostIndex: number): Promise<void> {
  const link = kernel.link(hostIndex)
  if (link === undefined) return
  if (link.group !== LIVE_GROUP && link.group !== PARKED_GROUP) {
    throw new LariatError(`Cannot remove link ${hostIndex} (${link.name}): it is not Lariat's`, {
      code: "not-attached",
      hint: "Nothing to do: the port that had this index is gone.",
    })
  }
  await removalsOf(kernel).remove(hostIndex)
  if (link.master !== 0) countPort(kernel, link.master, -1)
}

/**
 * Deletes what an earlier run had meant to delete and did not.
 *
 * @returns how many links there were
 * @throws NetlinkError
 */
export async function sweepParked(kernel: Kernel): Promise<number> {
  const parked = kernel.links({ group: PARKED_GROUP })
  await Promise.all(parked.map(({ index }) => removePort(kernel, index)))
  return parked.length
}

function removalsOf(kernel: Kernel): Removals {
  const known = byKernel.get(kernel)
  if (known !== undefined) return known
  const removals = new Removals({
    start: (message) => startElsewhere(kernel, message),
    tryAll: (batch) => kernel.tryAll(batch),
    exists: (index) => isLinkThere(kernel.socket.fd, index),
    later: (callback) => void setTimeout(callback, POLL_MS),
  })
  byKernel.set(kernel, removals)
  kernel.onClose(() => removals.close())
  return removals
}

/** On a socket of its own: libc works on one write at a time for each descriptor. */
function startElsewhere(kernel: Kernel, message: MessageWriter): Deletion {
  const socket = openInside(kernel.netns)
  let isAnswered: () => boolean
  try {
    isAnswered = socket.requestElsewhere(message)
  } catch (error) {
    socket.close()
    throw error
  }
  return () => {
    let isOver = true
    try {
      isOver = isAnswered()
      return isOver
    } finally {
      if (isOver) socket.close()
    }
  }
}
