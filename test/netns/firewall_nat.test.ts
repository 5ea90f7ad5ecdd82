/** Who is seen under which address: real packets through the firewall's table. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { Firewall } from "../../src/firewall/firewall.ts"
import type { FirewallState } from "../../src/firewall/state.ts"
import {
  FirewallLab,
  GROUP,
  hasBridgeNetfilter,
  nft,
  nftScript,
  PORT,
  peer,
  waitFor,
} from "./firewall_lab.ts"

/** docker0 has hostNat; on br1 container c has ipMasq and d has nothing. */
const STATE: FirewallState = {
  hostNat: [
    { subnet: "10.42.0.0/16", bridge: "docker0" },
    { subnet: "fd00:42::/64", bridge: "docker0" },
  ],
  overlay: ["10.42.0.0/16", "10.99.0.0/16", "fd00:42::/64", "fd00:99::/64"],
  masquerade: ["10.43.0.2/16", "fd00:43::2/64"],
}

const HOST = "192.0.2.1"
const HOST6 = "2001:db8::1"
const OUT = "192.0.2.2"
const OUT6 = "2001:db8::2"
const OVERLAY = "10.99.0.7"
const OVERLAY6 = "fd00:99::7"

let lab: FirewallLab
let firewall: Firewall

beforeAll(async () => {
  lab = await FirewallLab.build()
  firewall = Firewall.open()
  firewall.ensure(STATE)
})

afterAll(async () => {
  firewall?.close()
  await lab?.close()
})

describe("hostNat", () => {
  test.each(["udp", "tcp"] as const)("leaves the host under its address, %s", async (protocol) => {
    expect(await lab.source("a", protocol, OUT)).toBe(HOST)
    expect(await lab.source("a", protocol, OUT6)).toBe(HOST6)
  })

  test.each(["udp", "tcp"] as const)("gives %s a source port of 1024 or more", async (protocol) => {
    const { address, port } = await lab.seen("a", protocol, OUT, {
      source: "10.42.0.2",
      port: 999,
    })
    expect(address).toBe(HOST)
    expect(port).toBeGreaterThanOrEqual(1024)
  })

  test("covers ping", async () => {
    const before = await counted("hostNat")
    await lab.ping("a", OUT)
    await lab.ping("a", OUT6)
    expect(await counted("hostNat")).toBe(before + 2)
  })

  test("leaves what goes to the overlay alone", async () => {
    expect(await lab.source("a", "tcp", OVERLAY)).toBe("10.42.0.2")
    expect(await lab.source("a", "tcp", OVERLAY6)).toBe("fd00:42::2")
  })

  test("leaves what goes to the metadata address alone, but no other link-local one", async () => {
    expect(await lab.source("a", "tcp", "169.254.169.250")).toBe("10.42.0.2")
    expect(await lab.source("a", "tcp", "169.254.169.254")).toBe(HOST)
  })

  test("leaves what goes to the host alone, whichever of its addresses", async () => {
    for (const address of ["10.42.0.1", HOST]) {
      expect(await lab.source("a", "udp", address)).toBe("10.42.0.2")
    }
    expect(await lab.source("a", "tcp", HOST6)).toBe("fd00:42::2")
  })

  test("leaves what the host says to itself alone", async () => {
    expect(await lab.source("host", "tcp", "10.42.0.1", { source: "10.42.0.1" })).toBe("10.42.0.1")
    expect(await lab.source("host", "udp", HOST, { source: "10.42.0.1" })).toBe("10.42.0.1")
  })

  test("leaves multicast alone, and masquerades the same sender's unicast", async () => {
    const from = { source: "10.42.0.1", via: HOST }
    expect(await lab.source("host", "udp", GROUP, from)).toBe("10.42.0.1")
    expect(await lab.source("host", "udp", OUT, from)).toBe(HOST)
  })

  test("covers a network on another bridge that is no overlay", async () => {
    expect(await lab.source("a", "udp", "10.43.0.3")).toBe("10.43.0.1")
  })
})

describe("ipMasq", () => {
  test.each(["udp", "tcp"] as const)(
    "leaves the subnet under the host's address, %s",
    async (protocol) => {
      expect(await lab.source("c", protocol, OUT)).toBe(HOST)
      expect(await lab.source("c", protocol, OUT6)).toBe(HOST6)
    },
  )

  test("is of one container, not of its neighbour", async () => {
    expect(await lab.source("d", "udp", OUT)).toBe("10.43.0.3")
    expect(await lab.source("d", "udp", OUT6)).toBe("fd00:43::3")
  })

  test("comes and goes with one element", async () => {
    firewall.addMasquerade("10.43.0.3/16", "fd00:43::3/64")
    expect(await lab.source("d", "udp", OUT)).toBe(HOST)
    expect(await lab.source("d", "udp", OUT6)).toBe(HOST6)
    expect(await lab.source("d", "udp", "10.43.0.1")).toBe("10.43.0.3")
    firewall.removeMasquerade("10.43.0.3", "fd00:43::3")
    expect(await lab.source("d", "udp", OUT)).toBe("10.43.0.3")
    expect(await lab.source("d", "udp", OUT6)).toBe("fd00:43::3")
  })

  test("leaves overlay and metadata alone", async () => {
    expect(await lab.source("c", "tcp", OVERLAY)).toBe("10.43.0.2")
    expect(await lab.source("c", "udp", "10.42.0.3")).toBe("10.43.0.2")
    expect(await lab.source("c", "tcp", "169.254.169.250")).toBe("10.43.0.2")
  })
})

