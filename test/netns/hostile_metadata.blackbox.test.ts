/**
 * What one hostile container can take from the others, the runtimes and the host, by what it asks of
 * the metadata API where answers are large: little, and not for long.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { waitFor } from "../clients/program.ts"
import { attached, getMetadata, removed } from "./container.ts"
import { askFrom, dataOf } from "./dns_client.ts"
import { Lab } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"

const OBJECTS = "/run/tmp/lariat-many.json"
const CONTAINERS = 2000
const CONNECTIONS = 1000
const ATTACK_SECONDS = 15
const MEBIBYTE = 1024 * 1024
/** Beside what the agent has: the kept answers, and what is being sent. */
const MOST_GROWTH = 160 * MEBIBYTE
/** V8 gives memory back when it sees fit. */
const isBun = !(process.env.LARIAT_CMD ?? "").includes("deno")
const LEFT_GROWTH = isBun ? 96 * MEBIBYTE : MOST_GROWTH
const MEMORY_BACK_MS = 30_000
/** Generous: an unhindered one takes some tens of milliseconds, a blocked one half a minute. */
const ANSWER_MS = 2000
const ADD_MS = 4000

let lab: Lab
const call = { conf: DUAL_CONF }
beforeAll(async () => {
  const objects: object[] = [
    { metadata_kind: "stack", uuid: "k", name: "k" },
    { metadata_kind: "service", uuid: "s-web", name: "web", stack_name: "k", stack_uuid: "k" },
  ]
  for (let n = 0; n < CONTAINERS; n++) {
    const labels = Object.fromEntries([1, 2, 3, 4].map((at) => [`label-${at}`, `${n} is a name`]))
    const uuid = `c${n}`
    const ip = `10.60.${n >> 8}.${n & 255}`
    objects.push({ metadata_kind: "container", uuid, name: `web-${n}`, primary_ip: ip, labels })
    objects.push({
      metadata_kind: "serviceContainerLink",
      service_uuid: "s-web",
      service_name: "web",
      container_uuid: uuid,
    })
  }
  writeFileSync(OBJECTS, JSON.stringify(objects))
  lab = await Lab.start({
    configs: [dualStackYaml()],
    settings: { createBridge: "always", quarantine: "1s", objects: OBJECTS },
  })
  for (const id of ["good", "bad"]) await attached(lab, id, call)
}, 60_000)
afterAll(async () => {
  for (const id of ["good", "bad"]) await removed(lab, id, call)
  await lab.close()
})

/** Resident memory of the agent, bytes. */
function rss(): number {
  const status = readFileSync(`/proc/${lab.pid}/status`, "utf8")
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

async function took(what: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await what()
  return performance.now() - started
}

function attack(): ChildProcess {
  const program = [process.execPath, `${import.meta.dirname}/metadata_attack.ts`]
  const words = [...program, `${CONNECTIONS}`, `${ATTACK_SECONDS}`]
  return spawn("nsenter", ["--net=/run/netns/bad", ...words], { stdio: "ignore" })
}

test(`${CONNECTIONS} connections that ask for large answers and read nothing keep nobody waiting`, async () => {
  await getMetadata("good", "/latest/self/container/name")
  const before = rss()
  const attacking = attack()
  const ended = new Promise((resolve) => attacking.once("exit", resolve))
  const slowest = { metadata: 0, dns: 0, add: 0, status: 0, rss: 0 }
  const grow = (key: keyof typeof slowest, value: number) => {
    slowest[key] = Math.max(slowest[key], value)
  }
  const watch = setInterval(() => grow("rss", rss()), 50)
  await new Promise((resolve) => setTimeout(resolve, 500))
  let round = 0
  while (attacking.exitCode === null) {
    const id = `new${round++}`
    await lab.netns(id)
    grow("add", await took(() => lab.add(id, call)))
    grow("metadata", await took(() => getMetadata("good", "/latest/self/container/name")))
    grow("dns", await took(async () => dataOf(await askFrom("good", "good"))))
    grow("status", await took(() => lab.status()))
    await removed(lab, id, call)
  }
  await ended
  clearInterval(watch)
  expect(slowest.metadata).toBeLessThan(ANSWER_MS)
  expect(slowest.dns).toBeLessThan(ANSWER_MS)
  expect(slowest.status).toBeLessThan(ADD_MS)
  expect(slowest.add).toBeLessThan(ADD_MS)
  console.log(`the slowest, ms, and the largest, bytes: ${JSON.stringify(slowest)}`)
  expect(slowest.rss - before).toBeLessThan(MOST_GROWTH)
  const isBack = () => (rss() - before < LEFT_GROWTH ? true : undefined)
  await waitFor("the memory to come back", isBack, MEMORY_BACK_MS)
}, 180_000)
