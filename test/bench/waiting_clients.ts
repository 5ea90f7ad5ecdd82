/**
 * Clients that wait for values of the metadata to become others, and wait again when they have:
 * `waiting_clients.ts JSON`, where the JSON is a {@link WaitingClients}. It prints "waiting" when all
 * do, and for each line of standard input how many answers they had since the line before.
 */
import { createInterface } from "node:readline"
import type { Socket } from "bun"

/** Who waits, and for what. */
export interface WaitingClients {
  readonly host: string
  readonly port: number
  /** One client for each. */
  readonly paths: readonly string[]
}

/** Not more connections at a time than a server takes in. */
const AT_ONCE = 50
const PAUSE_MS = 20
/** The longest that a request may wait. */
const WAIT = "wait=true&maxWait=120"

/** Of one connection. */
interface Client {
  readonly path: string
  /** Of the answer that comes. */
  text: string
  answers: number
}

const { host, port, paths }: WaitingClients = JSON.parse(process.argv[2] ?? "")
let [waiting, answers] = [0, 0]

function ask(socket: Socket<Client>, query: string): void {
  socket.write(`GET ${socket.data.path}${query} HTTP/1.1\r\nHost: x\r\n\r\n`)
}

/** Reads on. The first answer says what is known, the others that it changed. */
function take(socket: Socket<Client>, bytes: Buffer): void {
  const client = socket.data
  client.text += bytes.toString("latin1")
  const [head = "", body = ""] = client.text.split("\r\n\r\n")
  if (body.length !== Number(/^content-length: (\d+)/im.exec(head)?.[1])) return
  if (!head.startsWith("HTTP/1.1 200")) throw new Error(`${client.path}: ${client.text}`)
  client.text = ""
  ask(socket, `?${WAIT}&value=${encodeURIComponent(body)}`)
  if (client.answers++ > 0) answers += 1
  else if (++waiting === paths.length) console.log("waiting")
}

if (paths.length === 0) console.log("waiting")
for (const [index, path] of paths.entries()) {
  await Bun.connect<Client>({
    hostname: host,
    port,
    data: { path, text: "", answers: 0 },
    socket: {
      open: (socket) => ask(socket, ""),
      data: take,
      close: () => {
        throw new Error(`the connection of ${path} was closed`)
      },
    },
  })
  if (index % AT_ONCE === AT_ONCE - 1) await new Promise((done) => setTimeout(done, PAUSE_MS))
}
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(`${answers}`)
  answers = 0
}
process.exit(0)
