/**
 * The thread of one stream. Both ends of it live here, with sockets of two namespaces: what the
 * test's own thread is busy with can neither delay a packet nor keep one from being read.
 */
import { messageOf } from "../../src/errors.ts"
import { serveWorker } from "../../src/sys/ffi/worker.ts"
import { runTcp } from "./tcp_loop.ts"
import { TrafficChannel, type TrafficNews, type TrafficOrder } from "./traffic_channel.ts"
import { runUdp } from "./udp_loop.ts"

const scope = serveWorker<TrafficOrder, TrafficNews>((order) => {
  try {
    const run = order.kind === "udp" ? runUdp : runTcp
    run(order, new TrafficChannel(order.memory), () => scope.post({ is: "running" }))
    scope.post({ is: "ended" })
  } catch (error) {
    scope.post({ is: "failed", why: messageOf(error) })
  }
})
