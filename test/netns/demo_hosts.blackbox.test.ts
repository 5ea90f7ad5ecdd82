/** `lariat demo` between hosts, with what this machine's kernel has. */
import { expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { espSupported } from "../../src/drivers/ipsec/probe.ts"
import { attempt, type ProgramResult, waitFor } from "../clients/program.ts"
import { requireTestNetns } from "./guard.ts"
import { lariatCommand, SEED } from "./lab.ts"

requireTestNetns()

const TIMEOUT_MS = 90_000

/** What a demo must leave as it was; processes are those that the runner's namespace can see. */
function surroundings() {
  const agents = readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("lariat-demo-")
    } catch {
      return false
    }
  })
  return [readdirSync(tmpdir()), readdirSync("/run/netns"), networkInterfaces(), agents]
}

async function demo(...args: string[]): Promise<ProgramResult> {
  const before = surroundings()
  const result = await attempt([...lariatCommand(), "demo", ...args], { timeoutMs: TIMEOUT_MS })
  expect(surroundings()).toEqual(before)
  return result
}

test(
  "two hosts by vxlan: shown as it is, unencrypted",
  async () => {
    const result = await demo("--hosts", "2", "--driver", "vxlan")
    expect(result).toMatchObject({ status: 0, stderr: "" })
    const said = result.stdout
    expect(said).toContain("! vxlan does not encrypt")
    expect(said).toMatch(/host2 +203\.0\.113\.12 +yes +ipsec \(vxlan\) +up/)
    expect(said.match(/10\.42\.\d+\.0\/24 +host[12]/g)).toHaveLength(2)
    expect(said).toMatch(/web \(host1\) pings db \(host2\) at 10\.42\.\d+\.\d+: 6 of 6 answered/)
    expect(said).toContain('db (host2), which reads: "the key is under the mat"')
    expect(said).toMatch(/VXLAN 1042: \S+ → \S+ UDP, "the key is under the mat" +1\n/)
    const [, packets] = /(\d+) VXLAN packets, all in clear: the letter can be read/.exec(said) ?? []
    expect(Number(packets)).toBeGreaterThanOrEqual(13)
    expect(said).toContain("vxlan has no keys to change")
    expect(said).not.toContain("ESP")
  },
  TIMEOUT_MS,
)

test(
  "four hosts of a file that says how: a ping for each pair",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "own-"))
    try {
      const file = join(directory, "mine.yml")
      writeFileSync(
        file,
        readFileSync(SEED, "utf8").replace("name: Rancher IPsec", "driver: routed"),
      )
      const result = await demo("--hosts", "4", "--config", file)
      expect(result).toMatchObject({ status: 0, stderr: "" })
      expect(result.stdout.match(/pings .* 6 of 6 answered/g)).toHaveLength(6)
      expect(result.stdout).toMatch(/\d+ plain IP packets, all in clear/)
    } finally {
      rmSync(directory, { recursive: true })
    }
  },
  TIMEOUT_MS,
)

test.skipIf(espSupported("aes256gcm16"))(
  "ipsec is refused before anything is made, with what is missing and what else there is",
  async () => {
    for (const args of [
      ["--hosts", "2"],
      ["--driver", "ipsec"],
      ["--hosts", "2", "--driver", "ipsec"],
    ]) {
      const result = await demo(...args)
      expect(result).toMatchObject({ status: 1, stdout: "" })
      expect(result.stderr).toContain("Cannot show ipsec between hosts: this kernel has no ESP")
      expect(result.stderr).toContain("without encryption: lariat demo --hosts 2 --driver vxlan")
    }
  },
  TIMEOUT_MS,
)

test.each([
  [["--hosts", "5"], "a number from 1 to 4"],
  [["--hosts", "two"], "a number from 1 to 4"],
  [["--driver", "geneve"], "Allowed choices"],
  [["--hosts", "1", "--driver", "vxlan"], "say --hosts 2"],
] as const)("%p is wrong usage", async (args, said) => {
  const result = await demo(...args)
  expect(result.status).toBe(2)
  expect(result.stderr).toContain(said)
})

test(
  "interrupted on the way, it takes everything down",
  async () => {
    const before = surroundings()
    const [program = "", ...rest] = [
      ...lariatCommand(),
      "demo",
      "--hosts",
      "2",
      "--driver",
      "vxlan",
    ]
    const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"] })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (text) => {
      stdout += text
    })
    child.stderr.on("data", (text) => {
      stderr += text
    })
    const ended = new Promise<number | null>((resolve) => child.on("exit", resolve))
    await waitFor("a container", () => stdout.includes("web on host1") || undefined, 30_000)
    child.kill("SIGINT")
    expect(await ended).toBe(1)
    expect(stderr).toContain("SIGINT came")
    expect(stdout).not.toContain("detached")
    expect(surroundings()).toEqual(before)
  },
  TIMEOUT_MS,
)
