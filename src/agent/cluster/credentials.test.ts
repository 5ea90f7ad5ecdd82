import { afterAll, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { clusterKey, ownIdentity } from "./credentials.ts"

const directory = mkdtempSync(join(tmpdir(), "lariat-credentials-"))
afterAll(() => rmSync(directory, { recursive: true }))

const random = (length: number) => Uint8Array.from(randomBytes(length))

test("a host's identity is made once, for its owner's eyes alone", () => {
  const path = join(directory, "identity.key")
  const first = ownIdentity(path, random)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(ownIdentity(path, random).publicKey).toBe(first.publicKey)
})

test("an identity that others may read is refused, not made anew", () => {
  const path = join(directory, "open.key")
  ownIdentity(path, random)
  chmodSync(path, 0o644)
  expect(() => ownIdentity(path, random)).toThrow("others may read or change it")
})

test("without a file there is no key; a file that is not there is said", () => {
  expect(clusterKey(undefined, "default")).toBeUndefined()
  expect(() => clusterKey(join(directory, "none"), "default")).toThrow("there is no file")
})

test("a key is of its cluster, and never shown", () => {
  const path = join(directory, "psk")
  const text = randomBytes(48).toString("base64")
  writeFileSync(path, `${text}\n`, { mode: 0o600 })
  const [one, other] = [clusterKey(path, "one"), clusterKey(path, "other")]
  expect(one?.mac("x")).not.toEqual(other?.mac("x"))
  expect(JSON.stringify({ one })).not.toContain(text)
  writeFileSync(path, "short", { mode: 0o600 })
  expect(() => clusterKey(path, "one")).toThrow("it has 5 bytes")
})
