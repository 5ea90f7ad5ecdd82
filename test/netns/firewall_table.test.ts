/** The firewall's table in a real kernel: made, found, mended, read by people, left to others. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { Firewall } from "../../src/firewall/firewall.ts"
import type { FirewallState } from "../../src/firewall/state.ts"
import { NetlinkError } from "../../src/netlink/error.ts"
import { newElements } from "../../src/netlink/nftables/element.ts"
import { NfTables } from "../../src/netlink/nftables/socket.ts"
import { newTable } from "../../src/netlink/nftables/table.ts"
import { attempt } from "../clients/program.ts"
import { nft, nftScript } from "./firewall_lab.ts"
import { LISTING, STATE } from "./firewall_listing.ts"

const OTHERS = `table inet others {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 22 accept comment "theirs"
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.17.0.0/16 masquerade
	}
}
`

/** Ways in which others break the table, in the words of nft. */
const DAMAGE: readonly (readonly [string, string])[] = [
  ["flush ruleset", "table inet lariat is missing"],
  ["delete table inet lariat", "table inet lariat is missing"],
  ["flush chain inet lariat postrouting", "chain postrouting has other rules"],
  ["flush table inet lariat", "chain translate has other rules"],
  ["insert rule inet lariat postrouting accept", "chain postrouting has other rules"],
  ["add rule inet lariat translate meta mark set 7", "chain translate has other rules"],
  ["flush set inet lariat masquerade4", "set masquerade4 lacks 1 of 1 elements"],
  ["add element inet lariat masquerade4 { 10.9.9.9 }", "set masquerade4 has 1 elements too many"],
  ["delete element inet lariat hostnat6 { fd00:42::/64 }", "set hostnat6 lacks"],
  ["add table inet lariat { flags dormant; }", "table inet lariat is switched off"],
  ["flush chain inet lariat forward; delete chain inet lariat forward", "chain forward is missing"],
  ["flush chain inet lariat clamp; delete set inet lariat clamplinks", "set clamplinks is missing"],
  ["flush set inet lariat peers44", "set peers44 lacks 1 of 1 elements"],
  ["flush chain inet lariat unwrap", "chain unwrap has other rules"],
  ["flush chain inet lariat queries", "chain queries has other rules"],
  ["add chain inet lariat alien; add rule inet lariat alien drop", "chain alien is not ours"],
]

/** Versions of nft break lines at different widths. */
const words = (text: string): string => text.replace(/\s+/g, " ").trim()

async function listing(): Promise<string> {
  return words(await nft("--stateless", "list", "table", "inet", "lariat"))
}

let firewall: Firewall
let ruleset: NfTables

beforeEach(async () => {
  if (process.env.LARIAT_TEST_NETNS !== "1") {
    throw new Error("Cannot run here: use node test/run.mjs test --only netns/firewall")
  }
  await nft("flush", "ruleset")
  await nftScript(OTHERS)
  firewall = Firewall.open()
  ruleset = NfTables.open()
})

afterEach(() => {
  firewall.close()
  ruleset.close()
})

