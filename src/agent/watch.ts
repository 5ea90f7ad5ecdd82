import { messageOf } from "../errors.ts"
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_LINK,
} from "../netlink/constants.ts"
import type { Message } from "../netlink/message.ts"
import { Monitor } from "../netlink/monitor.ts"
import type { AgentContext } from "./context.ts"
import { detach } from "./detach.ts"
import type { EndpointRow } from "./journal_rows.ts"
import { collectGarbage } from "./recover.ts"
import { repairPort } from "./repair.ts"

/** Byte offset of the interface index in ifinfomsg and in ifaddrmsg (linux/rtnetlink.h). */
const INDEX_OFFSET = 4

/**
 * Watches the kernel's links and addresses: a port that vanishes with its container is released,
 * one that somebody takes off its bridge is put back, a bridge that loses its address or is
 * deleted is made whole again.
 */
export class Watch {
  readonly #context: AgentContext
  readonly #monitor: Monitor

  private constructor(context: AgentContext) {
    this.#context = context
    this.#monitor = new Monitor()
  }

  /** Starts watching; resolves when no change can be missed any more. */
  static async start(context: AgentContext): Promise<Watch> {
    const watch = new Watch(context)
    await watch.#monitor.start(
      { groups: [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] },
      (messages) => watch.#take(messages),
      () => watch.#overrun(),
    )
    return watch
  }

  stop(): Promise<void> {
    return this.#monitor.stop()
  }

  #take(messages: readonly Message[]): void {
    for (const message of messages) {
      const index = indexOf(message)
      if (index === undefined) continue
      const row = this.#context.index.byHostIndex(index)
      if (message.type === RTM_DELLINK && row !== undefined) this.#portGone(row)
      else if (message.type === RTM_NEWLINK && row !== undefined) repairPort(this.#context, row)
      else if (message.type !== RTM_NEWLINK && this.#context.bridges.isKnown(index)) {
        this.#bridgeChanged(index)
      } else if (message.type === RTM_NEWLINK) this.#context.underlay.forget()
    }
  }

  /** The bridge port's own notification comes before the link's: only a missing link is gone. */
  #portGone(row: EndpointRow): void {
    const { kernel, index, health, log } = this.#context
    if (row.hostName === undefined || kernel.link(row.hostName) !== undefined) return
    if (index.pending(row) !== undefined) return
    detach(this.#context, row).then(
      () => health.repaired(`released ${row.containerId}/${row.ifname}: its container is gone`),
      (error) => log.error("{why}", { why: messageOf(error) }),
    )
  }

  #bridgeChanged(index: number): void {
    const { bridges } = this.#context
    bridges.forget(index)
    for (const row of this.#context.index.all()) repairPort(this.#context, row)
  }

  /** Notifications were lost: look at everything. */
  #overrun(): void {
    this.#context.log.warn("the kernel dropped notifications; comparing everything")
    this.#context.bridges.forget()
    for (const row of this.#context.index.all()) repairPort(this.#context, row)
    void collectGarbage(this.#context)
  }
}

function indexOf({ type, payload }: Message): number | undefined {
  if (type !== RTM_NEWLINK && type !== RTM_DELLINK && type !== RTM_DELADDR) return undefined
  if (payload.length < INDEX_OFFSET + 4) return undefined
  return new DataView(payload.buffer, payload.byteOffset).getInt32(INDEX_OFFSET, true)
}
