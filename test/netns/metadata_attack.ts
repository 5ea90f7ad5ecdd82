/**
 * A hostile container: `metadata_attack.ts CONNECTIONS SECONDS` asks for large answers on so many
 * connections, each with paths that nobody else spells so, and reads nothing of the answers.
 */
import { connect } from "node:net"

const [connections = 0, seconds = 0] = process.argv.slice(2).map(Number)

const PATHS = ["latest", "2016-07-29", "2015-12-19", "2015-07-25"].flatMap((version) =>
  ["containers", "services", "stacks", "self/service", ""].map((rest) => `${version}/${rest}`),
)
const FORMATS = ["application/yaml", "application/yaml", "application/json", "text/plain"]

/** A path with one in two letters escaped, by the bits of a number. */
function spelled(path: string, seed: number): string {
  let bits = seed
  return path.replace(/[a-z0-9]/g, (letter) => {
    bits = (Math.imul(bits, 1_664_525) + 1_013_904_223) >>> 0
    if ((bits & 0x10000) === 0) return letter
    return `%${letter.charCodeAt(0).toString(16)}`
  })
}

let asked = 0
function request(): string {
  asked += 1
  const path = spelled(PATHS[asked % PATHS.length] ?? "", asked)
  const accept = FORMATS[Math.floor(asked / PATHS.length) % FORMATS.length]
  return `GET /${path} HTTP/1.1\r\nHost: 169.254.169.250\r\nAccept: ${accept}\r\n\r\n`
}

for (let count = 0; count < connections; count++) {
  const socket = connect({ host: "169.254.169.250", port: 80 })
  socket.on("error", () => undefined)
  socket.pause()
  socket.once("connect", () => socket.write(request() + request() + request()))
}
setTimeout(() => process.exit(0), seconds * 1000)
