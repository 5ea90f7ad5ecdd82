import { expect, test } from "bun:test"
import type { XtablesRule } from "../sys/xtables/rules.ts"
import { LegacyPass } from "./legacy_pass.ts"

const rule = (target: string, more: Partial<XtablesRule> = {}): XtablesRule => {
  return { target, isGoto: false, isForAll: true, comment: undefined, ...more }
}
const some = (target: string) => rule(target, { isForAll: false })

/** Tables in memory, and what was asked of the program. */
function tables(chains: Record<string, XtablesRule[]> | undefined, failure?: Error) {
  const asked: string[] = []
  return {
    asked,
    read: () => chains && new Map(Object.entries(chains)),
    run: async (family: 4 | 6, words: readonly string[]) => {
      if (failure !== undefined) throw failure
      asked.push(`${family} ${words.slice(0, 4).join(" ")}`)
      const [how, chain = "", , , , , , comment] = ["", ...words].slice(1)
      const own = rule("ACCEPT", { isForAll: false, comment })
      const there = chains?.[chain] ?? []
      if (chains === undefined) return
      chains[chain] =
        how === "-I" ? [own, ...there] : there.filter((one) => one.comment !== comment)
    },
  }
}

const SUBNET = "10.42.0.0/16"
const passes = ["4 -I FORWARD -s 10.42.0.0/16", "4 -I FORWARD -d 10.42.0.0/16"]

test("without a legacy table no program is asked", async () => {
  const none = tables(undefined)
  expect(await new LegacyPass(4, none).ensure([SUBNET])).toEqual([])
  expect(none.asked).toEqual([])
})

test("what is asked for once stands, goes with its subnet, and is of one address family", async () => {
  const shut = tables({ FORWARD: [rule("DROP")] })
  const pass = new LegacyPass(4, shut)
  expect(await pass.ensure([SUBNET, "fd00:42::/64"])).toEqual([
    "containers may pass chain FORWARD of the legacy iptables table filter, which drops what it does not know",
  ])
  expect(await pass.ensure([SUBNET])).toEqual([])
  expect(shut.asked).toEqual(passes)
  expect(await pass.ensure([])).toEqual([
    "what let containers pass chain FORWARD of the legacy iptables table filter was taken back",
  ])
  expect(shut.read()?.get("FORWARD")).toEqual([rule("DROP")])
})

test.each<[string, boolean, Record<string, XtablesRule[]>]>([
  ["a policy of DROP", true, { FORWARD: [some("ACCEPT"), rule("DROP")] }],
  ["a policy of ACCEPT", false, { FORWARD: [some("DROP"), some("REJECT"), rule("ACCEPT")] }],
  ["a last rule that rejects", true, { FORWARD: [rule("LOG"), rule("REJECT"), rule("ACCEPT")] }],
  ["a last rule that accepts", false, { FORWARD: [rule("ACCEPT"), rule("DROP")] }],
  [
    "a chain that rejects the rest",
    true,
    { FORWARD: [rule("own"), rule("ACCEPT")], own: [some("ACCEPT"), rule("REJECT")] },
  ],
  [
    "a chain that comes back",
    false,
    { FORWARD: [rule("own"), rule("ACCEPT")], own: [rule("RETURN"), rule("REJECT")] },
  ],
  [
    "a chain that does not come back here",
    true,
    {
      FORWARD: [rule("own", { isGoto: true }), rule("ACCEPT"), rule("DROP")],
      own: [rule("RETURN")],
    },
  ],
])("%s: shut is %p", async (_, isShut, chains) => {
  const there = tables(chains)
  await new LegacyPass(4, there).ensure([SUBNET])
  expect(there.asked).toEqual(isShut ? passes : [])
})

test("rules move to Docker's chain when that comes", async () => {
  const chains: Record<string, XtablesRule[]> = { FORWARD: [rule("DROP")] }
  const docker = tables(chains)
  const pass = new LegacyPass(6, docker)
  await pass.ensure(["fd00:42::/64"])
  chains["DOCKER-USER"] = [rule("RETURN")]
  await pass.ensure(["fd00:42::/64"])
  expect(chains["DOCKER-USER"]).toHaveLength(3)
  expect(chains.FORWARD).toEqual([rule("DROP")])
})

test("a comment of somebody else's is left alone", async () => {
  const comments = ["lariat: from here to there", "lariat: from -A", "lariat: over 10.1.0.0/16"]
  const others = tables({
    FORWARD: [...comments.map((comment) => ({ ...some("ACCEPT"), comment }))],
  })
  expect(await new LegacyPass(4, others).ensure([])).toEqual([])
})

test("a failure names the chain and what is left to be done", async () => {
  const failing = tables({ FORWARD: [rule("DROP")] }, new Error("no lock"))
  const failure = new LegacyPass(4, failing).ensure([SUBNET])
  await expect(failure).rejects.toThrow("pass chain FORWARD of the legacy iptables table filter")
  await expect(failure).rejects.toMatchObject({
    hint: "install iptables-legacy, or run: iptables-legacy -I FORWARD -s 10.42.0.0/16 -m comment --comment 'lariat: from 10.42.0.0/16' -j ACCEPT; iptables-legacy -I FORWARD -d 10.42.0.0/16 -m comment --comment 'lariat: to 10.42.0.0/16' -j ACCEPT",
  })
})
