/** What echoes through ESP tell: sizes to the byte, and what is missing by the errno of the send. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { overheadOf } from "../../src/core/overhead.ts"
import { type Netns, openNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { EchoProber, type EchoResult } from "../../src/sys/probes/echo.ts"
import { run } from "../clients/program.ts"
import { requireTestNetns } from "../netns/guard.ts"

const KEY = `0x${"5b".repeat(36)}`
const SOURCE = { 4: "10.42.1.1", 6: "fd00:42::1:1" } as const
const FAR = { 4: "10.42.2.1", 6: "fd00:42::2:1" } as const
/** The largest inner packet, by the arithmetic that `lariat mtu` shows. */
const { mtu: MTU } = overheadOf("ipsec", { outer: 1500 })

/** Two hosts whose inner addresses speak through ESP; everything else of the overlay is blocked. */
const script = (host: string, me: number, other: number) => `
ip netns add ${host}; ip -n ${host} link set lo up
ip link set echo${me} netns ${host}
ip -n ${host} link set echo${me} up; ip -n ${host} addr add 192.0.2.${me}/24 dev echo${me}
ip -n ${host} link add pod type dummy; ip -n ${host} link set pod up
ip -n ${host} addr add 10.42.${me}.1/24 dev pod; ip -n ${host} addr add fd00:42::${me}:1/112 dev pod nodad
ip -n ${host} route add 10.42.0.0/16 via 192.0.2.${other}
ip -n ${host} addr add 2001:db8::${me}/64 dev echo${me} nodad
ip -n ${host} route add fd00:42::/32 via 2001:db8::${other}
for net in 10.42.0.0/16 fd00:42::/32; do
  ip -n ${host} xfrm policy add dst $net dir out priority 9000 action block
done
for net in 10.42 fd00:42::; do
  case $net in 10.42) here=10.42.${me}.0/24; there=10.42.${other}.0/24;;
    *) here=fd00:42::${me}:0/112; there=fd00:42::${other}:0/112;; esac
  ip -n ${host} xfrm policy add src $here dst $there dir out priority 100 \\
    tmpl src 192.0.2.${me} dst 192.0.2.${other} proto esp reqid 1 mode tunnel
  ip -n ${host} xfrm policy add src $there dst $here dir in priority 100 \\
    tmpl src 192.0.2.${other} dst 192.0.2.${me} proto esp reqid 1 mode tunnel
done
`
const states = (host: string) =>
  [
    [1, 2],
    [2, 1],
  ]
    .map(
      ([from, to]) =>
        `ip -n ${host} xfrm state add src 192.0.2.${from} dst 192.0.2.${to} proto esp spi ${from}00 \
          reqid 1 mode tunnel replay-window 64 flag af-unspec aead 'rfc4106(gcm(aes))' ${KEY} 128`,
    )
    .join("\n")

const FLUSH = "for x in a b; do ip -n echo-$x xfrm state flush; done"

let netns: Netns
let prober: EchoProber

async function probe(family: 4 | 6, packetBytes: number, destination: string = FAR[family]) {
  const probes = [{ destination, source: SOURCE[family], packetBytes }]
  const [result] = await prober.probe(probes, { timeoutMs: 2000 })
  return plain(result)
}

/** Packets that this host could not send for want of an association. */
function dropped(): number {
  const text = withNetns(netns, () => readFileSync("/proc/thread-self/net/xfrm_stat", "utf8"))
  return Number(/XfrmOutNoStates\s+(\d+)/.exec(text)?.[1])
}

/** Without what differs from run to run. */
function plain(result: EchoResult | undefined): unknown {
  return result?.kind === "answered" ? "answered" : result
}

async function sh(text: string): Promise<void> {
  await run(["bash", "-ec", text], { timeoutMs: 60_000 })
}

beforeAll(async () => {
  requireTestNetns()
  await sh("ip link add echo1 type veth peer name echo2")
  await sh(script("echo-a", 1, 2) + script("echo-b", 2, 1))
  netns = openNetns("/run/netns/echo-a")
  prober = withNetns(netns, () => EchoProber.open())
}, 60_000)

afterAll(async () => {
  prober?.close()
  netns?.close()
  await sh("ip netns delete echo-a; ip netns delete echo-b")
})

describe.each([4, 6] as const)("IPv%d", (family) => {
  test("a block that no policy covers is refused: EPERM", async () => {
    const stranger = family === 4 ? "10.42.9.1" : "fd00:42::9:1"
    expect(await probe(family, 100, stranger)).toEqual({ kind: "unsent", errno: 1 })
  })

  test("a policy without its association lets the packet vanish, and the kernel counts it", async () => {
    await sh(FLUSH)
    const before = dropped()
    expect(await probe(family, 100)).toEqual({ kind: "timeout" })
    expect(dropped()).toBeGreaterThan(before)
  })

  test("with keys both ways packets pass up to the byte that was computed", async () => {
    await sh(`${FLUSH}\n${states("echo-a")}\n${states("echo-b")}`)
    // Neighbours that are not known yet may cost the first one.
    await probe(family, 100)
    expect(await probe(family, 100)).toBe("answered")
    expect(await probe(family, MTU)).toBe("answered")
    expect(await probe(family, MTU + 1)).toEqual({ kind: "too-big", mtu: MTU, local: true })
  })

  test("what the far host cannot decrypt is a time-out", async () => {
    await sh("ip -n echo-b xfrm state flush")
    expect(await probe(family, 100)).toEqual({ kind: "timeout" })
  })
})