describe.each([false, true])("on one bridge, bridge-nf-call-iptables=%p", (on) => {
  const when = hasBridgeNetfilter ? test : test.skip

  beforeAll(async () => {
    if (!hasBridgeNetfilter) return
    // The overlay's prefixes would hide whether the bridge itself is exempt.
    firewall.ensure({ ...STATE, overlay: [] })
    lab.setBridgeNetfilter(on)
    await nftScript(`table inet witness {
      chain post {
        type filter hook postrouting priority 300
        meta nfproto ipv4 ip saddr { 10.42.0.2, 10.43.0.2 } counter comment "bridged4"
        ip6 saddr { fd00:42::2, fd00:43::2 } counter comment "bridged6"
      }
    }`)
  })

  afterAll(async () => {
    firewall.ensure(STATE)
    if (hasBridgeNetfilter) await nft("delete", "table", "inet", "witness")
  })

  when("hostNat containers see each other's own address", async () => {
    expect(await lab.source("a", "udp", "10.42.0.3")).toBe("10.42.0.2")
    expect(await lab.source("a", "tcp", "10.42.0.3")).toBe("10.42.0.2")
    expect(await lab.source("a", "udp", "fd00:42::3")).toBe("fd00:42::2")
  })

  when("ipMasq containers see each other's own address", async () => {
    expect(await lab.source("c", "udp", "10.43.0.3")).toBe("10.43.0.2")
    expect(await lab.source("c", "tcp", "10.43.0.3")).toBe("10.43.0.2")
    expect(await lab.source("c", "udp", "fd00:43::3")).toBe("fd00:43::2")
  })

  when("multicast keeps its source", async () => {
    expect(await lab.source("a", "udp", GROUP, { source: "10.42.0.2" })).toBe("10.42.0.2")
    expect(await lab.source("c", "udp", GROUP, { source: "10.43.0.2" })).toBe("10.43.0.2")
  })

  when("the outside is still reached under the host's address", async () => {
    expect(await lab.source("a", "udp", OUT)).toBe(HOST)
    expect(await lab.source("c", "tcp", OUT6)).toBe(HOST6)
  })

  // Else the tests above would say nothing about frames that go through the table.
  when("frames go through nftables just as the setting says", async () => {
    await nft("reset", "rules", "table", "inet", "witness").catch(() => "")
    const before = [await counted("bridged4"), await counted("bridged6")]
    await lab.source("c", "udp", "10.43.0.3")
    await lab.source("c", "udp", "fd00:43::3")
    const after = [await counted("bridged4"), await counted("bridged6")]
    expect(after.map((count, index) => count > (before[index] ?? 0))).toEqual([on, on])
  })
})

describe("while the table changes again and again", () => {
  test("no connection is ever without its rules", async () => {
    let changes = 0
    const changing = async (): Promise<void> => {
      while (changes < 200) {
        const overlay = [...STATE.overlay, `10.98.${changes}.0/24`]
        expect(firewall.ensure({ ...STATE, overlay })).toBe(true)
        changes++
        // Lets the asker's answers in.
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const asking = async (): Promise<string[]> => {
      const seen = new Set<string>()
      while (changes < 200) {
        for (const source of await lab.sourcesSeen("a", 200, OUT, "10.42.0.2")) seen.add(source)
      }
      return [...seen]
    }
    const [sources] = await Promise.all([asking(), changing()])
    expect(sources).toEqual([HOST])
    firewall.ensure(STATE)
  })

  test("a connection keeps its source and port", async () => {
    const argv = peer("hold", OUT, `${PORT}`, "10.42.0.2")
    const child = spawn("nsenter", ["--net=/run/netns/a", ...argv], { stdio: "pipe" })
    try {
      let text = ""
      child.stdout.setEncoding("utf8").on("data", (part: string) => {
        text += part
      })
      const answer = async (number: number): Promise<string> => {
        child.stdin.write("again\n")
        const lines = () => text.split("\n").filter((line) => line !== "")
        await waitFor("an answer", () => (lines().length >= number ? true : undefined))
        return lines()[number - 1] ?? ""
      }
      const first = await answer(1)
      expect(first).toStartWith(`${HOST} `)
      firewall.ensure({ ...STATE, overlay: [] })
      firewall.ensure(STATE)
      expect(await answer(2)).toBe(first)
    } finally {
      child.kill("SIGKILL")
    }
  })
})

/** Packets that the rule with this comment counted, in all tables. */
async function counted(comment: string): Promise<number> {
  const lines = (await nft("list", "ruleset")).split("\n")
  return lines
    .filter((line) => line.includes(`comment "${comment}"`))
    .reduce((sum, line) => sum + Number(/counter packets (\d+)/.exec(line)?.[1] ?? 0), 0)
}
