/**
 * Sends requests as fast as the connections take them, without waiting for answers:
 * `http_flood.ts JSON`, where the JSON is a {@link Load}. It prints a {@link LoadResult} as JSON.
 */
import type { Socket } from "bun"
import type { Load, LoadResult } from "./http_load.ts"

/** What one write of a connection asks. */
const AT_ONCE = 256

const load: Load = JSON.parse(process.argv[2] ?? "")
const request = new TextEncoder().encode(
  `GET ${load.path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(AT_ONCE),
)
let answers = 0

/** What is left of a write that did not go whole goes first. */
function send(socket: Socket<{ at: number }>): void {
  for (;;) {
    const sent = socket.write(request.subarray(socket.data.at))
    if (sent <= 0) return
    socket.data.at = (socket.data.at + sent) % request.length
  }
}

for (let count = 0; count < load.connections; count++) {
  await Bun.connect<{ at: number }>({
    hostname: load.host,
    port: load.port,
    data: { at: 0 },
    socket: {
      open: send,
      drain: send,
      data: (_, bytes) => {
        answers += bytes.toString("latin1").split("HTTP/1.1 200").length - 1
      },
    },
  })
}
await new Promise((resolve) => setTimeout(resolve, load.seconds * 1000))
const result: Pick<LoadResult, "rate"> = { rate: answers / load.seconds }
console.log(JSON.stringify(result))
process.exit(0)
