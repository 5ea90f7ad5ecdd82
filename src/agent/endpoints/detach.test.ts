import { expect, test } from "bun:test"
import type { AgentContext } from "../context.ts"
import { Health } from "../health.ts"
import { row } from "../networks/endpoint_index.test.ts"
import { EndpointIndex } from "../networks/endpoint_index.ts"
import { Networks } from "../networks/networks.ts"
import { StateDatabase } from "../state/state_database.ts"
import { detachOnceAttached } from "./detach.ts"

function fixture() {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const networks = new Networks({ stateDatabase, clock: () => 0, restMs: 0 })
  const [index, health] = [new EndpointIndex(), new Health()]
  const context = { stateDatabase, networks, index, health } as unknown as AgentContext
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
