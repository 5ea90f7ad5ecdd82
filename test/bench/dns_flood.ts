/**
 * Sends queries to a DNS server as fast as the kernel takes them, and does not wait for answers:
 * `dns_flood.ts ADDRESS PORT SECONDS`. It prints how many it sent and had answered, a second, as JSON.
 */
import { encode } from "dns-packet"
import { names } from "./dns.ts"

const [, , hostname = "", port = "", time = ""] = process.argv
const BATCH = 32
const seconds = Number(time)

let answered = 0
const socket = await Bun.udpSocket({
  connect: { hostname, port: Number(port) },
  socket: {
    data: () => {
      answered += 1
    },
  },
})
const queries = names()
  .slice(0, BATCH)
  .map((name, id) => encode({ type: "query", id, flags: 0x0100, questions: [{ name, type: "A" }] }))

let sent = 0
const end = performance.now() + seconds * 1000
while (performance.now() < end) {
  sent += socket.sendMany(queries)
  // Answers are heard in between.
  await new Promise((resolve) => setImmediate(resolve))
}
console.log(JSON.stringify({ sent: sent / seconds, rate: answered / seconds }))
process.exit(0)
