/** The virtual machine of test/vm: what it gives a command, and that no way of failing looks good. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const VMRUN = join(import.meta.dirname, "vm/vmrun.sh")
/** Longer than three machines may take that are waited for. */
const TIMEOUT_MS = 100_000

let scratch = ""
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "lariat-vmrun-"))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

function vm(options: readonly string[], script: string) {
  const argv = [...options, "--", "bash", "-c", script]
  return spawnSync(VMRUN, argv, { cwd: scratch, encoding: "utf8", timeout: TIMEOUT_MS })
}

// The runner prepares it where this machine's own kernel has no ESP.
const home = process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? "", ".cache")
const cache = process.env.LARIAT_VM_CACHE ?? join(home, "lariat-vm")
const prepared =
  Bun.which("qemu-system-x86_64") !== null &&
  spawnSync(join(import.meta.dirname, "vm/prepare_vm.sh"), ["--check", cache]).status === 0

describe.skipIf(!prepared)("vmrun.sh", () => {
  test("runs a command as root on another kernel, writing to the current directory alone", () => {
    writeFileSync(join(scratch, "given"), "given")
    const elsewhere = `/var/tmp/lariat-vmrun-${process.pid}`
    const script = `
      id -u; cat given; echo written > made; touch ${elsewhere}; ls ${elsewhere}
      ip -brief link | cut -d ' ' -f 1; echo "$LARIAT_VM_TEST" >&2
      ip link add type xfrm if_id 1 && ip link add type wireguard && echo kinds; exit 7`
    const env = { ...process.env, LARIAT_VM_TEST: "handed over" }
    const argv = ["--env", "LARIAT_VM_TEST", "--", "bash", "-c", script]
    const options = { cwd: scratch, encoding: "utf8", timeout: TIMEOUT_MS, env } as const
    expect(spawnSync(VMRUN, argv, options)).toMatchObject({
      status: 7,
      stdout: `0\ngiven${elsewhere}\nlo\nkinds\n`,
      stderr: "handed over\n",
    })
    expect(readFileSync(join(scratch, "made"), "utf8")).toBe("written\n")
    expect(existsSync(elsewhere)).toBe(false)
  })

  test("a command that takes too long is ended with its machine", () => {
    const result = vm(["--timeout", "12"], "echo begun; sleep 600")
    expect(result.stdout).toBe("begun\n")
    expect(result).toMatchObject({ status: 124 })
    expect(result.stderr).toContain("ended after 12 s")
  })

  test("a kernel that panics is a failure that shows its last words", () => {
    const result = vm(["--timeout", "60"], "echo c > /proc/sysrq-trigger; sleep 60")
    expect(result.status).toBe(125)
    expect(result.stderr).toContain("Kernel panic")
  })
})

test("vmrun.sh refuses a command line that it does not know", () => {
  const result = spawnSync(VMRUN, ["--what"], { encoding: "utf8", timeout: TIMEOUT_MS })
  expect(result).toMatchObject({ status: 125, stderr: "vmrun: unknown option --what\n" })
})
