import { describe, expect, test } from "bun:test"
import { MemoryRuleset } from "../../test/fixtures/firewall/memory_ruleset.ts"
import { interfaceName } from "../netlink/nftables/expression.ts"
import { elementKey } from "./element_key.ts"
import { Firewall } from "./firewall.ts"
import { Tunnels } from "./tunnels.ts"

const SUBNETS = ["10.42.0.0/16", "fd00:42::/48"]
const VXLAN = { subnets: SUBNETS, vxlan: { port: 4789, vni: 1042 } }
const ETH0 = interfaceName("eth0").toHex()
const PLAIN = { subnets: SUBNETS, plain: true }
const PEER = {
  hosts: ["192.0.2.2", "2001:db8::2"],
  sources: [
    { outer: "192.0.2.2", prefix: "10.42.2.0/24" },
    { outer: "192.0.2.2", prefix: "fd00:42:0:2::/64" },
    { outer: "2001:db8::2", prefix: "10.42.2.0/24" },
  ],
}

/** Tunnels and the table that follows them. */
function ready(kernel = new MemoryRuleset()) {
  const tunnels = new Tunnels()
  const firewall = new Firewall(kernel)
  firewall.ensure({ hostNat: [], overlay: [], masquerade: [], tunnels })
  const keys = (set: string): string[] =>
    [...(kernel.inet.members.get(set)?.keys() ?? [])].toSorted()
  return { kernel, tunnels, firewall, keys }
}

/** One network with one peer, all known. */
function whole(kernel = new MemoryRuleset()) {
  const made = ready(kernel)
  const { tunnels, firewall } = made
  tunnels.bridges(["docker0"])
  tunnels.encapsulate("n", VXLAN)
  tunnels.own("n", ["10.42.1.0/24"])
  tunnels.peer("n", "b", PEER)
  tunnels.complete("n")
  tunnels.settle()
  firewall.follow()
  return made
}

describe("the sets", () => {
  test("hold the peers' addresses with their blocks, in each pair of families", () => {
    const { keys, firewall } = whole()
    expect(keys("hosts4")).toEqual(["c0000202-"])
    expect(keys("peers44")).toEqual(["c00002020a2a0200-c00002020a2a02ff"])
    expect(keys("peers46")).toHaveLength(1)
    expect(keys("peers64")).toHaveLength(1)
    expect(keys("peers66")).toEqual([])
    // Port 4789, VNI 1042, each padded to four bytes.
    expect(keys("vnis")).toEqual(["12b5000000041200-"])
    expect(keys("tunnelports")).toEqual(["12b5-"])
    expect(keys("own4")).toEqual(["00000000-!", "0a2a0100-", "0a2a0200-!"])
    expect(keys("bridges")).toHaveLength(1)
    expect(firewall.matches()).toBe(true)
  })

  test("of a routed network hold links with the blocks behind them", () => {
    const { tunnels, firewall, keys } = ready()
    tunnels.encapsulate("n", PLAIN)
    tunnels.peer("n", "b", { hosts: [], sources: [{ link: "eth0", prefix: "10.42.2.0/24" }] })
    firewall.follow()
    expect(keys("routed4")).toEqual([`${ETH0}0a2a0200-${ETH0}0a2a02ff`])
    // Until all peers are known nobody is kept out.
    expect(keys("plain4")).toEqual([])
    tunnels.complete("n")
    firewall.follow()
    expect(keys("plain4")).toEqual(["00000000-!", "0a2a0000-", "0a2b0000-!"])
  })

  test("of tunnels with keys hold ports and protocols", () => {
    const { tunnels, firewall, keys } = ready()
    tunnels.encapsulate("n", {
      subnets: SUBNETS,
      authenticatedPorts: [4500],
      authenticatedProtocols: [50],
    })
    firewall.follow()
    expect([keys("authenticatedports"), keys("authenticatedprotocols")]).toEqual([
      ["1194-"],
      ["32-"],
    ])
    expect([keys("tunnelports"), keys("vnis")]).toEqual([[], []])
  })

  test("follow with one transaction of what changed", () => {
    const { kernel, tunnels, firewall, keys } = whole()
    const { commits, rebuilds } = kernel
    firewall.follow()
    expect(kernel.commits).toBe(commits)
    tunnels.peer("n", "b", { ...PEER, sources: [{ outer: "192.0.2.9", prefix: "10.42.2.0/24" }] })
    tunnels.peer("n", "c", { hosts: ["192.0.2.3"], sources: [] })
    firewall.follow()
    expect([kernel.commits, kernel.rebuilds]).toEqual([commits + 1, rebuilds])
    expect(keys("peers44")).toEqual(["c00002090a2a0200-c00002090a2a02ff"])
    expect(firewall.matches()).toBe(true)
    tunnels.encapsulate("n", undefined)
    firewall.follow()
    for (const set of ["hosts4", "peers44", "vnis", "tunnelports", "own4", "guarded4"]) {
      expect(keys(set)).toEqual([])
    }
  })
})

describe("after a restart", () => {
  test("what an earlier agent left holds until all is known", () => {
    const { kernel, keys } = whole()
    const sets = ["hosts4", "peers44", "vnis", "tunnelports", "own4", "guarded4", "bridges"]
    const before = sets.map(keys)
    const commits = kernel.commits
    const next = ready(kernel)
    expect(sets.map(keys)).toEqual(before)
    expect(kernel.commits).toBe(commits)
    // One that came meanwhile, while the other was not heard of yet.
    next.tunnels.encapsulate("n", VXLAN)
    next.tunnels.own("n", ["10.42.1.0/24"])
    next.tunnels.peer("n", "c", { hosts: ["192.0.2.3"], sources: [] })
    next.firewall.follow()
    expect(keys("hosts4")).toEqual(["c0000202-", "c0000203-"])
    expect(keys("peers44")).toEqual(before[1] ?? [])
    expect(next.firewall.matches()).toBe(true)
    next.tunnels.complete("n")
    next.tunnels.settle()
    next.firewall.follow()
    expect(keys("hosts4")).toEqual(["c0000203-"])
    expect(keys("peers44")).toEqual([])
    expect(keys("bridges")).toEqual([])
    expect(keys("guarded4")).toEqual(before[5] ?? [])
    expect(next.firewall.matches()).toBe(true)
  })

  test("a table that somebody flushed comes back with all of it", () => {
    const { kernel, firewall, tunnels, keys } = whole()
    const before = keys("peers44")
    kernel.flush()
    tunnels.peer("n", "c", { hosts: ["192.0.2.3"], sources: [] })
    firewall.follow()
    expect(keys("peers44")).toEqual(before)
    expect(keys("hosts4")).toEqual(["c0000202-", "c0000203-"])
    expect(firewall.matches()).toBe(true)
  })
})

test("sets whose elements did not change are the same lists", () => {
  const { tunnels } = whole()
  const first = tunnels.contents().get("peers44")
  expect(tunnels.contents().get("peers44")).toBe(first)
  expect(first?.map(elementKey)).toHaveLength(1)
})
