/** The monitor hears of real changes, stops at once, and survives a flood that overruns it. */
import { expect, test } from "bun:test"
import {
  NETLINK_ROUTE,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTNLGRP_LINK,
} from "../../src/netlink/constants.ts"
import { Monitor } from "../../src/netlink/monitor.ts"
import { changeLink, newBridge } from "../../src/netlink/route/link.ts"
import { decodeLink } from "../../src/netlink/route/link_codec.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { run, waitFor } from "../clients/program.ts"
import { requireTestNetns } from "./guard.ts"

requireTestNetns()

async function listen() {
  const heard: { type: number; name: string }[] = []
  let overruns = 0
  const monitor = new Monitor()
  await monitor.start(
    { groups: [RTNLGRP_LINK] },
    (messages) => {
      for (const message of messages) {
        heard.push({ type: message.type, name: decodeLink(message).name })
      }
    },
    () => {
      overruns += 1
    },
  )
  return { monitor, heard, overruns: () => overruns }
}

test("a link that comes and goes is heard of, in order", async () => {
  const { monitor, heard } = await listen()
  await run(["ip", "link", "add", "d0", "type", "bridge"])
  await run(["ip", "link", "del", "d0"])
  await waitFor("the deletion", () =>
    heard.some(({ type, name }) => type === RTM_DELLINK && name === "d0") ? true : undefined,
  )
  expect(heard[0]).toEqual({ type: RTM_NEWLINK, name: "d0" })
  await monitor.stop()
})

test("after a stop nothing is heard, a second stop and a new start are fine", async () => {
  const { monitor, heard } = await listen()
  await monitor.stop()
  await monitor.stop()
  await run(["ip", "link", "add", "d1", "type", "bridge"])
  const again = await listen()
  await run(["ip", "link", "del", "d1"])
  await waitFor("the deletion", () => (again.heard.length > 0 ? true : undefined))
  expect(heard).toEqual([])
  await again.monitor.stop()
})

test("a flood is heard whole or reported as lost, and what comes later is heard", async () => {
  const { monitor, heard, overruns } = await listen()
  const socket = NetlinkSocket.open(NETLINK_ROUTE)
  socket.request(newBridge({ name: "d2" }))
  const count = 5000
  const batch = Array.from({ length: count }, (_, i) => changeLink("d2", { mtu: 1000 + (i % 2) }))
  socket.requestAll(batch)
  await waitFor("the flood", () =>
    heard.filter(({ name }) => name === "d2").length >= count || overruns() > 0 ? true : undefined,
  )
  await run(["ip", "link", "del", "d2"])
  await waitFor("the deletion", () =>
    heard.some(({ type, name }) => type === RTM_DELLINK && name === "d2") ? true : undefined,
  )
  socket.close()
  await monitor.stop()
})

test("a monitor that runs, or is about to stop, cannot be started", async () => {
  const { monitor } = await listen()
  const ignore = () => undefined
  const start = () => monitor.start({ groups: [RTNLGRP_LINK] }, ignore, ignore)
  expect(start).toThrow(/it runs/)
  const stopped = monitor.stop()
  expect(start).toThrow(/it runs/)
  await stopped
  await start()
  await monitor.stop()
})
