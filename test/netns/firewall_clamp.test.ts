/**
 * TCP between containers whose MTU is larger than their path: through a narrow link that tells
 * nobody (its ICMP errors are dropped) the connection works with the clamp, and hangs without.
 *
 *     a 10.42.0.2 ── br0 10.42.0.1 host 10.77.0.1 ──(MTU 1400)── 10.77.0.2 far 10.43.0.1 ── b 10.43.0.2
 *
 * IPv6 likewise: fd00:42::/64, fd00:77::/64, fd00:43::/64.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Firewall } from "../../src/firewall/firewall.ts"
import type { FirewallState } from "../../src/firewall/state.ts"
import { type Daemon, run, startDaemon } from "../clients/program.ts"
import { capture } from "./capture.ts"
import { requireTestNetns } from "./guard.ts"
import { inNetns } from "./lab.ts"

const NOTHING: FirewallState = { hostNat: [], overlay: [], masquerade: [] }
const NARROW = 1400
const PORT = 7788
const A = { 4: "10.42.0.2", 6: "fd00:42::2" } as const
const B = { 4: "10.43.0.2", 6: "fd00:43::2" } as const
/** IP and TCP headers without options. */
const HEADERS = { 4: 40, 6: 60 } as const

const WORLD = `set -e
for x in a b far; do ip netns add $x; ip -n $x link set lo up; done
ip link add br0 address 02:00:00:00:00:01 type bridge forward_delay 0
ip link add va type veth peer name eth0 netns a; ip link set va master br0 up
ip addr add 10.42.0.1/16 dev br0; ip addr add fd00:42::1/64 dev br0 nodad; ip link set br0 up
ip link add narrow mtu ${NARROW} type veth peer name narrow netns far
ip addr add 10.77.0.1/24 dev narrow; ip addr add fd00:77::1/64 dev narrow nodad
ip link set narrow up; ip -n far link set narrow mtu ${NARROW} up
ip -n far addr add 10.77.0.2/24 dev narrow; ip -n far addr add fd00:77::2/64 dev narrow nodad
ip -n far link add vb type veth peer name eth0 netns b; ip -n far link set vb up
ip -n far addr add 10.43.0.1/16 dev vb; ip -n far addr add fd00:43::1/64 dev vb nodad
for x in a b; do ip -n $x link set eth0 up; done
ip -n a addr add 10.42.0.2/16 dev eth0; ip -n a addr add fd00:42::2/64 dev eth0 nodad
ip -n b addr add 10.43.0.2/16 dev eth0; ip -n b addr add fd00:43::2/64 dev eth0 nodad
ip -n a route add default via 10.42.0.1; ip -n a route add default via fd00:42::1
ip -n b route add default via 10.43.0.1; ip -n b route add default via fd00:43::1
ip route add 10.43.0.0/16 via 10.77.0.2; ip route add fd00:43::/64 via fd00:77::2
ip -n far route add default via 10.77.0.1; ip -n far route add default via fd00:77::1
forward='echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
sh -c "$forward"; nsenter --net=/run/netns/far sh -c "$forward"
# Black holes: nobody hears that a packet was too large.
for x in a b; do nsenter --net=/run/netns/$x nft -f - << END
table inet deaf { chain input { type filter hook input priority 0;
  icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }
}
END
done
`

/** Answers each connection with the bytes that it was asked for, and counts what it gets. */
const SERVER = `import { createServer } from "node:net"
createServer((socket) => {
  let got = 0
  socket.on("error", () => socket.destroy())
  socket.on("data", (data) => {
    got += data.length
    if (got === 200000) socket.end(Buffer.alloc(200000, 1))
  })
}).listen(${PORT}, "::")`

const CLIENT = `import { connect } from "node:net"
let got = 0
const socket = connect(${PORT}, process.argv.at(-1), () => socket.write(Buffer.alloc(200000, 2)))
socket.on("error", (error) => { console.log(error.code); process.exit(0) })
setTimeout(() => { console.log(socket.connecting ? "no connection" : "stuck"); process.exit(0) }, 2500)
socket.on("data", (data) => { got += data.length })
socket.on("end", () => { console.log(got); process.exit(0) })`

