/**
 * Probes through a router whose far link is narrower, and prints what it saw as one JSON object.
 * Run by echo_prober.test.ts under Bun and under Deno; both must see the same.
 *
 *     here 10.98.0.1 ── 10.98.0.2 router 10.97.0.1 ──(MTU 1400)── 10.97.0.2 far
 *
 * IPv6 likewise: fd00:98::/64, fd00:97::/64.
 */
import { writeSync } from "node:fs"
import { LariatError } from "../../src/errors.ts"
import { type EchoProbe, EchoProber, type EchoResult } from "../../src/sys/probes/echo.ts"
import { ip, requireTestNetns } from "./guard.ts"

const ROUTER = { 4: "10.98.0.2", 6: "fd00:98::2" } as const
const FAR = { 4: "10.97.0.2", 6: "fd00:97::2" } as const
const SOURCE = { 4: "10.98.0.9", 6: "fd00:98::9" } as const

function build(): void {
  for (const name of ["echo-r", "echo-f"]) ip("netns", "add", name)
  ip("link", "add", "e0", "type", "veth", "peer", "name", "r0", "netns", "echo-r")
  ip("-n", "echo-r", "link", "add", "r1", "mtu", "1400", "type", "veth", "peer", "name", "f0")
  ip("-n", "echo-r", "link", "set", "f0", "netns", "echo-f")
  ip("-n", "echo-f", "link", "set", "f0", "mtu", "1400", "up")
  ip("link", "set", "e0", "up")
  for (const link of ["r0", "r1"]) ip("-n", "echo-r", "link", "set", link, "up")
  ip("addr", "add", "10.98.0.1/24", "dev", "e0")
  ip("addr", "add", "10.98.0.9/24", "dev", "e0")
  for (const address of ["fd00:98::1/64", "fd00:98::9/64"]) {
    ip("addr", "add", address, "dev", "e0", "nodad")
  }
  ip("-n", "echo-r", "addr", "add", "10.98.0.2/24", "dev", "r0")
  ip("-n", "echo-r", "addr", "add", "10.97.0.1/24", "dev", "r1")
  ip("-n", "echo-f", "addr", "add", "10.97.0.2/24", "dev", "f0")
  ip("-n", "echo-r", "addr", "add", "fd00:98::2/64", "dev", "r0", "nodad")
  ip("-n", "echo-r", "addr", "add", "fd00:97::1/64", "dev", "r1", "nodad")
  ip("-n", "echo-f", "addr", "add", "fd00:97::2/64", "dev", "f0", "nodad")
  ip("route", "add", "10.97.0.0/24", "via", "10.98.0.2")
  ip("-n", "echo-f", "route", "add", "default", "via", "10.97.0.1")
  ip("-6", "route", "add", "fd00:97::/64", "via", "fd00:98::2")
  ip("-n", "echo-f", "-6", "route", "add", "default", "via", "fd00:97::1")
  ip("netns", "exec", "echo-r", "sysctl", "-qw", "net.ipv4.ip_forward=1")
  ip("netns", "exec", "echo-r", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
}

const text = (result: EchoResult | undefined): string => {
  if (result?.kind !== "answered") return JSON.stringify(result)
  const { rttMs } = result
  return rttMs !== undefined && rttMs >= 0 && rttMs < 1000 ? "answered" : `in ${rttMs} ms`
}

function failure(call: () => unknown): string {
  try {
    call()
    return "nothing"
  } catch (error) {
    return error instanceof LariatError ? `${error.code} ${error.message}` : String(error)
  }
}

async function probeFamily(prober: EchoProber, family: 4 | 6): Promise<Record<string, string>> {
  const router = ROUTER[family]
  const far = FAR[family]
  const probes: Record<string, EchoProbe> = {
    smallest: { destination: router, packetBytes: family === 4 ? 36 : 56 },
    fills: { destination: router, packetBytes: 1500 },
    exceeds: { destination: router, packetBytes: 1501 },
    from: { destination: router, source: SOURCE[family], packetBytes: 777 },
    far: { destination: far, packetBytes: 1400 },
    beyond: { destination: far, packetBytes: 1401 },
    silent: { destination: family === 4 ? "10.97.0.77" : "fd00:97::77", packetBytes: 100 },
    noRoute: { destination: family === 4 ? "192.0.2.1" : "2001:db8::1", packetBytes: 100 },
    notMine: {
      destination: router,
      source: family === 4 ? "192.0.2.9" : "2001:db8::9",
      packetBytes: 100,
    },
    // The errors before are not this one's.
    last: { destination: router, packetBytes: 100 },
  }
  const results = await prober.probe(Object.values(probes), { timeoutMs: 1500 })
  return Object.fromEntries(Object.keys(probes).map((name, index) => [name, text(results[index])]))
}

/**
 * Waits until every address that shall answer does: a link that has just come up loses the first
 * solicitations, and a neighbour that is asked again is asked a second later.
 */
async function reachable(prober: EchoProber): Promise<void> {
  const probes = ([4, 6] as const).flatMap((family) => [
    { destination: ROUTER[family], packetBytes: 100 },
    { destination: ROUTER[family], source: SOURCE[family], packetBytes: 100 },
    { destination: FAR[family], packetBytes: 100 },
  ])
  const deadline = performance.now() + 20_000
  while (performance.now() < deadline) {
    const results = await prober.probe(probes, { timeoutMs: 300 })
    if (results.every(({ kind }) => kind === "answered")) return
  }
  throw new Error("the router and the far host do not answer")
}

/** Two overlapping rounds of a thousand probes, one spread over half a second. */
async function probeMany(prober: EchoProber): Promise<Record<string, unknown>> {
  const probes = Array.from({ length: 1000 }, (_, index) => ({
    destination: index % 2 === 0 ? ROUTER[4] : FAR[6],
    packetBytes: index % 3 === 0 ? 1400 : 100,
  }))
  const [spread, burst] = await Promise.all([
    prober.probe(probes, { spreadMs: 500, timeoutMs: 5000 }),
    prober.probe(probes, { timeoutMs: 5000 }),
  ])
  return {
    spread: spread.filter(({ kind }) => kind === "answered").length,
    burst: burst.filter(({ kind }) => kind === "answered").length,
  }
}

async function main(): Promise<void> {
  requireTestNetns()
  build()
  const prober = EchoProber.open()
  await reachable(prober)
  const results = {
    four: await probeFamily(prober, 4),
    six: await probeFamily(prober, 6),
    many: await probeMany(prober),
    nobody: await prober.probe([]),
    tooSmall: failure(() => prober.probe([{ destination: ROUTER[4], packetBytes: 35 }])),
    mixed: failure(() =>
      prober.probe([{ destination: ROUTER[4], source: SOURCE[6], packetBytes: 100 }]),
    ),
    tooMany: failure(() =>
      prober.probe(new Array(32_769).fill({ destination: ROUTER[4], packetBytes: 100 })),
    ),
  }
  const pending = prober.probe([{ destination: "10.97.0.77", packetBytes: 100 }])
  prober.close()
  prober.close()
  const closed = await pending.catch((error: LariatError) => error.message)
  const after = failure(() => prober.probe([{ destination: ROUTER[4], packetBytes: 100 }]))
  writeSync(1, `${JSON.stringify({ ...results, closed, after })}\n`)
  // A namespace takes its links along some time after it is deleted, and the next runtime makes e0.
  ip("link", "delete", "e0")
  for (const name of ["echo-r", "echo-f"]) ip("netns", "delete", name)
}

await main()
process.exit(0)
