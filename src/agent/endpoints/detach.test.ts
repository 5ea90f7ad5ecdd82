import { expect, test } from "bun:test"
import { parseNetconf } from "../../config/netconf/parse.ts"
import { LariatError } from "../../errors.ts"
import type { AgentContext } from "../context.ts"
import { Health } from "../health.ts"
import { row } from "../networks/endpoint_index.test.ts"
import { EndpointIndex } from "../networks/endpoint_index.ts"
import { Networks } from "../networks/networks.ts"
import { Unrecorded } from "../networks/unrecorded.ts"
import { StateDatabase } from "../state/state_database.ts"
import { detachOnceAttached } from "./detach.ts"
import { collectGarbage } from "./recover.ts"

function fixture() {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const networks = new Networks({ stateDatabase, clock: () => 0, restMs: 1000 })
  const [index, health] = [new EndpointIndex(), new Health()]
  const unrecorded = new Unrecorded(networks, index)
  const firewall = { unguard: () => {} }
  const parts = { stateDatabase, networks, index, health, unrecorded, firewall, bootId: "b" }
  const context = parts as unknown as AgentContext
  /** What an attach leaves behind, of addresses alone: the kernel has no part in it. */
  const attached = (containerId: string) => {
    const one = row(containerId, { kind: "ipam", hostName: `lrt${containerId}` })
    const id = stateDatabase.begin({ ...one, hostName: undefined }, one.addresses)
    stateDatabase.finish(id, { result: {} })
    index.put({ ...one, id })
    return one
  }
  return { context, index, health, stateDatabase, attached }
}

test("a detach waits for the attach under way, and takes down what that made", async () => {
  const { context, index, stateDatabase, attached } = fixture()
  const key = row("c")
  const room = Promise.withResolvers<void>()
  const attach = index.trackAttach(
    key,
    room.promise.then(() => attached("c")),
  )
  let isDone = false
  const detach = detachOnceAttached(context, key).then(() => {
    isDone = true
  })
  await Promise.resolve()
  expect(isDone).toBe(false)
  room.resolve()
  await attach
  await detach
  expect([index.attached(), stateDatabase.endpoints()]).toEqual([[], []])
  stateDatabase.close()
})

test("a port that cannot be taken off its bridge stays guarded", async () => {
  const { context, index, stateDatabase } = fixture()
  const one = row("c")
  const id = stateDatabase.begin(one, one.addresses)
  index.put({ ...one, id })
  const freed: number[] = []
  const broken = {
    ...context,
    firewall: { unguard: (port: number) => freed.push(port) },
    // Nothing of the kernel can be reached.
    kernel: {},
  } as unknown as AgentContext
  await expect(detachOnceAttached(broken, one)).rejects.toThrow("c/eth0")
  expect(freed).toEqual([])
  expect(index.get(one)?.state).toBe("detaching")
  stateDatabase.close()
})

test("one whose attach fails counts as detached", async () => {
  const { context, index, stateDatabase } = fixture()
  const key = row("c")
  const attach = index.trackAttach(key, Promise.reject(new Error("no room")))
  await detachOnceAttached(context, key)
  await expect(attach).rejects.toThrow("no room")
  stateDatabase.close()
})

test("what was wrong with a port is over with it", async () => {
  const { context, health, stateDatabase, attached } = fixture()
  const one = attached("c")
  health.raise(`port/${one.hostName}`, { severity: "error", what: "it cannot be mended" })
  await detachOnceAttached(context, one)
  expect(health.problems()).toEqual([])
  stateDatabase.close()
})

/** A network with one endpoint, whose row cannot be written from now on. */
function stuck(method: "remove" | "detach") {
  const all = fixture()
  const { stateDatabase, context } = all
  const { conf } = parseNetconf({
    ...{ cniVersion: "1.0.0", type: "rancher-bridge", name: "n", bridgeSubnet: "10.42.0.0/29" },
  })
  const pool = conf && context.networks.forNetconf(conf)
  const one = all.attached("c")
  pool?.allocator.restore(["10.42.0.2"])
  const write = stateDatabase[method].bind(stateDatabase)
  stateDatabase[method] = () => {
    throw new LariatError("Cannot write the state database: the disk is full", { code: "io" })
  }
  const heal = () => Object.assign(stateDatabase, { [method]: write })
  return { ...all, pool, one, heal }
}

test.each(["remove", "detach"] as const)(
  "one whose %s cannot be written stays known with its address, is told, and tried again",
  async (method) => {
    const { context, index, health, stateDatabase, pool, one, heal } = stuck(method)
    await expect(detachOnceAttached(context, one)).rejects.toThrow("the disk is full")
    await collectGarbage(context)
    expect(index.get(one)?.state).toBe("detaching")
    expect(pool?.allocator.stateOf("10.42.0.2")).toBe("given")
    expect(health.problems().map(({ what }) => what)).toEqual([
      "c/eth0 of network n cannot be taken down: Cannot write the state database: the disk is full",
    ])
    heal()
    await collectGarbage(context)
    expect(index.get(one)).toBeUndefined()
    expect(stateDatabase.endpoints()).toEqual([])
    expect(pool?.allocator.stateOf("10.42.0.2")).toBe("quarantined")
    expect(stateDatabase.quarantined("n").map(({ address }) => address)).toEqual(["10.42.0.2"])
    expect(health.problems()).toEqual([])
    stateDatabase.close()
  },
)
