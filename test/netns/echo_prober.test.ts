/** Many targets are probed at once, under Bun and under Deno, with what the path says of sizes. */
import { expect, test } from "bun:test"
import { requireTestNetns } from "./guard.ts"

requireTestNetns()

const SCRIPT = `${import.meta.dir}/echo_prober.ts`
const DENO = `${import.meta.dir}/../../node_modules/.bin/deno`
const RUNTIMES: readonly (readonly [name: string, command: readonly string[]])[] = [
  ["bun", [process.execPath, SCRIPT]],
  ["deno", [DENO, "run", "-A", SCRIPT]],
]

const answered = "answered"
const tooBig = (mtu: number, local: boolean) => JSON.stringify({ kind: "too-big", mtu, local })
const unsent = (errno: number) => JSON.stringify({ kind: "unsent", errno })
const COMMON = {
  smallest: answered,
  fills: answered,
  exceeds: tooBig(1500, true),
  from: answered,
  far: answered,
  beyond: tooBig(1400, false),
  // ENETUNREACH
  noRoute: unsent(101),
  last: answered,
}
const TIMEOUT = JSON.stringify({ kind: "timeout" })

test.each(RUNTIMES)("%s", (_, command) => {
  const child = Bun.spawnSync([...command], { timeout: 60_000 })
  expect(child.stderr.toString()).toBe("")
  expect(JSON.parse(child.stdout.toString())).toEqual({
    // ENETUNREACH again, and EINVAL
    four: { ...COMMON, silent: TIMEOUT, notMine: unsent(101) },
    six: { ...COMMON, silent: TIMEOUT, notMine: unsent(22) },
    many: { spread: 1000, burst: 1000 },
    nobody: [],
    tooSmall: "usage Cannot probe 10.98.0.2 with 35 bytes: an IPv4 echo has 36 to 65535",
    mixed: "usage Cannot probe 10.98.0.2 from fd00:98::9: another family",
    tooMany: "busy Cannot probe 32769 targets: 32769 would wait at once, and 32768 can",
    closed: "Cannot finish the probes: closed",
    after: "internal Cannot probe: the prober is closed",
  })
})