let firewall: Firewall
let server: Daemon

/** 200,000 bytes there and back: "200000", or "stuck". */
async function transfer(family: 4 | 6): Promise<string> {
  return (await inNetns("a", process.execPath, "-e", CLIENT, B[family])).stdout.trim()
}

/** The maximum segment size in the SYN that arrives at b, and in the answer's that arrives at a. */
async function offered(family: 4 | 6): Promise<{ atB: number; atA: number }> {
  // Byte 53 of IPv6 is that of the TCP flags where there are no extension headers.
  const filter = family === 4 ? "tcp[tcpflags] & tcp-syn != 0" : "ip6[6] == 6 and ip6[53] & 2 != 0"
  const seen = async (netns: string, action: () => Promise<unknown>): Promise<number> => {
    const to = (netns === "a" ? A : B)[family]
    const options = { netns, device: "eth0", filter: `dst host ${to} and ${filter}` }
    const lines = await capture(options, action, (all) => all.some((line) => line.includes("mss")))
    return Number(/mss (\d+)/.exec(lines.join("\n"))?.[1])
  }
  let atB = 0
  const atA = await seen("a", async () => {
    atB = await seen("b", () => transfer(family))
  })
  return { atB, atA }
}

beforeAll(async () => {
  requireTestNetns()
  await run(["bash", "-c", WORLD])
  server = await startDaemon(
    ["nsenter", "--net=/run/netns/b", process.execPath, "-e", SERVER],
    async () => (await inNetns("b", "ss", "-Hltn", `sport = :${PORT}`)).stdout !== "",
    { log: "/run/tmp/clamp-server.log" },
  )
  firewall = Firewall.open()
})

afterAll(async () => {
  firewall?.close()
  await server?.stop()
  await run(["bash", "-c", "for x in a b far; do ip netns delete $x; done; ip link delete br0"])
  await run(["nft", "flush", "ruleset"])
})

const FAMILIES = [4, 6] as const
const CLAMPS: readonly (readonly [string, readonly string[]])[] = [
  ["the subnets there", ["10.43.0.0/16", "fd00:43::/64"]],
  ["the subnets here", ["10.42.0.0/16", "fd00:42::/64"]],
  ["the device", ["narrow"]],
]

describe("without a clamp", () => {
  test.each(FAMILIES)("a connection over a black hole gets stuck, IPv%d", async (family) => {
    firewall.ensure(NOTHING)
    expect(await transfer(family)).toBe("stuck")
    expect(await offered(family)).toEqual({
      atB: 1500 - HEADERS[family],
      atA: 1500 - HEADERS[family],
    })
  })
})

describe.each(CLAMPS)("with a clamp of %s", (_, clamp) => {
  test.each(FAMILIES)("all of it arrives, in segments that fit, IPv%d", async (family) => {
    firewall.ensure({ ...NOTHING, clamp })
    expect(await transfer(family)).toBe("200000")
    expect(await offered(family)).toEqual({
      atB: NARROW - HEADERS[family],
      atA: NARROW - HEADERS[family],
    })
  })
})

test("a clamp of others leaves it alone, and one that is taken back as well", async () => {
  firewall.ensure({ ...NOTHING, clamp: ["10.99.0.0/16", "br9"] })
  expect((await offered(4)).atB).toBe(1460)
  firewall.ensure({ ...NOTHING, clamp: ["narrow"] })
  firewall.ensure(NOTHING)
  expect((await offered(4)).atB).toBe(1460)
})

test("a segment size that is smaller already is not raised", async () => {
  firewall.ensure({ ...NOTHING, clamp: ["narrow"] })
  await run(["ip", "-n", "a", "route", "change", "default", "via", "10.42.0.1", "advmss", "700"])
  try {
    expect(await offered(4)).toEqual({ atB: 700, atA: NARROW - HEADERS[4] })
  } finally {
    await run(["ip", "-n", "a", "route", "change", "default", "via", "10.42.0.1"])
  }
})
