import { expect, test } from "bun:test"
import { FakeDependencies, settle } from "../../../test/cluster/fake_dependencies.ts"
import { pause } from "./dependencies.ts"

function observed(promise: Promise<void>): () => boolean {
  let done = false
  void promise.then(() => {
    done = true
  })
  return () => done
}

test("a pause ends after its time and leaves nothing", async () => {
  const dependencies = new FakeDependencies(() => undefined)
  const done = observed(pause(dependencies, 100, new AbortController().signal))
  await dependencies.advance(99)
  expect(done()).toBe(false)
  await dependencies.advance(1)
  expect(done()).toBe(true)
  expect(dependencies.timers).toBe(0)
})

test("a pause ends when its signal aborts, also if that was before", async () => {
  const dependencies = new FakeDependencies(() => undefined)
  const end = new AbortController()
  const done = observed(pause(dependencies, 100, end.signal))
  end.abort()
  await settle()
  expect(done()).toBe(true)
  expect(dependencies.timers).toBe(0)
  await pause(dependencies, 100, end.signal)
})
