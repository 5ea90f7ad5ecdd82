import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { HostServers } from "./host_servers.ts"

const directory = mkdtempSync(join(tmpdir(), "servers-"))
afterAll(() => rmSync(directory, { recursive: true }))

/** The file's nameservers with a clock of their own, which each look moves on. */
function watched(name: string) {
  const path = join(directory, name)
  let now = 0
  const servers = new HostServers(path, () => now)
  const look = (afterMs = 1000) => {
    now += afterMs
    return servers.changed()?.servers.map(({ address }) => address)
  }
  return { path, servers, look }
}

test("nameservers are those of the file, told once", () => {
  const { path, servers, look } = watched("once")
  writeFileSync(path, "nameserver 192.0.2.1\nnameserver fd00::53\n")
  expect(look()).toEqual(["192.0.2.1", "fd00::53"])
  expect(look()).toBeUndefined()
  expect(servers.resolver.servers).toHaveLength(2)
})

test("a file that is written into, replaced, and removed is read anew", () => {
  const { path, look } = watched("changing")
  expect(look()).toBeUndefined()
  writeFileSync(path, "nameserver 192.0.2.1\n")
  expect(look()).toEqual(["192.0.2.1"])
  writeFileSync(path, "nameserver 192.0.2.22\n")
  expect(look()).toEqual(["192.0.2.22"])
  writeFileSync(`${path}.new`, "nameserver 192.0.2.33\n")
  renameSync(`${path}.new`, path)
  expect(look()).toEqual(["192.0.2.33"])
  unlinkSync(path)
  expect(look()).toEqual([])
})

test("what a link leads to counts", () => {
  const { path, look } = watched("link")
  const target = join(directory, "target")
  writeFileSync(target, "nameserver 192.0.2.1\n")
  symlinkSync(target, path)
  expect(look()).toEqual(["192.0.2.1"])
  writeFileSync(`${target}.new`, "nameserver 192.0.2.22\n")
  renameSync(`${target}.new`, target)
  expect(look()).toEqual(["192.0.2.22"])
})

test("another search domain is a change, and a remark is none", () => {
  const { path, servers, look } = watched("search")
  writeFileSync(path, "nameserver 192.0.2.1\n")
  expect(look()).toEqual(["192.0.2.1"])
  writeFileSync(path, "# a remark\nnameserver 192.0.2.1\n")
  expect(look()).toBeUndefined()
  writeFileSync(path, "search example.com\nnameserver 192.0.2.1\n")
  expect(look()).toEqual(["192.0.2.1"])
  expect(servers.resolver.search).toEqual(["example.com"])
})

test("the file is looked at once a second, however many ask", () => {
  const { path, look } = watched("often")
  writeFileSync(path, "nameserver 192.0.2.1\n")
  expect(look()).toEqual(["192.0.2.1"])
  writeFileSync(path, "nameserver 192.0.2.22\n")
  expect(look(999)).toBeUndefined()
  expect(look(1)).toEqual(["192.0.2.22"])
})

test("a folder in its place is no reason to fail", () => {
  const servers = new HostServers(directory, () => 0)
  expect(servers.changed()).toBeUndefined()
})
