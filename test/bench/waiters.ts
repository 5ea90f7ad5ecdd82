/**
 * Waits for a change with many requests, from a process of its own: `waiters.ts PORT COUNT`. It
 * prints "waiting" when all are sent, and when all are answered the time of the last answer,
 * milliseconds since 1970.
 */
import { connect } from "node:net"

const [port = "", count = ""] = process.argv.slice(2)
const PATH = "/2015-12-19/version"

/** Waiting requests of one container. */
const PER_ADDRESS = 100

function ask(
  from: string,
  target: string,
  onAnswer: (body: string) => void,
  onSent: () => void,
): void {
  const socket = connect({ host: "127.0.0.1", port: Number(port), localAddress: from }, () => {
    socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`, onSent)
  })
  let text = ""
  socket.setEncoding("latin1")
  socket.on("data", (piece) => {
    text += piece
    const [head = "", body = ""] = text.split("\r\n\r\n")
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1])
    if (body.length === length) onAnswer(body)
  })
  socket.on("error", (error) => {
    console.error(`waiters: ${error.message}`)
    process.exit(1)
  })
}

const known = await new Promise<string>((resolve) =>
  ask("127.0.0.1", PATH, resolve, () => undefined),
)
let [sent, answered] = [0, 0]
for (let index = 0; index < Number(count); index++) {
  const wait = `${PATH}?wait=true&value=${known}&maxWait=100`
  const onSent = () => {
    sent += 1
    if (sent === Number(count)) console.log("waiting")
  }
  ask(
    `127.0.1.${1 + Math.floor(index / PER_ADDRESS)}`,
    wait,
    () => {
      answered += 1
      if (answered < Number(count)) return
      console.log(String(performance.timeOrigin + performance.now()))
      process.exit(0)
    },
    onSent,
  )
  // Not more at a time than a server takes in.
  if (index % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 5))
}
