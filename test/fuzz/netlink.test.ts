/**
 * A process with the right to do so sends broken netlink messages to the agent's own sockets and to
 * the groups it hears, as if they were the kernel's, while it attaches and detaches: nothing of it
 * is believed, nothing is lost by it, nothing ends it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { AF_NETLINK, NETLINK_ROUTE, RTM_DELLINK } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { ECONNREFUSED } from "../../src/sys/ffi/errno.ts"
import { errno, libc } from "../../src/sys/ffi/libc.ts"
import dumps from "../fixtures/netlink/dumps.json" with { type: "json" }
import { mustLink } from "../netns/kernel_view.ts"
import { Lab, pings, SEED_CONF } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"
import { detachAll, expectUnharmed, holdingsOf, useWell } from "./survivor.ts"

const DATAGRAMS = 3000
const TIMEOUT_MS = 120_000
/** struct sockaddr_nl: family (2), pad (2), port id (4), groups (4). */
const SOCKADDR_BYTES = 12

/** RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE (linux/rtnetlink.h). */
const HEARD = [1, 5, 7]

const BUSY = "netlink0"
const LASTING = "netlink1"

let lab: Lab

beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "20ms" } })
  await lab.netns(BUSY)
  await lab.netns(LASTING)
})

afterAll(() => lab.close())

test(
  `${DATAGRAMS} datagrams that the kernel did not send`,
  async () => {
    const random = Random.fromEnvironment()
    using socket = NetlinkSocket.open(NETLINK_ROUTE)
    try {
      await lab.add(LASTING)
      await useWell(lab, BUSY)
      const before = holdingsOf(lab.pid)
      const [row] = await lab.endpoints()
      const { ifindex } = await mustLink(row?.hostLink ?? "missing")
      let refused = 0
      for (let index = 0; index < DATAGRAMS; index++) {
        const bytes = datagram(random, ifindex)
        for (const port of portsOf(lab.pid)) {
          // Nothing but the kernel may write into a socket that waits for the kernel's answers.
          expect(sendTo(socket, { port, group: 0 }, bytes)).toBe(ECONNREFUSED)
          refused += 1
        }
        // To our own port too, which refuses it: port 0 would have the kernel obey the message.
        for (const group of HEARD) sendTo(socket, { port: socket.pid, group }, bytes)
        if (index % 100 === 0) await useWell(lab, BUSY)
      }
      expect(refused).toBeGreaterThanOrEqual(DATAGRAMS)
      // The lasting one was said to be deleted many times, and is there.
      expect((await lab.endpoints()).map(({ containerId }) => containerId)).toEqual([LASTING])
      expect(await pings(LASTING, "10.42.0.1")).toBe(true)
      const check = { id: LASTING, conf: { ...SEED_CONF, prevResult: {} } }
      expect((await lab.plugin("CHECK", check)).json.code).not.toBe(100)
      await detachAll(lab)
      await expectUnharmed(lab, before, [BUSY, LASTING])
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats this run`)
      console.error(lab.log.split("\n").slice(-30).join("\n"))
      throw error
    }
  },
  TIMEOUT_MS,
)

const RECORDED = dumps.flatMap(({ received }) => received).map((hex) => Uint8Array.fromHex(hex))

/** A recorded answer with some bytes overwritten, often as the end of the lasting port. */
function datagram(random: Random, link: number): Uint8Array {
  if (random.chance(0.05)) return random.bytes(1 + random.below(200))
  const bytes = random.pick(RECORDED).slice()
  const view = new DataView(bytes.buffer)
  if (bytes.length >= 24 && random.chance(0.3)) {
    view.setUint16(4, RTM_DELLINK, true)
    view.setInt32(20, link, true)
  }
  for (let change = random.below(4); change > 0; change--) {
    bytes.set(random.bytes(1 + random.below(4)).subarray(0, 1), random.below(bytes.length))
  }
  return random.chance(0.2) ? bytes.subarray(0, 1 + random.below(bytes.length)) : bytes
}

/** The port ids of a process's rtnetlink sockets in this namespace. */
function portsOf(pid: number): number[] {
  const inodes = new Set<string>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      if (inode !== undefined) inodes.add(inode)
    } catch {
      // Closed since the listing.
    }
  }
  const [, ...lines] = readFileSync("/proc/net/netlink", "utf8").trim().split("\n")
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1] === String(NETLINK_ROUTE) && inodes.has(columns[9] ?? ""))
    .map((columns) => Number(columns[2]))
}

/** Answers the error number, 0 when it was delivered. */
function sendTo(
  socket: NetlinkSocket,
  to: { readonly port: number; readonly group: number },
  bytes: Uint8Array,
): number {
  const address = new Uint8Array(SOCKADDR_BYTES)
  const view = new DataView(address.buffer)
  view.setUint16(0, AF_NETLINK, true)
  view.setUint32(4, to.port, true)
  view.setUint32(8, to.group === 0 ? 0 : 1 << (to.group - 1), true)
  // MSG_DONTWAIT: a receiver whose buffer is full is no reason to wait.
  return libc.sendto(socket.fd, bytes, bytes.length, 0x40, address, SOCKADDR_BYTES) < 0
    ? errno()
    : 0
}
