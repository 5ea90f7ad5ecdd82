/** What containers send that looks like a tunnel's with keys: ESP, and UDP to ports of hosts. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { Firewall } from "../../src/firewall/firewall.ts"
import { Tunnels } from "../../src/firewall/tunnels.ts"
import { FrameTap } from "../../src/sys/net/frame_tap.ts"
import { FirewallLab, hasBridgeNetfilter, waitFor } from "./firewall_lab.ts"
import { frame, PROTOCOLS, packet, sendFrom, udp } from "./frames.ts"
import { pings } from "./lab.ts"

const BRIDGE_MAC = "02:00:00:00:00:01"
const OWN_MAC = "02:00:00:00:0a:0a"
const MARK = new TextEncoder().encode("no letter of a driver's")
/** ESP in UDP, and WireGuard's. */
const PORTS = [4500, 51_820]

let lab: FirewallLab
let firewall: Firewall
beforeAll(async () => {
  lab = await FirewallLab.build()
  // Nobody looks for neighbours after that.
  for (const address of ["10.99.0.7", "fd00:99::7"]) {
    await waitFor("an answer", async () => ((await pings("a", address)) ? true : undefined))
  }
  firewall = Firewall.open()
})
afterAll(async () => {
  firewall.close()
  await lab.close()
})

/** The table where the network is carried so, and the outside is another host. */
function encapsulated(
  authenticatedPorts: readonly number[],
  authenticatedProtocols: readonly number[],
): void {
  firewall.remove()
  const tunnels = new Tunnels()
  tunnels.bridges(["docker0", "br1"])
  const subnets = ["10.42.0.0/16", "fd00:42::/64"]
  tunnels.encapsulate("n", { subnets, authenticatedPorts, authenticatedProtocols })
  tunnels.peer("n", "other", { hosts: ["192.0.2.2", "2001:db8::2"], sources: [] })
  tunnels.settle()
  firewall.ensure({ hostNat: [], overlay: [], masquerade: [], tunnels })
}

/** Whether a frame is what was sent; who does not listen quotes it, in ICMP. */
function isSent(bytes: Uint8Array): boolean {
  const protocol = bytes[12] === 0x08 ? bytes[23] : bytes[20]
  if (protocol === PROTOCOLS.icmp || protocol === PROTOCOLS.icmp6) return false
  const text = new TextDecoder("latin1")
  return text.decode(bytes).includes(text.decode(MARK))
}

/** How many of these packets of container a leave the host for the outside. */
async function leave(packets: readonly Uint8Array[]): Promise<number> {
  const tap = FrameTap.open("up0")
  try {
    for (const one of packets) sendFrom("a", "eth0", frame(BRIDGE_MAC, OWN_MAC, one))
    await Bun.sleep(200)
    return tap.read().filter(isSent).length
  } finally {
    tap.close()
  }
}

/** From a, and in the name of the other host. */
function all(to4: string, to6: string): Uint8Array[] {
  const sources = [
    ["10.42.0.2", to4],
    ["192.0.2.2", to4],
    ["fd00:42::2", to6],
    ["2001:db8::2", to6],
  ] as const
  return sources.flatMap(([from, to]) => [
    packet(from, to, PROTOCOLS.esp, MARK),
    ...PORTS.map((port) => udp(from, to, port, MARK)),
  ])
}

describe.each(hasBridgeNetfilter ? [false, true] : [false])("bridge netfilter %p", (isOn) => {
  beforeEach(() => {
    if (hasBridgeNetfilter) lab.setBridgeNetfilter(isOn)
  })

  test("does not reach another host, where a driver uses it, and anybody else it does", async () => {
    encapsulated(PORTS, [PROTOCOLS.esp])
    expect(await leave(all("192.0.2.2", "2001:db8::2"))).toBe(0)
    expect(firewall.dropped().tunnelsOfContainers).toBe(12)
    // What is a container's own business.
    expect(await leave(all("10.99.0.7", "fd00:99::7"))).toBe(12)
    expect(firewall.dropped().tunnelsOfContainers).toBe(12)
  })

  test("does not reach this host", async () => {
    encapsulated(PORTS, [PROTOCOLS.esp])
    await leave([...all("192.0.2.1", "2001:db8::1"), ...all("10.42.0.1", "fd00:42::1")])
    expect(firewall.dropped().tunnelsOfContainers).toBe(24)
  })

  test("is a container's own business where no driver uses it", async () => {
    encapsulated([], [])
    expect(await leave(all("192.0.2.2", "2001:db8::2"))).toBe(12)
    expect(firewall.dropped().tunnelsOfContainers).toBe(0)
  })

  test("containers of this host tunnel among each other as they like", async () => {
    encapsulated(PORTS, [PROTOCOLS.esp])
    expect(await lab.source("a", "udp", "10.43.0.3")).toBe("10.42.0.2")
    for (const one of all("10.42.0.3", "fd00:42::3")) {
      sendFrom("a", "eth0", frame("ff:ff:ff:ff:ff:ff", OWN_MAC, one))
    }
    await Bun.sleep(200)
    expect(firewall.dropped().tunnelsOfContainers).toBe(0)
  })
})