describe("ensure", () => {
  test("makes a table that people can read", async () => {
    expect(firewall.ensure(STATE)).toBe(true)
    expect(await listing()).toBe(words(LISTING))
  })

  test("makes a table that nft reads as it lists it", async () => {
    firewall.ensure(STATE)
    const table = ["table", "inet", "lariat"]
    const saved = await nft("list", ...table)
    await nft("delete", ...table)
    await nftScript(saved)
    expect(await nft("list", ...table)).toBe(saved)
    expect(firewall.differences()).toEqual([])
  })

  test("is one transaction, and a second one changes nothing", () => {
    const before = ruleset.generation()
    firewall.ensure(STATE)
    expect(ruleset.generation()).toBe(before + 1)
    expect(firewall.ensure(STATE)).toBe(false)
    expect(firewall.matches()).toBe(true)
    expect(ruleset.generation()).toBe(before + 1)
  })

  test("finds the table of an agent before it right", () => {
    firewall.ensure(STATE)
    const before = ruleset.generation()
    const next = Firewall.open()
    expect(next.ensure(STATE)).toBe(false)
    expect(ruleset.generation()).toBe(before)
    next.close()
  })

  test("leaves the tables of others as they are", async () => {
    const before = await nft("list", "ruleset")
    firewall.ensure(STATE)
    firewall.ensure({ ...STATE, overlay: [] })
    firewall.addMasquerade("10.43.0.3/16")
    firewall.remove()
    expect(await nft("list", "ruleset")).toBe(before)
    expect(before).toContain('comment "theirs"')
  })

  test("changes elements in place, whichever intervals they join or part", async () => {
    const overlays = [
      ["10.42.0.0/17"],
      ["10.42.0.0/16"],
      ["10.42.128.0/17"],
      ["10.42.0.0/16", "10.43.0.0/16"],
      ["10.42.0.0/16", "10.44.0.0/16"],
      ["10.0.0.0/8"],
      ["0.0.0.0/0"],
      ["10.42.4.0/24", "10.42.6.0/24", "128.0.0.0/1"],
      [],
    ]
    firewall.ensure(STATE)
    const handle = async () =>
      /table inet lariat \{ # handle \d+/.exec(await nft("-a", "list", "ruleset"))
    const before = await handle()
    for (const overlay of overlays) {
      const hostNat = overlay.map((subnet) => ({ subnet, bridge: "br0" }))
      const state = { hostNat, overlay, masquerade: overlay }
      firewall.ensure(state)
      const next = Firewall.open()
      expect(next.ensure(state)).toBe(false)
      next.close()
    }
    expect(await handle()).toEqual(before)
  })

  test("holds thousands of addresses", () => {
    const masquerade = Array.from({ length: 5000 }, (_, i) => `10.43.${i >> 8}.${i & 0xff}/16`)
    firewall.ensure({ ...STATE, masquerade })
    const next = Firewall.open()
    expect(next.ensure({ ...STATE, masquerade })).toBe(false)
    next.close()
  })

  test("holds subnets that touch, overlap and reach the ends of the address space", () => {
    const state: FirewallState = {
      hostNat: [
        { subnet: "10.42.0.0/17", bridge: "br0" },
        { subnet: "10.42.128.0/17", bridge: "br0" },
        { subnet: "10.42.0.0/16", bridge: "br1" },
        { subnet: "10.42.7.0/24", bridge: "br0" },
        { subnet: "::/0", bridge: "br2" },
      ],
      overlay: ["0.0.0.0/1", "128.0.0.0/1", "ff00::/8", "::/128"],
      masquerade: ["10.42.0.2/16", "10.42.7.2/24", "10.0.0.1/8", "192.0.2.1", "255.255.255.255/1"],
    }
    firewall.ensure(state)
    firewall.removeMasquerade("10.0.0.1", "255.255.255.255")
    firewall.addMasquerade("10.42.7.3/24")
    const left = ["10.42.0.2/16", "10.42.7.2/24", "192.0.2.1", "10.42.7.3/24"]
    const next = Firewall.open()
    expect(next.ensure({ ...state, masquerade: left })).toBe(false)
    next.close()
  })
})

describe("what others do", () => {
  test.each(DAMAGE)("%s is noticed and mended", async (command, difference) => {
    firewall.ensure(STATE)
    await nftScript(command)
    expect(firewall.matches()).toBe(false)
    expect(firewall.differences().join("; ")).toContain(difference)
    expect(firewall.ensure(STATE)).toBe(true)
    expect(firewall.matches()).toBe(true)
    expect(await listing()).toBe(words(LISTING))
  })

  test("to their own tables is no difference", async () => {
    firewall.ensure(STATE)
    await nftScript("flush table inet others")
    expect(firewall.matches()).toBe(true)
    expect(firewall.ensure(STATE)).toBe(false)
  })

  test("is mended by the next attach as well", async () => {
    firewall.ensure(STATE)
    await nft("flush", "ruleset")
    firewall.addMasquerade("10.43.0.9/16")
    expect(firewall.matches()).toBe(true)
    expect(await nft("list", "set", "inet", "lariat", "masquerade4")).toContain("10.43.0.9")
  })
})

describe("one address", () => {
  test("is one transaction that touches no rule", async () => {
    firewall.ensure(STATE)
    const before = ruleset.generation()
    const rules = await nft("--handle", "list", "chain", "inet", "lariat", "postrouting")
    firewall.addMasquerade("10.43.0.9/16")
    expect(ruleset.generation()).toBe(before + 1)
    firewall.addMasquerade("10.43.0.9/16")
    expect(ruleset.generation()).toBe(before + 1)
    firewall.removeMasquerade("10.43.0.9")
    firewall.removeMasquerade("10.43.0.9")
    expect(ruleset.generation()).toBe(before + 2)
    expect(await nft("--handle", "list", "chain", "inet", "lariat", "postrouting")).toBe(rules)
    expect(await listing()).toBe(words(LISTING))
  })
})

describe("a transaction", () => {
  const ref = { family: 1, table: "lariat" }

  test("does nothing of what it holds when one message is refused, and says which", () => {
    firewall.ensure(STATE)
    const before = ruleset.generation()
    const good = newElements(ref, "masquerade4", [{ key: Uint8Array.of(10, 1, 1, 1) }])
    const bad = newElements(ref, "no_such_set", [{ key: Uint8Array.of(10, 1, 1, 1) }])
    const commit = () => ruleset.commit([...good, ...bad])
    expect(commit).toThrow(NetlinkError)
    expect(commit).toThrow("Cannot add elements to set no_such_set of table inet lariat")
    expect(ruleset.generation()).toBe(before)
    expect(firewall.matches()).toBe(true)
  })

  test("for a generation that has passed is refused as a whole", () => {
    const generation = ruleset.generation()
    const messages = [newTable({ ...ref, table: "late", flags: 0 })]
    ruleset.commit(messages, { generation })
    expect(() => ruleset.commit(messages, { generation })).toThrow("ERESTART")
  })
})

test("a process without CAP_NET_ADMIN is told what it needs", async () => {
  const module = new URL("../../src/firewall/firewall.ts", import.meta.url).pathname
  const code = `const { Firewall } = await import(${JSON.stringify(module)})
    try { Firewall.open() } catch (error) { console.log(error.code, error.hint) }`
  const drop = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"]
  const { stdout } = await attempt([...drop, process.execPath, "-e", code])
  expect(stdout).toStartWith("permission Run as root or with CAP_NET_ADMIN")
})
