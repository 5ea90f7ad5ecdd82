import { afterAll, afterEach, beforeEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { pathToFileURL } from "node:url"
import { libc } from "./libc.ts"
import { PollThread } from "./poll_thread.ts"

/** Tells the bytes that come to a descriptor; ends at a zero byte, which it cannot read. */
const WORKER = `
import { SystemError } from "${import.meta.dir}/errno.ts"
import { libc } from "${import.meta.dir}/libc.ts"
import { servePollThread } from "${import.meta.dir}/poll_thread.ts"
servePollThread(({ fd }, tell) => ({
  fds: [fd],
  settleMs: 5,
  read() {
    const bytes = new Uint8Array(16)
    const count = libc.read(fd, bytes, bytes.length)
    if (bytes[0] === 0) throw new SystemError(71, "read", "read a zero")
    tell(bytes.slice(0, count))
  },
}))
`
const directory = mkdtempSync(`${tmpdir()}/poll-thread-`)
afterAll(() => rmSync(directory, { recursive: true }))
writeFileSync(`${directory}/reading_worker.ts`, WORKER)
const url = pathToFileURL(`${directory}/reading_worker.ts`)

let near = -1
let far = -1
beforeEach(() => {
  const fds = new Int32Array(2)
  // AF_UNIX, SOCK_STREAM
  expect(libc.socketpair(1, 1, 0, new Uint8Array(fds.buffer))).toBe(0)
  near = fds[0] ?? -1
  far = fds[1] ?? -1
})
afterEach(() => {
  libc.close(near)
  libc.close(far)
})

function start(fd: number) {
  const heard: Uint8Array[] = []
  const news = Promise.withResolvers<Uint8Array>()
  const failure = Promise.withResolvers<unknown>()
  const thread = new PollThread<{ fd: number }, Uint8Array>(
    url,
    { fd },
    {
      onNews: (bytes) => {
        heard.push(bytes)
        news.resolve(bytes)
      },
      onFailure: failure.resolve,
    },
  )
  return { thread, heard, news: news.promise, failure: failure.promise }
}

const send = (...bytes: number[]) => libc.write(far, Uint8Array.from(bytes), bytes.length)

test("tells what comes, and what came together in one", async () => {
  const { thread, news } = start(near)
  await thread.ready
  send(1)
  send(2)
  expect(await news).toEqual(Uint8Array.of(1, 2))
  await thread.stop()
})

test("after a stop it says nothing more, and lets go of the descriptor", async () => {
  const { thread, heard } = start(near)
  await thread.ready
  const stopped = thread.stop()
  send(1)
  await Promise.all([stopped, thread.stop(), thread.ended])
  expect(heard).toEqual([])
  expect(libc.read(near, new Uint8Array(1), 1)).toBe(1)
})

test("what it cannot read ends it, and is heard of", async () => {
  const { thread, failure } = start(near)
  send(0)
  expect(await failure).toMatchObject({ message: expect.stringContaining("read a zero") })
  await thread.ended
  await thread.stop()
})

test("a descriptor that is none ends it instead of waking it for ever", async () => {
  const { failure } = start(99_999)
  expect(await failure).toMatchObject({ message: expect.stringContaining("EBADF") })
})

test("a module that is not there is a failure, also for who waits for it", async () => {
  const failure = Promise.withResolvers<unknown>()
  const thread = new PollThread(
    pathToFileURL(`${directory}/none_worker.ts`),
    {},
    {
      onNews: () => {},
      onFailure: failure.resolve,
    },
  )
  await expect(thread.ready).rejects.toMatchObject({ code: "internal" })
  expect(await failure.promise).toMatchObject({ code: "internal" })
})
