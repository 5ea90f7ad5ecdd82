import { expect, test } from "bun:test"
import { type MessageWriter, parseMessages } from "../netlink/message.ts"
import * as n from "../netlink/nftables/constants.ts"
import { parseNft } from "../netlink/nftables/message.ts"
import { type Chain, type PlacedRule, parseRule, type TableRef } from "../netlink/nftables/table.ts"
import { type ForeignRules, ForwardPass } from "./forward_pass.ts"

/** Chains of others in memory; rules are put first, as the kernel does without NLM_F_APPEND. */
class Others implements ForeignRules {
  readonly chains = new Map<string, Chain>()
  readonly placed = new Map<string, PlacedRule[]>()
  commits = 0
  #handle = 100n

  chain({ family, table }: TableRef, name: string): Chain | undefined {
    return this.chains.get(`${family} ${table} ${name}`)
  }

  placedRules({ family, table }: TableRef): PlacedRule[] {
    return this.placed.get(`${family} ${table}`) ?? []
  }

  commit(messages: readonly MessageWriter[]): void {
    this.commits += 1
    for (const writer of messages) {
      const [message] = parseMessages(writer.finish(1, 0))
      if (message === undefined) continue
      const { family, attributes } = parseNft(message)
      const key = `${family} ${attributes.text(n.NFTA_RULE_TABLE)}`
      const before = this.placed.get(key) ?? []
      const handle = attributes.u64be(n.NFTA_RULE_HANDLE)
      const after =
        handle === undefined
          ? [{ ...parseRule(message), handle: this.#handle++ }, ...before]
          : before.filter((rule) => rule.handle !== handle)
      this.placed.set(key, after)
    }
  }

  close(): void {}

  comments(family: number, table: string): string[] {
    return this.placedRules({ family, table }).map(({ comment }) => comment ?? "")
  }
}

const IP = n.NFPROTO_IPV4
const shut = (name: string, policy = n.NF_DROP): Chain => ({
  name,
  base: { type: "filter", hook: n.NF_INET_FORWARD, priority: 0, policy },
})

test("a FORWARD at DROP lets our subnets pass, before what others have there", () => {
  const others = new Others()
  others.chains.set(`${IP} filter FORWARD`, shut("FORWARD"))
  others.placed.set(`${IP} filter`, [{ chain: "FORWARD", expressions: [], handle: 1n }])
  const pass = new ForwardPass(others)
  expect(pass.ensure(["10.42.0.0/16", "fd00:42::/64"])).toEqual([
    "containers may pass chain FORWARD of table ip filter, which drops what it does not know",
  ])
  expect(others.comments(IP, "filter").sort()).toEqual([
    "",
    "lariat: from 10.42.0.0/16",
    "lariat: to 10.42.0.0/16",
  ])
  expect(others.comments(IP, "filter").at(-1)).toBe("")
  expect(pass.ensure(["10.42.0.0/16"])).toEqual([])
  expect(others.commits).toBe(1)
  // A subnet that is gone, and one whose rule somebody took out.
  others.placed.set(
    `${IP} filter`,
    others
      .placedRules({ family: IP, table: "filter" })
      .filter((rule) => !/to/.test(rule.comment ?? "")),
  )
  pass.ensure(["10.42.0.0/16", "10.43.0.0/20"])
  expect(others.comments(IP, "filter")).toHaveLength(5)
  pass.ensure(["10.43.0.0/20"])
  expect(others.comments(IP, "filter").sort()).toEqual([
    "",
    "lariat: from 10.43.0.0/20",
    "lariat: to 10.43.0.0/20",
  ])
})

test("one that is open is left alone, and what stands there of us goes", () => {
  const others = new Others()
  others.chains.set(`${IP} filter FORWARD`, shut("FORWARD", n.NF_ACCEPT))
  const pass = new ForwardPass(others)
  expect(pass.ensure(["10.42.0.0/16"])).toEqual([])
  others.chains.set(`${IP} filter FORWARD`, shut("FORWARD"))
  pass.ensure(["10.42.0.0/16"])
  others.chains.set(`${IP} filter FORWARD`, shut("FORWARD", n.NF_ACCEPT))
  expect(pass.ensure(["10.42.0.0/16"])).toEqual([
    "what let containers pass chain FORWARD of table ip filter was taken back",
  ])
  expect(others.comments(IP, "filter")).toEqual([])
})

test("Docker's chain for its users comes before FORWARD; its nft back end has one of its own", () => {
  const others = new Others()
  others.chains.set(`${IP} filter FORWARD`, shut("FORWARD"))
  others.chains.set(`${IP} filter DOCKER-USER`, { name: "DOCKER-USER" })
  others.chains.set(`${IP} docker-bridges filter-FORWARD`, shut("filter-FORWARD", n.NF_ACCEPT))
  new ForwardPass(others).ensure(["10.42.0.0/16"])
  const chains = (table: string) =>
    others.placedRules({ family: IP, table }).map(({ chain }) => chain)
  expect(chains("filter")).toEqual(["DOCKER-USER", "DOCKER-USER"])
  expect(chains("docker-bridges")).toEqual(["filter-FORWARD", "filter-FORWARD"])
})
