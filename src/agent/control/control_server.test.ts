import { afterEach, describe, expect, test } from "bun:test"
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { waitFor } from "../../../test/clients/program.ts"
import type { RequestHandler } from "./connection.ts"
import { ControlServer, type ControlServerOptions } from "./control_server.ts"

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

async function start(handler: RequestHandler, options?: ControlServerOptions): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "lariat-control-"))
  const path = join(dir, "run", "agent.sock")
  const server = await ControlServer.listen(path, handler, options)
  stops.push(async () => {
    await server.close()
    rmSync(dir, { recursive: true })
  })
  return path
}

/** Sends bytes, returns all that comes back. */
function call(path: string, bytes: Uint8Array | string, end = true): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ""
    const socket = connect(path, () => {
      socket.write(bytes)
      if (end) socket.end()
    })
    socket.setTimeout(5000, () => reject(new Error("no answer within 5 s")))
    socket.on("data", (chunk) => {
      text += chunk
    })
    socket.on("close", () => resolve(text))
    socket.on("error", () => resolve(text))
  })
}

test("a request is answered on one line, also when the client keeps its side open", async () => {
  const path = await start(async (request) => ({ ok: true, value: request }))
  expect(await call(path, '{"op":"x"}\n')).toBe('{"ok":true,"value":{"op":"x"}}\n')
  expect(await call(path, '{"op":"x"}\n', false)).toBe('{"ok":true,"value":{"op":"x"}}\n')
})

test("the socket is for root alone and goes with the server", async () => {
  const path = await start(() => null)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  for (const stop of stops.splice(0)) await stop()
  expect(existsSync(path)).toBe(false)
})

test("a stale socket file is replaced", async () => {
  const path = await start(() => 1)
  const again = await ControlServer.listen(path, () => 2)
  expect(await call(path, "{}\n")).toBe("2\n")
  await again.close()
})

test("bad requests are refused: no JSON, no newline, invalid UTF-8, too large, too slow", async () => {
  const path = await start(() => 1, { requestTimeoutMs: 50 })
  expect(await call(path, "nope\n")).toContain('"code":"decode"')
  expect(await call(path, '{"op":1}')).toContain("no end of line")
  expect(await call(path, new Uint8Array([0xff, 0xfe, 10]))).toContain('"code":"decode"')
  expect(await call(path, "x".repeat(1_100_000))).toContain("more than")
  expect(await call(path, "{", false)).toContain("did not end in time")
})

test("a handler that throws is answered, not fatal", async () => {
  const path = await start(() => {
    throw new Error("boom")
  })
  expect(await call(path, "{}\n")).toContain("boom")
  expect(await call(path, "{}\n")).toContain("boom")
})

test("connections beyond the limit are closed without an answer while all others are worked for", async () => {
  const begun = Promise.withResolvers<void>()
  const path = await start(
    () => {
      begun.resolve()
      return new Promise(() => {})
    },
    { maxConnections: 1 },
  )
  const first = connect(path)
  first.on("error", () => {})
  await new Promise<void>((resolve) => first.on("connect", () => resolve()))
  first.write("{}\n")
  await begun.promise
  expect(await call(path, "{}\n")).toBe("")
  first.destroy()
})

test("one that came first and has not sent its request gives way, and so does one with its answer", async () => {
  const path = await start(() => 1, { maxConnections: 2 })
  const open = (bytes: string) =>
    new Promise<Socket>((resolve) => {
      const socket = connect({ path, allowHalfOpen: true })
      socket.on("error", () => {})
      socket.on("connect", () => socket.write(bytes, () => resolve(socket)))
    })
  const closed = (socket: Socket) =>
    new Promise<void>((resolve) => {
      for (const event of ["end", "close"]) socket.once(event, () => resolve())
      socket.resume()
    })
  const [first, second] = [await open("{"), await open("{")]
  const gone = closed(first)
  expect(await call(path, "{}\n")).toBe("1\n")
  await gone
  second.write("}\n")
  await closed(second)
  // It has not hung up.
  const third = await open("{")
  expect(await call(path, "{}\n")).toBe("1\n")
  third.write("}\n")
  await closed(third)
  for (const socket of [first, second, third]) socket.destroy()
})

test("a client that has its answer and does not hang up is let go", async () => {
  const path = await start(() => 1, { maxConnections: 1, requestTimeoutMs: 50 })
  const first = connect({ path, allowHalfOpen: true })
  first.on("error", () => {})
  await new Promise<void>((resolve) => first.on("data", () => resolve()).write("{}\n"))
  // Turned away for as long as the first one counts.
  let answer = ""
  for (let turn = 0; turn < 100 && answer === ""; turn++) {
    answer = await call(path, "{}\n")
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(answer).toBe("1\n")
  first.destroy()
})

test("random bytes always get one line of JSON", async () => {
  const path = await start((request) => ({ got: typeof request }))
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const answer = await call(path, bytes)
      expect(answer.endsWith("\n")).toBe(true)
      JSON.parse(answer)
    }),
    { numRuns: 300 },
  )
})

describe("a caller that hangs up", () => {
  /** Connects, sends a request and waits until its own end is closed. */
  function hangUp(path: string, when: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(path, async () => {
        socket.pause()
        socket.write("{}\n")
        await when
        socket.destroy()
      })
      socket.on("error", () => {})
      socket.on("close", () => resolve())
    })
  }

  test("in the middle is gone for the handler, and what was done is taken back", async () => {
    const [begun, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const seen: unknown[] = []
    const path = await start(async (_, caller) => {
      caller.ifLost(() => seen.push("taken back"))
      seen.push(caller.isGone())
      begun.resolve()
      await done.promise
      seen.push(caller.isGone())
      return 1
    })
    await hangUp(path, begun.promise)
    done.resolve()
    await waitFor("the undoing", () => seen.includes("taken back") || undefined)
    expect(seen).toEqual([false, true, "taken back"])
  })

  test("with its answer unread has not heard of it", async () => {
    let takenBack = 0
    const answered = Promise.withResolvers<void>()
    const path = await start((_, caller) => {
      caller.ifLost(() => {
        takenBack += 1
      })
      setTimeout(answered.resolve, 20)
      return 1
    })
    await hangUp(path, answered.promise)
    await waitFor("the undoing", () => takenBack > 0 || undefined)
    // One that has read it has.
    expect(await call(path, "{}\n")).toBe("1\n")
    expect(await call(path, "{}\n", false)).toBe("1\n")
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(takenBack).toBe(1)
  })
})
