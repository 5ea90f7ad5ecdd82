import { expect, test } from "bun:test"
import { KnownHost } from "./known_host.ts"

test("a host holds the addresses of its blocks, for as long as it has them", () => {
  const host = new KnownHost("h1", 1, 0)
  expect(host.holds("n", "10.42.3.7")).toBe(false)
  host.addBlock("n", "10.42.3.0/24")
  host.addBlock("n", "10.42.2.0/24")
  host.addBlock("n", "fd00:42::/112")
  host.addBlock("other", "10.43.3.0/24")
  expect(host.blocksOf("n")).toEqual(["10.42.2.0/24", "10.42.3.0/24", "fd00:42::/112"])
  for (const address of ["10.42.3.7", "10.42.2.255", "fd00:42::ffff"]) {
    expect(host.holds("n", address)).toBe(true)
  }
  for (const address of ["10.42.4.0", "10.43.3.7", "fd00:42::1:0"]) {
    expect(host.holds("n", address)).toBe(false)
  }
  host.deleteBlock("n", "10.42.3.0/24")
  expect(host.holds("n", "10.42.3.7")).toBe(false)
  expect(host.holds("n", "10.42.2.7")).toBe(true)
  host.deleteBlock("other", "10.43.3.0/24")
  expect([...host.blocks.keys()]).toEqual(["n"])
})
