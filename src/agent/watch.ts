import { messageOf } from "../errors.ts"
import {
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
} from "../netlink/constants.ts"
import type { Message } from "../netlink/message.ts"
import { Monitor } from "../netlink/monitor.ts"
import { IFF_UP } from "../netlink/route/link_constants.ts"
import { after } from "../sys/timer.ts"
import type { AgentContext } from "./context.ts"
import { detach } from "./endpoints/detach.ts"
import { collectGarbage } from "./endpoints/recover.ts"
import { repairPort } from "./endpoints/repair.ts"
import { lookAtHost } from "./host_addresses.ts"
import type { EndpointRow } from "./state/rows.ts"

const GROUPS: readonly number[] = [
  RTNLGRP_LINK,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
]

/** Byte offset of the interface index in ifinfomsg and in ifaddrmsg (linux/rtnetlink.h). */
const INDEX_OFFSET = 4
/** Byte offset of the destination's prefix length in rtmsg (linux/rtnetlink.h). */
const DESTINATION_LENGTH_OFFSET = 1
/** Byte offset of the flags in ifinfomsg. */
const FLAGS_OFFSET = 8

/** How long notifications of one port are gathered before it is looked at, milliseconds. */
const SETTLE_MS = 25
/** How long changes of the host's own addresses, routes and uplink are gathered, milliseconds. */
const HOST_SETTLE_MS = 200

/**
 * Watches the kernel's links and addresses: a port that vanishes with its container is released,
 * one that somebody takes off its bridge is put back, a bridge that loses its address or is
 * deleted is made whole again.
 */
export class Watch {
  readonly #context: AgentContext
  readonly #monitor: Monitor
  readonly #suspects = new Set<EndpointRow>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #hostTimer: (() => void) | undefined
  #isUplinkOther = false

  private constructor(context: AgentContext) {
    this.#context = context
    this.#monitor = new Monitor()
  }

  /** Starts watching; resolves when no change can be missed any more. */
  static async start(context: AgentContext): Promise<Watch> {
    const watch = new Watch(context)
    await watch.#monitor.start(
      { groups: GROUPS, onFailure: (error) => watch.#deaf(error.message) },
      (messages) => watch.#take(messages),
      () => watch.#overrun(),
    )
    return watch
  }

  stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#hostTimer?.()
    return this.#monitor.stop()
  }

  #take(messages: readonly Message[]): void {
    for (const message of messages) {
      const { bridges, index: endpoints, underlay } = this.#context
      if (isDefaultRoute(message)) {
        underlay.forget()
        this.#uplinkChanged()
      } else if (message.type === RTM_NEWADDR || message.type === RTM_DELADDR) this.#hostMoves()
      const index = indexOf(message)
      if (index === undefined) continue
      const row = endpoints.byHostIndex(index)
      if (row === undefined && bridges.isKnown(index)) {
        if (message.type !== RTM_NEWLINK || isDown(message)) this.#bridgeChanged(index)
        else if (underlay.linkChanged(index)) this.#uplinkChanged()
      } else if (row === undefined) {
        if (underlay.linkChanged(index)) this.#uplinkChanged()
        if (message.type === RTM_NEWLINK) for (const one of endpoints.unmended) this.#look(one)
      } else if (message.type === RTM_DELLINK) this.#portGone(row)
      else this.#look(row)
    }
  }

  /** An attach alone makes ten notifications: a port is compared once, when they have come. */
  #look(row: EndpointRow): void {
    if (this.#suspects.size === 0) {
      this.#timer = setTimeout(() => {
        const suspects = [...this.#suspects]
        this.#suspects.clear()
        for (const one of suspects) {
          if (this.#context.index.get(one) === one) repairPort(this.#context, one)
        }
      }, SETTLE_MS)
    }
    this.#suspects.add(row)
  }

  /** The way to other hosts is another, or its MTU: what drivers have by that follows. */
  #uplinkChanged(): void {
    this.#isUplinkOther = true
    this.#hostMoves()
  }

  /** An address is seldom alone: routes go and come with it. */
  #hostMoves(): void {
    this.#hostTimer ??= after(HOST_SETTLE_MS, () => {
      this.#hostTimer = undefined
      lookAtHost(this.#context)
      if (this.#isUplinkOther) this.#followUplink()
    })
  }

  #followUplink(): void {
    this.#isUplinkOther = false
    try {
      this.#context.cluster?.repair()
    } catch (error) {
      this.#context.log.error("{why}", { why: messageOf(error) })
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
    for (const row of this.#context.index.attached()) repairPort(this.#context, row)
  }

  /** From now on the regular check alone finds drift. */
  #deaf(why: string): void {
    this.#context.log.error("{why}", { why })
    this.#context.health.raise("monitor", {
      severity: "error",
      what: `the kernel no longer tells of changes to links: ${why}`,
      hint: "restart the agent; containers keep working meanwhile",
    })
  }

  /** Notifications were lost: look at everything. */
  #overrun(): void {
    this.#context.log.warn("the kernel dropped notifications; comparing everything")
    this.#context.bridges.forget()
    for (const row of this.#context.index.attached()) repairPort(this.#context, row)
    void collectGarbage(this.#context)
  }
}

function isDown({ payload }: Message): boolean {
  if (payload.length < FLAGS_OFFSET + 4) return false
  const flags = new DataView(payload.buffer, payload.byteOffset).getUint32(FLAGS_OFFSET, true)
  return (flags & IFF_UP) === 0
}

/**
 * Whether a route to everywhere came or went. Each port of a bridge brings routes of its own
 * along; to look the underlay up for those would list them all at every attach.
 */
function isDefaultRoute({ type, payload }: Message): boolean {
  if (type !== RTM_NEWROUTE && type !== RTM_DELROUTE) return false
  return payload[DESTINATION_LENGTH_OFFSET] === 0
}

function indexOf({ type, payload }: Message): number | undefined {
  if (type !== RTM_NEWLINK && type !== RTM_DELLINK && type !== RTM_DELADDR) return undefined
  if (payload.length < INDEX_OFFSET + 4) return undefined
  return new DataView(payload.buffer, payload.byteOffset).getInt32(INDEX_OFFSET, true)
}
