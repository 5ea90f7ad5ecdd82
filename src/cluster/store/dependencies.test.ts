import { expect, test } from "bun:test"
import { FakeWorld, settle } from "../../../test/cluster/fake_world.ts"
import { pause } from "./dependencies.ts"

function observed(promise: Promise<void>): () => boolean {
  let done = false
  void promise.then(() => {
    done = true
  })
  return () => done
}

test("a pause ends after its time and leaves nothing", async () => {
  const world = new FakeWorld(() => undefined)
  const done = observed(pause(world, 100, new AbortController().signal))
  await world.advance(99)
  expect(done()).toBe(false)
  await world.advance(1)
  expect(done()).toBe(true)
  expect(world.timers).toBe(0)
})

test("a pause ends when its signal aborts, also if that was before", async () => {
  const world = new FakeWorld(() => undefined)
  const end = new AbortController()
  const done = observed(pause(world, 100, end.signal))
  end.abort()
  await settle()
  expect(done()).toBe(true)
  expect(world.timers).toBe(0)
  await pause(world, 100, end.signal)
})
