/** The worker of sys_parity.ts: says where it runs, doubles numbers, throws at 0. */
import { libc } from "../../src/sys/ffi/libc.ts"
import { serveWorker } from "../../src/sys/ffi/worker.ts"
import { currentNetns, openNetns, sameNetns } from "../../src/sys/netns/netns.ts"

const scope = serveWorker<number, unknown>((n) => {
  if (n === 0) throw new Error("no zero")
  scope.post(n * 2)
})
scope.post({
  ownThread: libc.gettid() !== libc.getpid(),
  atHome: sameNetns(currentNetns(), openNetns(`/proc/${process.pid}/ns/net`)),
})
