import { expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { hasHungUp } from "./hung_up.ts"

/** A connection's two ends, of which the server's reads nothing. */
async function pair<T>(work: (client: Socket, served: Socket) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "lariat-hung-"))
  const path = join(directory, "socket")
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const served = new Promise<Socket>((resolve) => server.once("connection", resolve))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const client = connect({ path, allowHalfOpen: true })
  try {
    return await work(client, await served)
  } finally {
    client.destroy()
    server.close()
    rmSync(directory, { recursive: true })
  }
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once("close", resolve))

test("a client that closed its end is gone, one that only has no more to say is not", () =>
  pair(async (client, served) => {
    expect(hasHungUp(served)).toBe(false)
    await new Promise<void>((resolve) => client.end("no more", resolve))
    expect(hasHungUp(served)).toBe(false)
    client.destroy()
    await closed(client)
    expect(hasHungUp(served)).toBe(true)
  }))

test("so it is with what it said still unread, and with an end that was destroyed here", () =>
  pair(async (client, served) => {
    await new Promise<void>((resolve) => client.write("unread", () => resolve()))
    client.destroy()
    await closed(client)
    expect(hasHungUp(served)).toBe(true)
    served.destroy()
    expect(hasHungUp(served)).toBe(true)
  }))
