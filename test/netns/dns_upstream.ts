/**
 * `dns_upstream.ts ADDRESS ANSWER [DOMAIN]`: a DNS server that answers every question with one
 * address, or those below a domain alone: other names are not there.
 */
import { decode, encode } from "dns-packet"
import { bindUdp } from "../../src/sys/net/udp.ts"

const NXDOMAIN = 3
const [, , hostname = "", data = "", domain = ""] = process.argv

await bindUdp({ hostname, port: 53 }, (bytes, port, address, send) => {
  const { id = 0, questions = [] } = decode(Buffer.from(bytes))
  const name = questions[0]?.name ?? ""
  const isThere = name.toLowerCase().endsWith(domain)
  const answers = isThere ? [{ name, type: "A", ttl: 0, data }] : []
  const flags = 0x0180 | (isThere ? 0 : NXDOMAIN)
  send(encode({ type: "response", id, flags, questions, answers }), port, address)
})
console.log("listening")
