/**
 * A service that keeps its encapsulation socket in systemd's store: `fd_store_service.ts FOLDER`.
 * Writes to FOLDER/started a line of JSON for each start, and to FOLDER/heard a line for each
 * datagram. SIGUSR1 has it take the socket out of the store; SIGTERM ends it, SIGKILL does too.
 */
import { appendFileSync } from "node:fs"
import { join } from "node:path"
import { discardDescriptors, storeDescriptor, takeDescriptors } from "../../src/sys/fd_store.ts"
import { UdpEncapSocket } from "../../src/sys/net/udp_encap.ts"
import { UdpEncapReader } from "../../src/sys/net/udp_encap_reader.ts"
import { sdNotify } from "../../src/sys/notify.ts"

const NAME = "lariat-esp4"
const [folder = "."] = process.argv.slice(2)

const kept = takeDescriptors()
const adopted = kept.get(NAME)?.map((fd) => UdpEncapSocket.adopt(fd))[0]
const socket = adopted ?? UdpEncapSocket.open(4)
UdpEncapReader.start([socket], {
  onDatagrams: (datagrams) => {
    const texts = datagrams.map(({ payload }) => `${new TextDecoder().decode(payload)}\n`)
    appendFileSync(join(folder, "heard"), texts.join(""))
  },
})
// Again at each start: one that is there already is not kept twice.
const stored = storeDescriptor(NAME, socket.fd)
process.on("SIGUSR1", () => discardDescriptors(NAME))
const start = {
  pid: process.pid,
  adopted: adopted !== undefined,
  port: socket.port,
  names: [...kept.keys()],
  stored,
  left: process.env.LISTEN_FDS ?? "none",
}
appendFileSync(join(folder, "started"), `${JSON.stringify(start)}\n`)
sdNotify("READY=1")
