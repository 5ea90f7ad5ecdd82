/**
 * Hosts that learn by real sockets whether a NAT stands between them; prints what they saw as one
 * JSON object. Run by nat_detection.test.ts under Bun and under Deno; both must see the same.
 *
 *     a 192.168.1.2 ── router (masquerades, ports 61000 to 61999) 203.0.113.1 ──┬── b 203.0.113.5
 *                                                                               └── c 203.0.113.6
 *
 * b and c also speak IPv6: 2001:db8::5 and ::6.
 */
import { execFileSync } from "node:child_process"
import { writeSync } from "node:fs"
import { type NatDatagram, NatDetection } from "../../src/cluster/nat/nat_detection.ts"
import { LariatError } from "../../src/errors.ts"
import { libc } from "../../src/sys/ffi/libc.ts"
import type { IpEndpoint } from "../../src/sys/net/ip_endpoint.ts"
import { ipSocketAddress } from "../../src/sys/net/socket_address.ts"
import { UdpEncapSocket } from "../../src/sys/net/udp_encap.ts"
import { type UdpDatagram, UdpEncapReader } from "../../src/sys/net/udp_encap_reader.ts"
import { type Netns, openNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { requireTestNetns } from "./guard.ts"

const WORLD = `set -e
for x in a b c router; do ip netns add nat-$x; ip -n nat-$x link set lo up; done
ip link add wan address 02:00:00:00:00:01 type bridge forward_delay 0; ip link set wan up
ip link add lan type veth peer name eth0 netns nat-a; ip link set lan netns nat-router
for x in b c router; do
  ip link add to-$x type veth peer name eth0 netns nat-$x; ip link set to-$x master wan up
  ip -n nat-$x link set eth0 up
done
ip -n nat-router link set lan up; ip -n nat-a link set eth0 up
ip -n nat-a addr add 192.168.1.2/24 dev eth0; ip -n nat-router addr add 192.168.1.1/24 dev lan
ip -n nat-a route add default via 192.168.1.1
ip -n nat-router addr add 203.0.113.1/24 dev eth0
ip -n nat-b addr add 203.0.113.5/24 dev eth0; ip -n nat-c addr add 203.0.113.6/24 dev eth0
ip -n nat-b addr add 203.0.113.55/24 dev eth0
ip -n nat-b addr add 2001:db8::5/64 dev eth0 nodad; ip -n nat-c addr add 2001:db8::6/64 dev eth0 nodad
nsenter --net=/run/netns/nat-router sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
nsenter --net=/run/netns/nat-router nft -f - << END
table ip masq { chain post { type nat hook postrouting priority srcnat;
  oifname "eth0" udp dport 4500 masquerade to :61000-61999; }
}
END`

const clean = (text: string) =>
  execFileSync("bash", ["-c", text], { stdio: "pipe", timeout: 20_000 })
const number = { a: 1, b: 2, c: 3 } as const
type Name = keyof typeof number

/** One key for each pair, as hosts would derive it. */
function keyOf(one: Name, other: Name): Uint8Array {
  return new Uint8Array(32).fill(number[one] * number[other])
}

class Host {
  readonly netns: Netns
  readonly sockets: readonly UdpEncapSocket[]
  readonly heard: UdpDatagram[] = []
  readonly detection: NatDetection
  readonly reader: UdpEncapReader

  constructor(name: Name) {
    this.netns = openNetns(`/run/netns/nat-${name}`)
    this.sockets = withNetns(this.netns, () => [UdpEncapSocket.open(4), UdpEncapSocket.open(6)])
    this.detection = new NatDetection({
      number: number[name],
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    })
    this.reader = UdpEncapReader.start(this.sockets, {
      onDatagrams: (datagrams) => this.hear(datagrams),
    })
  }

  hear(datagrams: readonly UdpDatagram[]): void {
    this.heard.push(...datagrams)
    for (const { payload, source, local } of datagrams) {
      this.send(this.detection.receive(payload, source, local, performance.now()).send)
    }
  }

  send(datagrams: readonly NatDatagram[]): void {
    for (const one of datagrams) {
      const family = one.to.address.includes(":") ? 6 : 4
      const socket = this.sockets.find((each) => each.family === family)
      if (one.kind === "keepalive") socket?.keepAlive(one.to, one.from.address)
      else socket?.send(one.bytes, one.to, one.from.address)
    }
  }

  async close(): Promise<void> {
    await this.reader.stop()
    await this.reader.stop()
    for (const socket of this.sockets) socket.close()
    this.netns.close()
  }
}

const at = (address: string): IpEndpoint => ({ address, port: 4500 })
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 20) {
    if (waited > 10_000) throw new Error(`Cannot wait longer for ${what}`)
    await sleep(20)
  }
}

