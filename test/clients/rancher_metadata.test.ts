/** A client library that was written for the original, as it was published, in a container. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdirSync, writeFileSync } from "node:fs"
import { attached, type Container, removed } from "../netns/container.ts"
import { type Conf, Lab, SEED_CONF } from "../netns/lab.ts"
import { attempt } from "./program.ts"

const HOST_IP = "192.0.2.10"
const STACK = "io.rancher.stack.name"
const LABELS = [
  { key: "io.rancher.stack_service.name", value: "shop/front" },
  { key: STACK, value: "shop" },
]
const FRONT: Conf = { ...SEED_CONF, args: { cni: { labels: LABELS } } }
const pod = (name: string) => ({ conf: FRONT, args: `IgnoreUnknown=1;K8S_POD_NAME=${name}` })

let lab: Lab
let front: Container
let other: Container

beforeAll(async () => {
  lab = await Lab.start({
    settings: { createBridge: "always", hostName: "edge-1", hostIp: HOST_IP },
  })
  front = await attached(lab, "front-1", pod("front-1"))
  other = await attached(lab, "front-2", pod("front-2"))
  // As a runtime writes it from the plugin's result; ip-netns(8) mounts it.
  const { nameservers, search } = front.result.dns as Readonly<Record<string, readonly string[]>>
  mkdirSync("/etc/netns/front-1", { recursive: true })
  const lines = nameservers?.map((server) => `nameserver ${server}\n`) ?? []
  const text = `${lines.join("")}search ${search?.join(" ")}\n`
  writeFileSync("/etc/netns/front-1/resolv.conf", text)
}, 60_000)
afterAll(async () => {
  for (const name of ["front-1", "front-2"]) await removed(lab, name, pod(name))
  await lab.close()
})

test("finds the API by its name, and gets all that it asks for", async () => {
  const module = process.env.LARIAT_RANCHER_METADATA
  if (module === undefined) throw new Error("Cannot run here: use node test/run.mjs test")
  const script = `${import.meta.dir}/rancher_metadata/client.py`
  const asked = ["/usr/bin/python3", script, module, "shop", "front", "front-2", "edge-1"]
  const result = await attempt(["ip", "netns", "exec", "front-1", ...asked], { timeoutMs: 50_000 })
  expect(result.stderr).toBe("")
  const answers = JSON.parse(result.stdout)
  const mine = { name: "front-1", primary_ip: front.address, labels: { [STACK]: "shop" } }
  const others = { name: "front-2", primary_ip: other.address, create_index: 2, service_index: 2 }
  const service = {
    name: "front",
    stack_name: "shop",
    scale: 2,
    // Inside services the index is a text, as with the original.
    containers: [mine, { ...others, service_index: "2" }],
  }
  const stack = { name: "shop", services: [{ name: "front" }] }
  const host = { name: "edge-1", agent_ip: HOST_IP, agent_state: "active" }
  expect(answers).toMatchObject({
    containers: [mine, others],
    container: mine,
    container_by_name: others,
    container_ip: front.address,
    container_create_index: 1,
    container_service_index: 1,
    container_name: "front-1",
    container_service_name: "front",
    container_stack_name: "shop",
    container_host_uuid: answers.host.uuid,
    managed: true,
    nobody: null,
    services: [service],
    service,
    service_by_name: service,
    service_scale: 2,
    service_containers: { "front-1": mine, "front-2": others },
    service_metadata: {},
    service_links: {},
    service_waited: ["front-1", "front-2"],
    stacks: [stack],
    stack,
    stack_by_name: stack,
    stack_services: [{ name: "front" }],
    hosts: [host],
    host,
    host_by_name: host,
    host_ip: HOST_IP,
    host_uuid: answers.host.uuid,
    host_name: "edge-1",
  })
}, 60_000)
