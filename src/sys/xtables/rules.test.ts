import { expect, test } from "bun:test"
import fixture from "../../../test/fixtures/xtables/filter.json"
import { LariatError } from "../../errors.ts"
import { IP6T_LAYOUT, IPT_LAYOUT, parseXtables } from "./rules.ts"

/**
 * Tables `filter` of Linux 6.18, made by iptables-legacy 1.8.11 and ip6tables-legacy:
 *
 *     -P FORWARD DROP
 *     -N other
 *     -A FORWARD -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT
 *     -A FORWARD -m comment --comment "hello there" -g other
 *     -A other -j REJECT
 */
const recorded = [
  ["IPv4", fixture[4], IPT_LAYOUT],
  ["IPv6", fixture[6], IP6T_LAYOUT],
] as const

const rule = (target: string, more = {}) => {
  return { target, isGoto: false, isForAll: true, comment: undefined, ...more }
}

test.each(recorded)("the kernel's rules of %s are read", (_, { hooks, bytes }, layout) => {
  const chains = parseXtables(Buffer.from(bytes, "base64"), layout, new Map(Object.entries(hooks)))
  expect(Object.fromEntries(chains)).toEqual({
    INPUT: [rule("ACCEPT")],
    FORWARD: [
      rule("ACCEPT", { isForAll: false }),
      rule("other", { isGoto: true, comment: "hello there" }),
      rule("DROP"),
    ],
    OUTPUT: [rule("ACCEPT")],
    other: [rule("REJECT"), rule("RETURN")],
  })
})

test.each(recorded)(
  "bytes of %s that are cut or changed are refused, or read as rules",
  (...args) => {
    const [, { hooks, bytes }, layout] = args
    const whole = new Uint8Array(Buffer.from(bytes, "base64"))
    const parse = (some: Uint8Array) => {
      try {
        return parseXtables(some, layout, new Map(Object.entries(hooks))).size
      } catch (error) {
        if (!(error instanceof LariatError) || error.code !== "decode") throw error
        return "refused"
      }
    }
    expect(parse(whole.subarray(0, -1))).toBe("refused")
    for (let at = 0; at < whole.length; at++) {
      parse(whole.subarray(0, at))
      for (const value of [0, 1, 0xff]) parse(whole.with(at, value))
    }
  },
)
