/** The encapsulation socket outlives its process under a real systemd, with what waits in it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { UdpEncapSocket } from "../../src/sys/net/udp_encap.ts"
import { attempt, type Daemon, run, startDaemon, waitFor } from "../clients/program.ts"
import { requireTestNetns } from "../netns/guard.ts"

const FOLDER = "/run/fd-store"
const UNITS = join(FOLDER, "units")
const SERVICE = join(import.meta.dirname, "fd_store_service.ts")
/** A start of the runtime takes a while on an emulated processor. */
const PATIENCE_MS = 60_000

/** No target of the distribution is needed, so none is waited for. */
const UNIT = `[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=${process.execPath} ${SERVICE} ${FOLDER}
FileDescriptorStoreMax=4
Restart=always
RestartSec=0
TimeoutStopSec=10
`

interface Start {
  readonly pid: number
  readonly adopted: boolean
  readonly port: number
  readonly names: readonly string[]
  readonly stored: boolean
  readonly left: string
}

let systemd: Daemon
let manager = 0
let inside: readonly string[]

/** The children of a process, "" where there are none yet. */
function childrenOf(pid: string): string {
  const path = `/proc/${pid}/task/${pid}/children`
  return existsSync(path) ? readFileSync(path, "utf8").trim() : ""
}

/** systemctl where systemd runs. */
async function systemctl(...args: string[]): Promise<string> {
  return (await run([...inside, "systemctl", ...args], { timeoutMs: PATIENCE_MS })).trim()
}

function starts(): Start[] {
  const path = join(FOLDER, "started")
  if (!existsSync(path)) return []
  const lines = readFileSync(path, "utf8").trim().split("\n")
  return lines.map((line) => JSON.parse(line))
}

function heard(): string[] {
  const path = join(FOLDER, "heard")
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : []
}

async function startCount(count: number): Promise<Start> {
  return await waitFor(`start ${count}`, () => starts()[count - 1], PATIENCE_MS)
}

async function storeSize(): Promise<number> {
  return Number(await systemctl("show", "keeper.service", "--value", "-p", "NFileDescriptorStore"))
}

/**
 * Stops the service when everything so far was written down: it takes nothing more in hand, which
 * its end would lose rather than the socket.
 */
async function holdStill(): Promise<void> {
  await systemctl("kill", "--signal=SIGSTOP", "keeper.service")
}

/** Datagrams that wait in the socket while nobody reads: rmem_default / an skb's 768 bytes is 277. */
const SOCKET_HOLDS = 200

/** Sends numbered datagrams, 25 a second, while `action` runs; all of them must be heard. */
async function underTraffic(action: () => Promise<unknown>): Promise<void> {
  const sender = UdpEncapSocket.open(4, 0)
  const prefix = `${starts().length}-`
  let sent = 0
  const send = () => {
    const payload = new TextEncoder().encode(`${prefix}${sent++}`)
    expect(sender.send(payload, { address: "127.0.0.1", port: 4500 })).toBe(0)
  }
  const timer = setInterval(() => sent < SOCKET_HOLDS && send(), 40)
  try {
    await action()
  } finally {
    clearInterval(timer)
  }
  send()
  const ours = () => heard().filter((line) => line.startsWith(prefix))
  await waitFor("the last datagram", () => (ours().length >= sent ? true : undefined), PATIENCE_MS)
  expect(ours()).toEqual(Array.from({ length: sent }, (_, index) => `${prefix}${index}`))
  sender.close()
}

beforeAll(async () => {
  requireTestNetns()
  mkdirSync(UNITS, { recursive: true })
  writeFileSync(join(UNITS, "keeper.service"), UNIT)
  writeFileSync(join(UNITS, "test.target"), "[Unit]\nDefaultDependencies=no\n")
  const pidFile = join(FOLDER, "pid")
  const program = [
    ...["unshare", "--fork", "--kill-child=SIGKILL", "--pid", "--mount", "--mount-proc"],
    ...["env", "container=lariat", `SYSTEMD_UNIT_PATH=${UNITS}`],
    ...["/lib/systemd/systemd", "--system", "--unit=test.target", "--show-status=0"],
    "--log-target=null",
  ]
  systemd = await startDaemon(
    ["bash", "-c", 'echo $$ > "$0"; exec "$@"', pidFile, ...program],
    async () => {
      const children = childrenOf(existsSync(pidFile) ? readFileSync(pidFile, "utf8").trim() : "")
      if (children === "") return false
      // Process 1 of its namespace: its death ends all that it started.
      manager = Number(children)
      inside = ["nsenter", `--target=${manager}`, "--pid", "--mount"]
      const state = await attempt([...inside, "systemctl", "is-system-running"])
      return state.stdout.trim() === "running"
    },
    { log: "/run/fd-store-systemd.log", timeoutMs: PATIENCE_MS },
  )
  await systemctl("start", "keeper.service")
}, 2 * PATIENCE_MS)

afterAll(async () => {
  if (manager > 0) process.kill(manager, "SIGKILL")
  await systemd?.stop()
})

describe("the socket", () => {
  test("is opened and stored by the first start", async () => {
    expect(await startCount(1)).toMatchObject({ adopted: false, port: 4500, stored: true })
    expect(await waitFor("the store", async () => (await storeSize()) || undefined)).toBe(1)
  })

  test("is handed to the next one, and nothing that came meanwhile is lost", async () => {
    await holdStill()
    await underTraffic(async () => {
      await systemctl("restart", "keeper.service")
      await startCount(2)
    })
    const [first, second] = starts()
    expect(second).toMatchObject({
      adopted: true,
      port: 4500,
      names: ["lariat-esp4"],
      left: "none",
    })
    expect(second?.pid).not.toBe(first?.pid)
    expect(await storeSize()).toBe(1)
  })

  test("outlives a process that is killed", async () => {
    await holdStill()
    await underTraffic(async () => {
      await systemctl("kill", "--signal=SIGKILL", "keeper.service")
      await startCount(3)
    })
    expect(starts()[2]).toMatchObject({ adopted: true, port: 4500 })
    expect(await storeSize()).toBe(1)
  })

  test("is let go when the service says so", async () => {
    await systemctl("kill", "--signal=SIGUSR1", "keeper.service")
    await waitFor("the store", async () => ((await storeSize()) === 0 ? true : undefined))
    await systemctl("restart", "keeper.service")
    expect(await startCount(4)).toMatchObject({ adopted: false, names: [] })
  })
})