async function detect(hosts: Record<Name, Host>, done: () => boolean): Promise<void> {
  await until("the outcomes", () => {
    for (const host of Object.values(hosts)) host.send(host.detection.due(performance.now()))
    return done()
  })
}

/** A port that the router chose is one of its range: which one is not the same each time. */
function readable(endpoint: IpEndpoint | undefined): string {
  if (endpoint === undefined) return "nothing"
  const { address, port } = endpoint
  return `${address} ${port >= 61_000 && port <= 61_999 ? "chosen" : port}`
}

function outcomeOf(host: Host, peer: number): string {
  const outcome = host.detection.outcome(peer)
  if (outcome === undefined) return "nothing"
  const { encapsulate, peerAddress: address, peerPort: port } = outcome
  return `${encapsulate ? "udp" : "esp"} ${readable({ address, port })}`
}

/** ESP and keepalives are the kernel's, datagrams with a marker ours. */
async function probeSocket(hosts: Record<Name, Host>): Promise<Record<string, unknown>> {
  const { b, c } = hosts
  const results: Record<string, unknown> = {}
  for (const [index, address] of ["203.0.113.5", "2001:db8::5"].entries()) {
    const socket = c.sockets[index]
    if (socket === undefined) throw new Error("no socket")
    b.heard.length = 0
    const esp = new Uint8Array(64).fill(1)
    const to = ipSocketAddress(address, 4500).bytes
    libc.sendto(socket.fd, esp, esp.length, 0, to, to.length)
    socket.keepAlive(at(address))
    socket.send(Uint8Array.of(7, 7, 7), at(address))
    await until("the datagram", () => b.heard.length > 0)
    // ESP and the keepalive came before it.
    results[address] = b.heard.map(({ payload, source, local }) => [
      payload.toHex(),
      readable(source),
      readable(local),
    ])
  }
  // From an address of choice, to a host that sees it.
  c.heard.length = 0
  b.sockets[0]?.send(Uint8Array.of(8), at("203.0.113.6"), "203.0.113.55")
  await until("the datagram", () => c.heard.length > 0)
  return {
    ...results,
    from: readable(c.heard[0]?.source),
    // ENETUNREACH
    noRoute: b.sockets[0]?.send(Uint8Array.of(1), at("198.51.100.1")),
  }
}

function failure(call: () => unknown): string {
  try {
    call()
    return "nothing"
  } catch (error) {
    return error instanceof LariatError ? `${error.code} ${error.message}` : String(error)
  }
}

function probeAdoption(host: Host): Record<string, unknown> {
  const plain = withNetns(host.netns, () => libc.socket(2, 2, 0))
  const stream = libc.socket(2, 1, 0)
  const [four, six] = host.sockets.map(({ fd }) => UdpEncapSocket.adopt(fd))
  const results = {
    four: [four?.family, four?.port],
    six: [six?.family, six?.port],
    plain: UdpEncapSocket.adopt(plain) === undefined,
    stream: UdpEncapSocket.adopt(stream) === undefined,
    closed: UdpEncapSocket.adopt(9999) === undefined,
    taken: failure(() => withNetns(host.netns, () => UdpEncapSocket.open(4))),
    free: withNetns(host.netns, () => {
      const socket = UdpEncapSocket.open(6, 0)
      socket.close()
      socket.close()
      return socket.port > 0
    }),
  }
  libc.close(plain)
  libc.close(stream)
  return results
}

async function main(): Promise<void> {
  requireTestNetns()
  clean(WORLD)
  const hosts = { a: new Host("a"), b: new Host("b"), c: new Host("c") }
  const { a, b, c } = hosts
  const socket = await probeSocket(hosts)
  const now = performance.now()
  const peer = (me: Name, other: Name, own: string, announced: string) =>
    hosts[me].detection.setPeer(
      number[other],
      { own: at(own), announced: at(announced), key: keyOf(me, other) },
      now,
    )
  peer("a", "b", "192.168.1.2", "203.0.113.5")
  peer("b", "a", "203.0.113.5", "192.168.1.2")
  peer("b", "c", "2001:db8::5", "2001:db8::6")
  peer("c", "b", "2001:db8::6", "2001:db8::5")
  await detect(
    hosts,
    () =>
      b.detection.outcome(1)?.encapsulate === true &&
      b.detection.outside(3) !== undefined &&
      c.detection.outside(2) !== undefined,
  )
  const results = {
    socket,
    a: outcomeOf(a, 2),
    aOutside: readable(a.detection.outside(2)),
    b: [outcomeOf(b, 1), outcomeOf(b, 3)],
    c: outcomeOf(c, 2),
    adoption: probeAdoption(b),
  }
  for (const host of Object.values(hosts)) await host.close()
  writeSync(1, `${JSON.stringify(results)}\n`)
  clean("for x in a b c router; do ip netns delete nat-$x; done; ip link delete wan")
}

await main()
process.exit(0)
