/**
 * kill -9 of the agent at random moments of a stream of attaches and detaches, and while it starts.
 * After each start: no address twice, none leaked, no stray link, all that was answered is true;
 * and containers that go on running never lose a ping.
 */
import { expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { attempt, run } from "../clients/program.ts"
import { ownLinks } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"
import { Container } from "./container.ts"
import { inspect } from "./inspection.ts"
import { PingStream } from "./ping_stream.ts"
import { Quarantine } from "./quarantine.ts"
import { del, Gate, pluginCaller, type Stream, socketCaller, work } from "./stream.ts"
import { Victim } from "./victim.ts"

const KILLS = Number(process.env.TEST_KILLS ?? 200)
const TIMEOUT_MS = 240_000

/** Kills while the agent starts, and how long it may have run until then. */
const EARLY_SHARE = 0.3
const EARLY_MS = 120
const LATE_MS = 250

/** Small, so that next-fit goes round it several times in one run. */
const SUBNETS = { ipv4: "10.77.0.0/22", ipv6: "fd00:77::/118" }
const GATEWAYS = ["10.77.0.1", "fd00:77::1"]
const REST_MS = 1000
const NETWORK = "crash"
const CONF = {
  cniVersion: "1.1.0",
  name: NETWORK,
  type: "rancher-bridge",
  bridge: "crash0",
  isDefaultGateway: true,
  hairpinMode: true,
  ipam: {
    type: "rancher-cni-ipam",
    ranges: [[{ subnet: SUBNETS.ipv4 }], [{ subnet: SUBNETS.ipv6 }]],
  },
}

/** Containers of each worker: three that ask the socket, one that starts plugins. */
const SOCKET_WORKERS = 3
const PER_WORKER = 5

test(
  `${KILLS} kills during a stream of attaches and detaches`,
  async () => {
    const random = Random.fromEnvironment()
    const directory = mkdtempSync(join(tmpdir(), "crash-"))
    const victim = new Victim(directory, { createBridge: "always", quarantine: `${REST_MS}ms` })
    try {
      await scenario(victim, random)
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats this run; the agent's last words:`)
      console.error(victim.log)
      throw error
    } finally {
      await victim.stop()
      rmSync(directory, { recursive: true, force: true })
    }
  },
  TIMEOUT_MS,
)

async function scenario(victim: Victim, random: Random): Promise<void> {
  const masqueraded = { ...CONF, ipMasq: true }
  const groups = Array.from({ length: SOCKET_WORKERS + 1 }, (_, worker) =>
    Array.from(
      { length: PER_WORKER },
      (_, index) => new Container(`w${worker}-${index}`, index % 2 === 0 ? CONF : masqueraded),
    ),
  )
  const lasting = ["lasting0", "lasting1"].map((id) => new Container(id, masqueraded))
  const all = [...groups.flat(), ...lasting]
  for (const { id } of all) await run(["ip", "netns", "add", id])

  const stream: Stream = {
    gate: new Gate(groups.length),
    random,
    quarantine: new Quarantine(REST_MS),
    done: {},
  }
  const call = socketCaller(victim.socket)
  victim.start()
  await victim.ready()
  for (const container of lasting) {
    const answer = await call("ADD", container, container.conf)
    if (answer?.ok !== true) throw new Error(`ADD ${container.id}: ${JSON.stringify(answer)}`)
    container.belief = { is: "present", result: answer.json }
  }
  const pings = pingsOf(lasting)
  const workers = groups.map((group, worker) =>
    work(stream, group, worker < SOCKET_WORKERS ? call : pluginCaller(victim.socket)),
  )
  // A worker that fails ends the test, whatever else is waited for.
  const failure = Promise.all(workers).then(() => undefined as never)
  await Promise.race([killAgainAndAgain(victim, stream, all), failure])

  stream.gate.ended = true
  stream.gate.open()
  await Promise.all(workers)
  const results = await Promise.all(pings.map((ping) => ping.stop()))
  console.log(`${JSON.stringify(stream.done)}, pings ${results.map(({ sent }) => sent)}`)
  expect(results.flatMap(({ faults }) => faults)).toEqual([])

  for (const container of all) expect(await del(stream, container, call)).toBe(true)
  expect(await inspect(victim.socket, NETWORK, all)).toEqual([])
  expect(await ownLinks()).toEqual([])
  for (const { id } of all) {
    expect((await attempt(["ip", "-n", id, "link", "show", "eth0"])).status).not.toBe(0)
    await run(["ip", "netns", "delete", id])
  }
}

/** To both gateways, and through the bridge to the other. */
function pingsOf(lasting: readonly Container[]): PingStream[] {
  const [from, to] = lasting
  const targets = [...GATEWAYS, to?.addresses.find((text) => text.startsWith("10."))]
  return targets.map(
    (target) => new PingStream(from?.netns ?? "", target?.split("/")[0] ?? "missing"),
  )
}

async function killAgainAndAgain(
  victim: Victim,
  stream: Stream,
  all: readonly Container[],
): Promise<void> {
  const { gate, random } = stream
  gate.open()
  for (let kills = 1; kills <= KILLS; kills++) {
    // The agent runs, or is starting since a moment ago; calls are under way.
    await pause(random.next() * (random.chance(EARLY_SHARE) ? EARLY_MS : LATE_MS))
    await victim.kill()
    if (random.chance(EARLY_SHARE)) {
      victim.start()
      continue
    }
    await gate.close()
    victim.start()
    await victim.ready()
    const faults = await inspect(victim.socket, NETWORK, all)
    if (faults.length > 0) throw new Error(`after kill ${kills}:\n${faults.join("\n")}`)
    gate.open()
  }
  await gate.close()
  await victim.ready()
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
