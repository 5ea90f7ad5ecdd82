/** Hosts learn by real sockets whether a NAT stands between them, under Bun and under Deno. */
import { expect, test } from "bun:test"
import { requireTestNetns } from "./guard.ts"

requireTestNetns()

const SCRIPT = `${import.meta.dir}/nat_detection.ts`
const DENO = `${import.meta.dir}/../../node_modules/.bin/deno`
const RUNTIMES: readonly (readonly [name: string, command: readonly string[]])[] = [
  ["bun", [process.execPath, SCRIPT]],
  ["deno", [DENO, "run", "-A", SCRIPT]],
]

test.each(RUNTIMES)("%s", (_, command) => {
  const child = Bun.spawnSync([...command], { timeout: 60_000 })
  expect(child.stderr.toString()).toBe("")
  expect(JSON.parse(child.stdout.toString())).toEqual({
    socket: {
      "203.0.113.5": [["070707", "203.0.113.6 4500", "203.0.113.5 4500"]],
      "2001:db8::5": [["070707", "2001:db8::6 4500", "2001:db8::5 4500"]],
      from: "203.0.113.55 4500",
      noRoute: 101,
    },
    a: "udp 203.0.113.5 4500",
    aOutside: "203.0.113.1 chosen",
    b: ["udp 203.0.113.1 chosen", "esp 2001:db8::6 4500"],
    c: "esp 2001:db8::5 4500",
    adoption: {
      four: [4, 4500],
      six: [6, 4500],
      plain: true,
      stream: true,
      closed: true,
      taken:
        "busy Cannot bind UDP port 4500 of IPv4 for ESP: Address already in use (bind: EADDRINUSE)",
      free: true,
    },
  })
})
