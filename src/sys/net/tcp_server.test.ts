import { expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { askTcp, listenTcp } from "./tcp_server.ts"

test("asked and answered, ended and given up", async () => {
  let ends = 0
  const server = await listenTcp({ hostname: "127.0.0.1", port: 0 }, (connection) => ({
    data(bytes) {
      if (bytes[0] === 9) connection.close()
      else connection.write(bytes)
    },
    end: () => {
      ends += 1
    },
  }))
  const to = { address: "127.0.0.1", port: server.port }
  const enough = (length: number) => (bytes: Uint8Array) => bytes.length >= length
  const options = { signal: new AbortController().signal, maxBytes: 100 }
  expect([...(await askTcp(to, Uint8Array.of(1, 2), enough(2), options))]).toEqual([1, 2])
  expect(askTcp(to, Uint8Array.of(9), enough(2), options)).rejects.toThrow("ended before")
  const long = askTcp(to, new Uint8Array(200), enough(999), options)
  expect(long).rejects.toThrow("ended before")
  const abort = new AbortController()
  const given = askTcp(to, Uint8Array.of(1), enough(2), { ...options, signal: abort.signal })
  abort.abort()
  expect(given).rejects.toThrow(LariatError)
  await Promise.allSettled([long, given])
  server.stop()
  while (ends < 3) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(askTcp(to, Uint8Array.of(1), enough(1), options)).rejects.toThrow(LariatError)
})

test("a silent connection is closed", async () => {
  const ended = Promise.withResolvers<void>()
  const listener = { data: () => undefined, end: ended.resolve }
  const server = await listenTcp(
    { hostname: "127.0.0.1", port: 0, idleTimeoutMs: 30 },
    () => listener,
  )
  const to = { address: "127.0.0.1", port: server.port }
  const options = { signal: new AbortController().signal, maxBytes: 100 }
  const asking = askTcp(to, Uint8Array.of(1), () => false, options)
  await ended.promise
  expect(asking).rejects.toThrow(LariatError)
  server.stop()
})
