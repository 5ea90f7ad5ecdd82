/** `dns_upstream.ts ADDRESS ANSWER`: a DNS server that answers every question with one address. */
import { decode, encode } from "dns-packet"
import { bindUdp } from "../../src/sys/net/udp.ts"

const [, , hostname = "", data = ""] = process.argv

await bindUdp({ hostname, port: 53 }, (bytes, port, address, send) => {
  const { id = 0, questions = [] } = decode(Buffer.from(bytes))
  const answers = [{ name: questions[0]?.name ?? "", type: "A", ttl: 0, data }]
  send(encode({ type: "response", id, flags: 0x0180, questions, answers }), port, address)
})
console.log("listening")
