/** What the DNS server needs of the outside: time, randomness, sockets to other servers. */

import { randomFillSync } from "node:crypto"
import { networkInterfaces } from "node:os"
import { framed } from "../../dns/tcp_session.ts"
import type { Timers, UpstreamSockets } from "../../dns/upstream.ts"
import { askTcp } from "../../sys/net/tcp_server.ts"
import { connectUdp } from "../../sys/net/udp.ts"
import { after } from "../../sys/timer.ts"

/** RFC 1035 §4.2.2. */
const MAX_MESSAGE_BYTES = 65_535

/** Time for the DNS server. */
export const timers: Timers = {
  now: () => performance.now(),
  after,
}

/** Sockets to other servers. */
export const upstreamSockets: UpstreamSockets = {
  openUdp: connectUdp,
  async askTcp(server, message, signal) {
    const length = (bytes: Uint8Array) => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
    const isEnough = (bytes: Uint8Array) => bytes.length >= 2 && bytes.length >= 2 + length(bytes)
    const options = { signal, maxBytes: 2 + MAX_MESSAGE_BYTES }
    const answer = await askTcp(server, framed(message), isEnough, options)
    return answer.subarray(2, 2 + length(answer))
  },
}

/** Whether an address is one of this host's own. */
export function isLocal(address: string): boolean {
  if (address.startsWith("127.") || address === "::1") return true
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((one) => one.address === address),
  )
}

const pool = new Uint32Array(1024)
let used = pool.length

/** 32 bits of the kernel's randomness, fetched many at a time. */
export function random32(): number {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  return pool[used++] ?? 0
}
