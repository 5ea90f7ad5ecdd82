import { afterEach, beforeEach, expect, test } from "bun:test"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runLegacyIptables } from "./legacy_program.ts"

let directory = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "programs-"))
})
afterEach(() => rmSync(directory, { recursive: true }))

/** A program that says its version, and writes down all else that it is told. */
function program(name: string, version: string, end = ""): string {
  const path = join(directory, name)
  const log = `${path}.log`
  const lines = [`[ "$1" = -V ] && echo "${version}" && exit`, `printf '%s\\n' "$@" > ${log}`, end]
  writeFileSync(path, `#!/bin/sh\n${lines.join("\n")}\n`)
  chmodSync(path, 0o755)
  return log
}

const WORDS = ["-I", "FORWARD", "--comment", "$(touch x) 'y"]
const run = (family: 4 | 6 = 4) => runLegacyIptables(family, WORDS, ["/nowhere", directory])
const said = `-w\n${WORDS.join("\n")}\n`

test("the program for legacy tables comes first, and its words are no shell's", async () => {
  const other = program("iptables", "iptables v1.8.11 (legacy)")
  const legacy = program("iptables-legacy", "iptables v1.8.11 (legacy)")
  await run()
  expect(readFileSync(legacy, "utf8")).toBe(said)
  expect(existsSync(other)).toBe(false)
})

test.each(["ip6tables v1.8.11 (legacy)", "ip6tables v1.6.1"])(
  "%s is for legacy tables",
  async (v) => {
    const log = program("ip6tables", v)
    await run(6)
    expect(readFileSync(log, "utf8")).toBe(said)
  },
)

test("iptables of an nft back end is not, nor what cannot be executed", async () => {
  const log = program("iptables", "iptables v1.8.11 (nf_tables)")
  writeFileSync(join(directory, "iptables-legacy"), "")
  await expect(run()).rejects.toThrow("there is no iptables-legacy")
  expect(existsSync(log)).toBe(false)
})

test("what it says of its failure is told", async () => {
  program("iptables-legacy", "", "echo 'no chain by that name' >&2; exit 1")
  await expect(run()).rejects.toThrow("no chain by that name")
})
