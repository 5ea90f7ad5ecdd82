/** Bun and Deno see the same through src/sys, and it is what Linux promises. */
import { expect, test } from "bun:test"
import { requireTestNetns } from "./guard.ts"

requireTestNetns()

const SCRIPT = `${import.meta.dir}/sys_parity.ts`
const DENO = `${import.meta.dir}/../../node_modules/.bin/deno`
const RUNTIMES: readonly (readonly [name: string, command: readonly string[]])[] = [
  ["bun", [process.execPath, SCRIPT]],
  ["deno", [DENO, "run", "-A", SCRIPT]],
]

function run(command: readonly string[], ...args: readonly string[]) {
  const child = Bun.spawnSync([...command, ...args], { timeout: 60_000 })
  return {
    exit: child.exitCode,
    stdout: child.stdout.toString(),
    stderr: child.stderr.toString(),
  }
}

const notNetns = (path: string, why: string) =>
  `netns-invalid Cannot use ${path} as a network namespace: ${why}`
const ORDINARY = "it is an ordinary file or directory, and no namespace is mounted on it"

const EXPECTED = {
  netns: {
    unpinned: notNetns("/run/netns/sysparity", ORDINARY),
    created: true,
    inode: true,
    opened: true,
    inside: [true, true, true],
    thrown: "Error: inside",
    asynchronous: "internal Cannot run an asynchronous func",
    missing: notNetns("/run/netns/none", "No such file or directory"),
    directory: notNetns("/run/netns", ORDINARY),
    otherKind: notNetns("/proc/self/ns/mnt", "it is a namespace of another kind"),
    noProcess: notNetns("/proc/4194304/ns/net", "No such file or directory"),
    // lo alone.
    interfaces: 1,
    noFile: "io ENOENT",
    noSocket: "kernel-unsupported EPROTONOSUPPORT",
    noNamespace: "io EBADF",
    atHome: true,
  },
  frame: `02000000990202000000990188b5010203${"00".repeat(43)}`,
  servers: {
    childNetns: true,
    four: "200 GET 10.99.0.1 /",
    six: "200 GET fd00:99::1 /",
    thrown: "500 Internal Server Error\n",
    body: [200, 413],
    refused: "io ECONNREFUSED",
    inside: "200 GET 127.0.0.1 /",
    unix: "you said hello",
    away: "agent-away",
  },
  files: {
    content: "content",
    mode: "640",
    limit: "io Cannot read descr",
    forward: "1",
    refused: "io EINVAL",
    kept: true,
    written: [
      "done",
      "blocking",
      "Cannot write 1 bytes to descriptor -1: Bad file descriptor (write: EBADF)",
    ],
    notified: [true, "READY=1"],
    clock: true,
    bootId: 36,
  },
  worker: [{ ownThread: true, atHome: true }, 42, true],
}

for (const [name, command] of RUNTIMES) {
  test(`${name}: everything in sys does what it says`, () => {
    const { stdout, stderr, exit } = run(command)
    // Deno reports the worker's error there too.
    if (exit !== 0) throw new Error(stderr)
    expect(JSON.parse(stdout)).toEqual(EXPECTED)
  })

  test(`${name}: a process that cannot return to its namespace ends`, () => {
    const { stdout, stderr, exit } = run(command, "lost")
    expect(stdout).toBe("")
    expect(stderr).toContain("Cannot return to the host's network namespace: Bad file descriptor")
    expect(exit).toBe(70)
  })
}

test("bun: a thread that is born inside a stay is seen", () => {
  const command = [process.execPath, SCRIPT, "stray"]
  expect(run(command)).toEqual({ exit: 0, stdout: "HTTP Client true", stderr: "" })
})
