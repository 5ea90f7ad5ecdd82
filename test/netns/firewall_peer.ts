/**
 * A peer that tells whoever talks to it under which address and port it was seen. A program of
 * its own, because it runs inside a namespace:
 *
 * - `firewall_peer.ts serve PORT [GROUP…]` answers on UDP and TCP of both families and joins
 *   multicast groups
 * - `firewall_peer.ts ask udp|tcp HOST PORT SOURCE SOURCEPORT VIA` prints `ADDRESS PORT`, or fails;
 *   the last three may be empty or 0, VIA is the address of the interface for multicast
 * - `firewall_peer.ts many COUNT HOST PORT SOURCE` asks by UDP from a new port each time and prints
 *   every address that it was seen under, once
 * - `firewall_peer.ts hold HOST PORT SOURCE` keeps one TCP connection and asks again for every line
 *   of its input
 */
import { createSocket, type Socket } from "node:dgram"
import { connect, createServer } from "node:net"

/** How long an answer may take, milliseconds; a lost datagram is never sent again. */
const TIMEOUT_MS = 2000

const plain = (address = ""): string => address.replace(/^::ffff:/, "")

function serve(port: number, groups: readonly string[]): void {
  for (const type of ["udp4", "udp6"] as const) {
    const socket = createSocket({ type, ipv6Only: true })
    // Bun reports the "port unreachable" of a client that is gone; without this it would end us.
    socket.on("error", () => undefined)
    socket.on("message", (_, from) => {
      socket.send(`${plain(from.address)} ${from.port}`, from.port, from.address)
    })
    socket.bind(port, () => {
      for (const group of groups) {
        const [address = "", own] = group.split("@")
        if (address.includes(":") === (type === "udp6")) socket.addMembership(address, own)
      }
    })
  }
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy())
    socket.on("data", () => socket.write(`${plain(socket.remoteAddress)} ${socket.remotePort}\n`))
  })
  server.listen(port, "::")
}

/** Where a question comes from; empty and 0 leave the choice to the kernel. */
interface From {
  readonly source: string
  readonly port: number
  readonly via: string
}

function open(host: string, { source, port, via }: From): Promise<Socket> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4")
  const multicast = via === "" ? source : via
  return new Promise((resolve, reject) => {
    socket.on("error", reject)
    socket.bind(port, source === "" ? undefined : source, () => {
      if (multicast !== "" && !host.includes(":")) socket.setMulticastInterface(multicast)
      resolve(socket)
    })
  })
}

async function askUdp(host: string, port: number, from: From) {
  const socket = await open(host, from)
  try {
    return await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no answer")), TIMEOUT_MS)
      socket.on("message", (text) => {
        clearTimeout(timer)
        resolve(text.toString())
      })
      socket.send("who am I", port, host)
    })
  } finally {
    socket.close()
  }
}

function askTcp(host: string, port: number, from: From) {
  return new Promise<string>((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ...(from.source === "" ? {} : { localAddress: from.source }),
      ...(from.port === 0 ? {} : { localPort: from.port }),
    })
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("no answer")))
    socket.on("error", reject)
    socket.on("connect", () => socket.write("who am I"))
    socket.on("data", (text) => {
      socket.destroy()
      resolve(text.toString().trim())
    })
  })
}

async function askMany(count: number, host: string, port: number, source: string): Promise<string> {
  const seen = new Set<string>()
  for (let i = 0; i < count; i++) {
    const [address = ""] = (await askUdp(host, port, { source, port: 0, via: "" })).split(" ")
    seen.add(address)
  }
  return [...seen].join("\n")
}

function hold(host: string, port: number, source: string): void {
  const socket = connect({ host, port, localAddress: source }, () => {
    process.stdin.on("data", (line) => socket.write(line))
  })
  socket.on("data", (text) => process.stdout.write(text))
}

const [command = "", ...args] = process.argv.slice(2)
if (command === "serve") {
  serve(Number(args[0]), args.slice(1))
} else if (command === "ask") {
  const [protocol, host = "", port, source = "", sourcePort, via = ""] = args
  const ask = protocol === "udp" ? askUdp : askTcp
  console.log(await ask(host, Number(port), { source, port: Number(sourcePort), via }))
} else if (command === "many") {
  const [count, host = "", port, source = ""] = args
  console.log(await askMany(Number(count), host, Number(port), source))
} else if (command === "hold") {
  hold(args[0] ?? "", Number(args[1]), args[2] ?? "")
} else {
  throw new Error(`no command ${JSON.stringify(command)}`)
}
