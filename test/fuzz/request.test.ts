/**
 * Thousands of broken CNI requests through the control socket, a share of which are good enough to
 * attach something: each has a proper answer, and nothing is left in the end.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdirSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { run } from "../clients/program.ts"
import { ask } from "../netns/control_call.ts"
import { Lab, SEED_CONF } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"
import { type Json, mutated } from "./mutate.ts"
import { detachAll, expectUnharmed, holdingsOf, useWell } from "./survivor.ts"

const REQUESTS = 6000
/** Inputs before the first count of descriptors and memory. */
const WARM_UP = 1500
const AT_ONCE = 8
const TIMEOUT_MS = 120_000

/** src/cni/error.ts: a fault of ours. */
const INTERNAL = 100

const NAMESPACES = ["fuzz0", "fuzz1", "fuzz2", "fuzz3"]

let lab: Lab

beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "20ms" } })
  for (const name of NAMESPACES) await lab.netns(name)
})

afterAll(() => lab.close())

test(
  `${REQUESTS} broken requests`,
  async () => {
    const random = Random.fromEnvironment()
    try {
      await fuzz(random)
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats this run`)
      console.error(lab.log.split("\n").slice(-30).join("\n"))
      throw error
    }
  },
  TIMEOUT_MS,
)

async function fuzz(random: Random): Promise<void> {
  const paths = await oddPaths()
  const spaces = NAMESPACES.map((name) => `/run/netns/${name}`)
  const answers = new Map<string, number>()
  const ask = async (count: number) => {
    const workers = Array.from({ length: AT_ONCE }, async () => {
      for (let index = 0; index < count / AT_ONCE; index++) {
        const kind = await one(request(random, [...spaces, ...spaces, ...paths]))
        answers.set(kind, (answers.get(kind) ?? 0) + 1)
      }
    })
    await Promise.all(workers)
    await detachAll(lab)
  }
  await ask(WARM_UP)
  for (const name of NAMESPACES) await useWell(lab, name)
  const before = holdingsOf(lab.pid)
  await ask(REQUESTS - WARM_UP)
  await expectUnharmed(lab, before, NAMESPACES)
  // Otherwise everything would have stopped at the first check, and nothing behind it was tested.
  expect(answers.get("done") ?? 0).toBeGreaterThan(REQUESTS / 10)
  expect(answers.size).toBeGreaterThan(8)
}

/** Sends one request and judges the answer. @returns what kind of answer it was */
async function one(value: Json): Promise<string> {
  const answer = (await ask(lab.socket, value)) as Record<string, unknown>
  const wrong = (why: string) =>
    new Error(`${why}: ${JSON.stringify(answer)} to ${JSON.stringify(value)}`)
  if (answer.ok === false) {
    if (typeof answer.code !== "string" || answer.code === "internal") throw wrong("a bad refusal")
    return `refused ${answer.code}`
  }
  // The request had become another operation of the socket.
  if (answer.ok === true) return "answered"
  if (typeof answer.stdout !== "string" || typeof answer.stderr !== "string") {
    throw wrong("an answer of another shape")
  }
  if (answer.exit === 0) {
    if (answer.stdout !== "") JSON.parse(answer.stdout)
    return "done"
  }
  const { code, msg } = JSON.parse(answer.stdout)
  if (!Number.isInteger(code) || typeof msg !== "string") throw wrong("an error of another shape")
  if (code === INTERNAL) throw wrong("a fault of ours")
  return `error ${code}`
}

function request(random: Random, namespaces: readonly string[]): Json {
  const good: { [key: string]: Json } = {
    op: "cni",
    role: random.chance(0.85) ? "bridge" : "ipam",
    env: {
      command: random.pick(["ADD", "ADD", "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]),
      containerId: `c${random.below(12)}`,
      netns: random.pick(namespaces),
      ifname: random.pick(["eth0", "eth1", "net0"]),
      args: random.pick(["", "IgnoreUnknown=1", "IgnoreUnknown=1;IP=10.42.9.9", "K=v"]),
      path: "/usr/lib/cni",
      netnsOverride: false,
    },
    config: configuration(random),
  }
  // Mostly the parts: a request without a proper frame is refused before anything is looked at.
  switch (random.below(10)) {
    case 0:
      return good
    case 1:
      return mutated(random, good)
    case 2:
    case 3:
      return { ...good, env: mutated(random, good.env ?? null, 1) }
    default:
      return { ...good, config: mutated(random, good.config ?? null) }
  }
}

function configuration(random: Random): Json {
  const seed = structuredClone(SEED_CONF) as { [key: string]: Json }
  switch (random.below(4)) {
    case 0:
      return seed
    case 1:
      return {
        ...seed,
        name: "fuzzed",
        bridge: "fuzzbr0",
        bridgeSubnet: "10.99.0.0/24",
        ipMasq: true,
        mtu: 1400,
        "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
        dns: { nameservers: ["10.99.0.1"], search: ["a.test"], options: ["ndots:2"] },
      }
    case 2:
      return {
        cniVersion: random.pick(["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]),
        name: "dual",
        type: "lariat-cni",
        bridge: "fuzzbr1",
        isGateway: true,
        ipam: {
          type: "lariat-cni",
          ranges: [
            [{ subnet: "10.98.0.0/24", rangeStart: "10.98.0.10", rangeEnd: "10.98.0.99" }],
            [{ subnet: "fd00:98::/120", gateway: "fd00:98::1" }],
          ],
          routes: [{ dst: "10.0.0.0/8" }, { dst: "fd00::/16", gw: "fd00:98::1" }],
        },
      }
    default:
      return {
        ...seed,
        runtimeConfig: {
          ips: ["10.42.7.7/16"],
          mac: "02:11:22:33:44:55",
          dns: { servers: ["10.42.0.1"], searches: ["b.test"] },
          aliases: { "rancher-cni-network": ["one", "two"] },
          portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
          bandwidth: { ingressRate: 1000, ingressBurst: 1000 },
        },
        prevResult: {
          cniVersion: "1.1.0",
          interfaces: [{ name: "eth0", mac: "02:11:22:33:44:55", sandbox: "/run/netns/fuzz0" }],
          ips: [{ address: "10.42.7.7/16", gateway: "10.42.0.1", interface: 0 }],
          routes: [{ dst: "0.0.0.0/0", gw: "10.42.0.1" }],
          dns: {},
        },
        args: { cni: { labels: [{ key: "io.rancher.container.name", value: "web" }] } },
      }
  }
}

/** Paths that are there and are no namespace of a container. Opening some of them would block. */
async function oddPaths(): Promise<string[]> {
  const fifo = join(lab.directory, "fifo")
  const directory = join(lab.directory, "folder")
  const socket = join(lab.directory, "socket")
  await run(["mkfifo", fifo])
  mkdirSync(directory)
  const server = createServer().listen(socket)
  server.unref()
  const files = ["/dev/zero", "/dev/tty", "/etc/passwd", "/proc/self/mem", "/run/netns/missing"]
  const others = ["/proc/self/ns/net", `/proc/${lab.pid}/ns/net`, "/proc/1/ns/pid", "eth0", "/"]
  return [fifo, directory, socket, ...files, ...others]
}
