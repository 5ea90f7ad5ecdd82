/** `lariat demo` with what this kernel has: ESP with keys that change, and WireGuard. */
import { expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { networkInterfaces, tmpdir } from "node:os"
import { attempt } from "../clients/program.ts"
import { ip, requireTestNetns } from "../netns/guard.ts"
import { lariatCommand } from "../netns/lab.ts"

requireTestNetns()

/** An emulated machine is slow. */
const TIMEOUT_MS = 120_000

async function demo(...args: string[]): Promise<string> {
  const before = [readdirSync(tmpdir()), networkInterfaces()]
  const result = await attempt([...lariatCommand(), "demo", ...args], { timeoutMs: TIMEOUT_MS })
  expect(result).toMatchObject({ status: 0, stderr: "" })
  expect([readdirSync(tmpdir()), networkInterfaces()]).toEqual(before)
  expect(ip("xfrm", "state")).toBe("")
  expect(ip("xfrm", "policy")).toBe("")
  return result.stdout
}

test("two hosts by ipsec: only ESP on the cable, and no ping lost while keys change", async () => {
  const said = await demo("--hosts", "2")
  const [, esp] = /(\d+) ESP packets, none in clear: the letter cannot be read/.exec(said) ?? []
  // Six pings and their answers, and the letter; the agents' own probes come on top.
  expect(Number(esp)).toBeGreaterThanOrEqual(13)
  const spis = new Set(said.match(/SPI 0x[0-9a-f]{8}/g))
  expect(spis.size).toBeGreaterThanOrEqual(2)
  const [, answered, sent] = /(\d+) of (\d+) answered, none lost/.exec(said) ?? []
  expect(answered).toBe(sent)
  expect(Number(sent)).toBeGreaterThanOrEqual(100)
  expect(said).toContain("of the keys is in use everywhere")
  // What goes out changes to the new keys, of another SPI.
  expect(said).toMatch(/\d+ ESP packets meanwhile, none in clear; .*: SPI 0x\w+, then SPI 0x\w+/)
}, 130_000)

test("three hosts by wireguard: every pair reaches each other, and nothing is in clear", async () => {
  const said = await demo("--hosts", "3", "--driver", "wireguard")
  expect(said.match(/pings .* 6 of 6 answered/g)).toHaveLength(3)
  expect(said).toMatch(/\d+ WireGuard packets, none in clear/)
}, 130_000)
