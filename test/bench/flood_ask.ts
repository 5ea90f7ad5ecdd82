/**
 * Asks metadata or DNS one question at a time, as a container that is not in a hurry:
 * `flood_ask.ts JSON`, where the JSON is an {@link Asking}. It prints the milliseconds of all answers
 * as JSON.
 */
import { connect } from "node:net"
import { encode } from "dns-packet"
import { names } from "./dns.ts"

/** What is asked. */
export interface Asking {
  readonly protocol: "http" | "dns"
  readonly host: string
  readonly port: number
  readonly path: string
  readonly asks: number
}

const ASK_EVERY_MS = 2
/** A lost query counts as this, as its client would wait. */
const LOST_MS = 1000

type Ask = (id: number) => Promise<void>

async function httpAsker({ host, port, path }: Asking): Promise<Ask> {
  const socket = connect({ host, port, noDelay: true })
  await new Promise((resolve) => socket.once("connect", resolve))
  return async () => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const answer = await new Promise<Buffer>((resolve) => socket.once("data", resolve))
    if (!answer.toString("latin1").startsWith("HTTP/1.1 200 ")) throw new Error(`${answer}`)
  }
}

async function dnsAsker({ host, port }: Asking): Promise<Ask> {
  let heard = (_: number): void => undefined
  const socket = await Bun.udpSocket({
    connect: { hostname: host, port },
    socket: { data: (_, bytes) => heard(bytes.readUInt16BE(0)) },
  })
  return async (id) => {
    const questions = [{ name: names()[id] ?? "", type: "A" }]
    const query = encode({ type: "query", id, flags: 0x0100, questions })
    await new Promise<void>((resolve) => {
      const lost = setTimeout(resolve, LOST_MS)
      heard = (answered) => {
        if (answered !== id) return
        clearTimeout(lost)
        resolve()
      }
      socket.send(query)
    })
  }
}

const asking: Asking = JSON.parse(process.argv[2] ?? "")
const ask = await (asking.protocol === "http" ? httpAsker(asking) : dnsAsker(asking))
const times: number[] = []
// The first one is the container's first question to anybody.
await ask(asking.asks)
for (let id = 0; id < asking.asks; id++) {
  const started = performance.now()
  await ask(id)
  times.push(performance.now() - started)
  await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS))
}
console.log(JSON.stringify(times))
process.exit(0)
