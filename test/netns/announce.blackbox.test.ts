/** An address that moves to another MAC is known at once: gratuitous ARP, unsolicited NA. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { waitFor } from "../clients/program.ts"
import { capture } from "./capture.ts"
import { attached, removed } from "./container.ts"
import { askCni } from "./control_call.ts"
import { mustLink, neighbourOf } from "./kernel_view.ts"
import { inNetns, Lab, pings } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ configs: [dualStackYaml()] })
  // The first attach makes the bridge.
  await attached(lab, "maker", { conf: DUAL_CONF })
})
afterAll(() => lab.close())

const requested = (mac: string) => ({
  conf: { ...DUAL_CONF, runtimeConfig: { ips: ["10.52.3.3", "fd00:52::33"], mac } },
})

test("an attach sends a gratuitous ARP and an unsolicited neighbour advertisement", async () => {
  const call = requested("02:00:00:00:03:01")
  // Type 136 with the override flag (RFC 4861 section 4.4).
  const filter = "arp or (icmp6 and ip6[40]==136 and ip6[44]&0x20!=0)"
  const seen = await capture(
    { device: "edge0", filter },
    () => attached(lab, "told", call),
    (lines) =>
      lines.some((line) => line.includes("ethertype ARP")) &&
      lines.some((line) => line.includes("fd00:52::33")),
  )
  const arp = seen.filter((line) => line.includes("ethertype ARP") && line.includes("10.52.3.3"))
  expect(arp.length).toBeGreaterThan(0)
  for (const line of arp) {
    expect(line).toContain("02:00:00:00:03:01 > ff:ff:ff:ff:ff:ff")
    expect(line).toMatch(/10\.52\.3\.3 .*(tell 10\.52\.3\.3|is-at 02:00:00:00:03:01)|Announcement/)
  }
  const advertisements = seen.filter((line) => line.includes("tgt is fd00:52::33"))
  expect(advertisements.length).toBeGreaterThan(0)
  for (const line of advertisements) {
    expect(line).toContain("02:00:00:00:03:01 > 33:33:00:00:00:01")
    expect(line).toContain("> ff02::1: ICMP6, neighbor advertisement")
  }
  await removed(lab, "told", call)
})

test("is over when the caller has its answer: it makes the kernel forget whom the container asked for", async () => {
  await lab.netns("quick")
  const attachment = { id: "quick", netns: "/run/netns/quick", ifname: "eth0" }
  const { exit } = await askCni(lab.socket, "ADD", attachment, DUAL_CONF)
  // What the agent means to do later it does not do now.
  process.kill(lab.pid, "SIGSTOP")
  try {
    expect(exit).toBe(0)
    for (const setting of ["ipv4/conf/eth0/arp_notify", "ipv6/conf/eth0/ndisc_notify"]) {
      const { stdout } = await inNetns("quick", "cat", `/proc/sys/net/${setting}`)
      expect(stdout.trim()).toBe("1")
    }
  } finally {
    process.kill(lab.pid, "SIGCONT")
  }
  await removed(lab, "quick", { conf: DUAL_CONF })
})

describe("a neighbour that knew the old MAC", () => {
  test.each([
    ["10.52.3.3", "IPv4"],
    ["fd00:52::33", "IPv6"],
  ])("reaches %s (%s) at its new owner with its first packet", async (address) => {
    await attached(lab, "asker", { conf: DUAL_CONF })
    const before = requested("02:00:00:00:03:0a")
    await attached(lab, "first", before)
    expect(await pings("asker", address)).toBe(true)
    expect((await neighbourOf(address, "asker"))?.lladdr).toBe("02:00:00:00:03:0a")
    await removed(lab, "first", before)

    const after = requested("02:00:00:00:03:0b")
    await attached(lab, "second", after)
    expect((await mustLink("eth0", "second")).address).toBe("02:00:00:00:03:0b")
    const entry = await waitFor(
      "the neighbour to learn",
      async () => {
        const known = await neighbourOf(address, "asker")
        return known?.lladdr === "02:00:00:00:03:0b" ? known : undefined
      },
      2000,
    )
    expect(entry.state).not.toContain("FAILED")
    const ping = await inNetns("asker", "ping", "-c", "1", "-W", "1", address)
    expect(ping.status).toBe(0)
    await removed(lab, "second", after)
    await removed(lab, "asker", { conf: DUAL_CONF })
  })
})
