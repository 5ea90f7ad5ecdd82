import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { Keyspace } from "./keyspace.ts"

const keys = new Keyspace("edge")

describe("what is written is read", () => {
  test.each([
    [keys.identity("h1"), { kind: "identity", hostId: "h1" }],
    [keys.host("h1"), { kind: "host", hostId: "h1" }],
    [keys.alive("h1"), { kind: "alive", hostId: "h1" }],
    [keys.keys("h1"), { kind: "keys", hostId: "h1" }],
    [keys.ack("h1"), { kind: "ack", hostId: "h1" }],
    [keys.number(7), { kind: "number", number: 7 }],
    [
      keys.block("ipsec", "10.42.0.0/24"),
      { kind: "block", network: "ipsec", block: "10.42.0.0/24" },
    ],
    [keys.block("a/b", "fd00::/112"), { kind: "block", network: "a/b", block: "fd00::/112" }],
    [keys.endpoint("n 1", "fd00::1"), { kind: "endpoint", network: "n 1", address: "fd00::1" }],
  ] as const)("%s", (key, parsed) => {
    expect(key).toStartWith("/lariat/edge/")
    expect(keys.parse(key)).toEqual(parsed)
  })
})

test("what nobody of us wrote is nothing", () => {
  for (const tail of [
    "",
    "hosts",
    "hosts/",
    "hosts/a/b",
    "numbers/0",
    "numbers/x",
    "blocks/n/",
    "blocks//10.0.0.0_24",
    "blocks/n/10.0.0.0",
    "blocks/n/10.0.0.0_24 x",
    "blocks/%6e/10.0.0.0_24",
    "endpoints/n%2f/10.0.0.1",
    "endpoints/n/a b",
    "dance/x",
    "toString/x",
    "blocks/%zz/x",
    "networks/0",
  ]) {
    expect(keys.parse(`${keys.prefix}${tail}`)).toBeUndefined()
  }
  expect(keys.parse("/lariat/other/hosts/h1")).toBeUndefined()
  fc.assert(fc.property(fc.string(), (text) => void keys.parse(`${keys.prefix}${text}`)))
})
